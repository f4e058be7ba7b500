import type { Node } from "../../../graph/index.ts";
import type { Context } from "./context.ts";
import { list, signature, type Value } from "./writer.ts";

type Axes = readonly [readonly number[], readonly number[]];

export function lowerDot(context: Context, node: Node<"dot">, a: Value, b: Value): Value {
  const { batch, contract } = node.attrs;
  return product(context, a, b, { batch, contract });
}

/** A product of two values, their factors rounded where the precision says so; the result has the factors' first type. */
export function product(
  { write, precision }: Context,
  a: Value,
  b: Value,
  { batch = [[], []], contract }: { readonly batch?: Axes; readonly contract: Axes },
): Value {
  const element = precision === "bfloat16" && a.element === "f32" ? "bf16" : a.element;
  const factors = [write.convert(a, element), write.convert(b, element)] as const;
  const free = (x: Value, side: 0 | 1): number[] =>
    x.shape.filter((_, axis) => !batch[side].includes(axis) && !contract[side].includes(axis));
  const shape = [...batch[0].map((axis) => a.shape[axis] ?? 0), ...free(a, 0), ...free(b, 1)];
  const paired = (axes: Axes): string => `[${list(axes[0])}] x [${list(axes[1])}]`;
  const axes = [
    ...(batch[0].length > 0 ? [`batching_dims = ${paired(batch)}`] : []),
    `contracting_dims = ${paired(contract)}`,
  ];
  const type = { shape, element };
  const names = factors.map(({ name }) => name).join(", ");
  const result = write.value(type, `stablehlo.dot_general ${names}, ${list(axes)} : ${signature(factors, type)}`);
  return write.convert(result, a.element);
}
