/** Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): values that gradients need are computed again instead of being kept. */
import { barrier } from "./build.ts";
import { node } from "./node.ts";
import { inferAll } from "./rules.ts";
import type { Tensor } from "./tensor.ts";

/** What gradients read in place of forward values. */
export interface Recomputation {
  /**
   * The value and the operands of a forward node, for the rule of its gradient.
   * @param ready what is to be there before anything is computed again for this node: the gradient that has come down to it
   */
  standIn(y: Tensor, ready: () => readonly Tensor[]): StandIn;
}

interface StandIn {
  readonly y: Tensor;
  readonly inputs: readonly Tensor[];
  /** Whether something begins to be computed again here. */
  readonly begins: boolean;
}

/**
 * Values that lie between two kept ones are computed again from the first, behind a barrier. Those behind the last kept ones are not:
 * their gradients come first, while everything is still there. Nor are those that depend on no kept value, which are weights and masks.
 * @param order the forward nodes, operands before users
 */
export function recomputation(order: readonly Tensor[], kept: readonly Tensor[]): Recomputation {
  const keeps = new Set(kept);
  const below = new Set<Tensor>();
  for (const y of order) if (y.inputs.some((x) => keeps.has(x) || below.has(x))) below.add(y);
  const above = new Set<Tensor>();
  for (const y of order.toReversed()) if (keeps.has(y) || above.has(y)) for (const x of y.inputs) above.add(x);

  const standing = new Map<Tensor, Tensor>();
  let barriers = 0;
  const made = (y: Tensor, ready: () => readonly Tensor[]): Tensor => {
    const known = standing.get(y);
    if (known || !above.has(y)) return known ?? y;
    if (keeps.has(y)) barriers++;
    const again = keeps.has(y) ? barrier(y, ready()) : copied(y, ready);
    standing.set(y, again);
    return again;
  };
  const copied = (y: Tensor, ready: () => readonly Tensor[]): Tensor => {
    if (!below.has(y)) return y;
    const inputs = y.inputs.map((x) => made(x, ready));
    return inputs.some((x, i) => x !== y.inputs[i]) ? node(y.op, y.attrs, inputs) : y;
  };
  return {
    standIn: (y, ready) => {
      const before = barriers;
      // A kept value is there, but not the further outputs of its node.
      const whole = keeps.has(y) && inferAll(y.op, y.attrs, y.inputs).length === 1;
      const again = keeps.has(y) ? copied(y, ready) : made(y, ready);
      return { y: whole ? y : again, inputs: again.inputs, begins: barriers > before };
    },
  };
}
