import { infer } from "./rules.ts";
import type { OpAttrs, OpName, Tensor } from "./tensor.ts";

let nextId = 0;

/** Makes a node; its type is inferred by the op's rule, which throws if the operands do not fit. */
export function node<K extends OpName>(op: K, attrs: OpAttrs[K], inputs: readonly Tensor[]): Tensor {
  const { shape, dtype } = infer(op, attrs, inputs);
  return { id: nextId++, op, attrs, inputs, shape, dtype };
}
