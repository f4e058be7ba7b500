import type { Tensor } from "./tensor.ts";

/** Everything the roots depend on, operands before users; does not look behind `leaves`. Iterative: graphs are deep. */
export function inOrder(roots: readonly Tensor[], leaves: readonly Tensor[] = []): Tensor[] {
  const order: Tensor[] = [];
  const closed = new Set<Tensor>();
  const stops = new Set(leaves);
  const stack: { tensor: Tensor; next: number }[] = [];
  const open = (tensor: Tensor): void => {
    if (!closed.has(tensor)) stack.push({ tensor, next: 0 });
  };
  for (const root of roots) {
    open(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const operand = stops.has(top.tensor) ? undefined : top.tensor.inputs[top.next++];
      if (operand) open(operand);
      else {
        stack.pop();
        if (!closed.has(top.tensor)) order.push(top.tensor);
        closed.add(top.tensor);
      }
    }
  }
  return order;
}
