import { decompose } from "./composites.ts";
import { node } from "./node.ts";
import { inOrder } from "./order.ts";
import { made, type Tensor } from "./tensor.ts";

/**
 * The same value with every attention in primitives, and the softmaxes of it and of the others, operands before users: attention's
 * probabilities, which a composite computes inside, become tensors that there are gradients to.
 */
export function plainAttention(root: Tensor): { readonly root: Tensor; readonly softmaxes: readonly Tensor[] } {
  const softmaxes: Tensor[] = [];
  const standing = new Map<Tensor, Tensor>();
  const rebuild = (x: Tensor): void => {
    if (standing.has(x)) return;
    const operands = x.inputs.map((y) => standing.get(y) ?? y);
    const here = operands.some((y, i) => y !== x.inputs[i]) ? node(x.op, x.attrs, operands) : x;
    if (made(here, "attention")) {
      const [mixed] = decompose(here);
      if (!mixed) throw new Error("attention decomposes into nothing");
      for (const y of operands) standing.set(y, y);
      for (const part of inOrder([mixed], operands)) rebuild(part);
      standing.set(x, standing.get(mixed) ?? mixed);
      return;
    }
    if (made(here, "softmax")) softmaxes.push(here);
    standing.set(x, here);
  };
  for (const x of inOrder([root])) rebuild(x);
  return { root: standing.get(root) ?? root, softmaxes };
}
