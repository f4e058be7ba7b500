import type { Graph } from "./graph.ts";
import { made, show, type Tensor } from "./tensor.ts";

/** A graph as text, a line a value: `%7 f32[2,3] = add %5 %6`. */
export function print({ inputs, outputs, nodes }: Graph): string {
  const numbers = new Map<Tensor, number>(nodes.map((tensor, i) => [tensor, i]));
  const name = (tensor: Tensor): string => `%${numbers.get(tensor)}`;
  const lines = [`(${inputs.map((x) => `${x.attrs.name}: ${show(x)}`).join(", ")})`];
  for (const tensor of nodes) {
    const parts = [tensor.op, ...tensor.inputs.map(name), ...attributes(tensor)];
    lines.push(`${name(tensor)} ${show(tensor)} = ${parts.join(" ")}`);
  }
  return [...lines, `-> ${outputs.map((o) => `${o.name}: ${name(o.tensor)}`).join(", ")}`].join("\n");
}

function attributes(tensor: Tensor): string[] {
  if (made(tensor, "input")) return [tensor.attrs.name];
  return Object.entries(tensor.attrs).flatMap(([key, value]: [string, unknown]) => {
    if (key === "dtype" || (key === "shape" && !made(tensor, "reshape"))) return [];
    if (ArrayBuffer.isView(value)) return [`${key}=${value.constructor.name}`];
    return [`${key}=${JSON.stringify(value)}`];
  });
}
