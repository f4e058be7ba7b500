import type { Graph } from "./graph.ts";
import { inferAll } from "./rules.ts";
import { made, sameShape, show, type Tensor } from "./tensor.ts";

/** Checks a graph before it is lowered; throws with the op, what it should have been and what it is. */
export function verify({ inputs, outputs, nodes }: Graph): void {
  const ids = new Map<number, Tensor>();
  const names = new Set<string>();
  for (const x of inputs) {
    if (names.has(x.attrs.name)) throw new Error(`verify: two inputs are named ${x.attrs.name}`);
    names.add(x.attrs.name);
  }
  for (const tensor of nodes) {
    const { id, op, shape, dtype } = tensor;
    if (ids.has(id)) throw new Error(`verify: ${op} %${id} stands in the graph twice`);
    ids.set(id, tensor);
    if (made(tensor, "input") && !inputs.includes(tensor))
      throw new Error(`verify: input ${tensor.attrs.name} is not in the signature`);
    for (const operand of tensor.inputs)
      if (ids.get(operand.id) !== operand)
        throw new Error(`verify: ${op} %${id} uses %${operand.id} (${operand.op}), which does not come before it`);
    const [type] = inferAll(op, tensor.attrs, tensor.inputs);
    if (!type || !sameShape(type.shape, shape) || type.dtype !== dtype)
      throw new Error(`verify: ${op} %${id} says ${show(tensor)}, its rule gives ${type ? show(type) : "nothing"}`);
  }
  const results = new Set<string>();
  for (const { name, tensor } of outputs) {
    if (results.has(name)) throw new Error(`verify: two outputs are named ${name}`);
    results.add(name);
    if (ids.get(tensor.id) !== tensor)
      throw new Error(`verify: output ${name} is %${tensor.id}, which is not in the graph`);
  }
}
