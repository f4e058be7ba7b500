import type { Node, Tensor } from "./tensor.ts";

/** A function, traced: what goes in by name, what comes out by name, and every value between in order. */
export interface Graph {
  /** In the order of the signature, used or not. */
  readonly inputs: readonly (Tensor & Node<"input">)[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  /** All values that the outputs need, operands before users. */
  readonly nodes: readonly Tensor[];
}
