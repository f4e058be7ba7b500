/** Seeded operands for tests: the same seed gives the same numbers everywhere. */
import { type DType, elements, type HostTensor, hostTensor } from "../../src/graph/index.ts";

/**
 * What an operand's elements are:
 * `any` within -2..2; `positive` within 0.5..2; `apart`: at least 0.1 from 0 and from each other element that is `apart`
 * in the same case, so that no maximum is a tie and no kink is near; `bool` 0 or 1; `{ below }` whole numbers from 0;
 * `{ within }` whole numbers from -within to within.
 */
export type Elements = "any" | "positive" | "apart" | "bool" | { readonly below: number } | { readonly within: number };

export interface Operand {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly elements: Elements;
}

/** Uniform numbers from 0 to 1 (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled(count: number, next: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

/** Values of all operands of one case. Floats are numbers that f32 holds, so that f32 and f64 runs see the same. */
export function fill(operands: readonly Operand[], seed: number): HostTensor[] {
  const next = uniform(seed);
  const apart = operands.reduce((sum, x) => sum + (x.elements === "apart" ? elements(x.shape) : 0), 0);
  const places = shuffled(apart, next);
  const one = (kind: Elements): number => {
    if (kind === "any") return next() * 4 - 2;
    if (kind === "positive") return 0.5 + next() * 1.5;
    if (kind === "bool") return next() < 0.5 ? 0 : 1;
    // 0.2 between neighbours, 0.1 from 0.
    if (kind === "apart") return 0.2 * ((places.pop() ?? 0) - Math.floor(apart / 2)) + 0.1;
    return "below" in kind ? Math.floor(next() * kind.below) : Math.round((next() * 2 - 1) * kind.within);
  };
  return operands.map(({ dtype, shape, elements: kind }) =>
    hostTensor(
      dtype,
      shape,
      Array.from({ length: elements(shape) }, () => Math.fround(one(kind))),
    ),
  );
}
