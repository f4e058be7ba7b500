/**
 * Association tests of embeddings: whether one group is nearer to some attributes than another group is (WEAT, Caliskan et al. 2017, Science
 * 356; SEAT for sentences, arXiv 1903.10561; iEAT for pictures, arXiv 2010.15052).
 */
import { Random } from "../../data/index.ts";
import { dotProduct } from "../../directions.ts";
import { bootstrap, type Interval } from "../bootstrap.ts";

export interface Association extends Interval {
  /**
   * Difference of the groups' mean associations over the deviation of all, above 0 where X leans to A; at most
   * sqrt(n (n - 1) / (|X| |Y|)) of n = |X| + |Y|: 2 for large groups of one size.
   */
  readonly effectSize: number;
  /** Share of the equally large divisions of X and Y together whose difference is at least as large (one-sided). */
  readonly pValue: number;
  /** Whether all divisions were counted, not a sample. */
  readonly isExact: boolean;
  readonly sizes: { readonly x: number; readonly y: number };
}

export interface AssociationOptions {
  /** Divisions that are drawn if there are more. @default 10000 */
  readonly permutations?: number;
  /** Of the bootstrap interval. @default 2000 */
  readonly resamples?: number;
  /** @default 0 */
  readonly seed?: number;
}

/** How much nearer a unit vector is to A than to B: mean cosine with A less mean cosine with B. */
export function leaning(row: Float32Array, a: readonly Float32Array[], b: readonly Float32Array[]): number {
  const meanCosine = (rows: readonly Float32Array[]): number =>
    rows.reduce((sum, other) => sum + dotProduct(row, other), 0) / rows.length;
  return meanCosine(a) - meanCosine(b);
}

/**
 * The test of two groups' leanings (`leaning`). The interval is of the effect size, both groups being drawn anew, each by itself.
 * @throws one line if a group has fewer than two or all lean alike
 */
export function association(
  x: readonly number[],
  y: readonly number[],
  { permutations = 10_000, resamples = 2000, seed = 0 }: AssociationOptions = {},
): Association {
  if (x.length < 2 || y.length < 2)
    throw new Error(`association: expected two of each group, got ${x.length} and ${y.length}`);
  const all = [...x, ...y];
  const effectSize = effect(x, y);
  if (!Number.isFinite(effectSize)) throw new Error("association: all lean exactly alike: there is no effect size");
  const strata = all.map((_, i) => (i < x.length ? 0 : 1));
  const drawnX = new Float64Array(x.length);
  const drawnY = new Float64Array(y.length);
  const { low, high } = bootstrap(
    all.length,
    (indices) => {
      for (let i = 0; i < x.length; i++) drawnX[i] = all[indices[i] ?? 0] ?? 0;
      for (let i = 0; i < y.length; i++) drawnY[i] = all[indices[x.length + i] ?? 0] ?? 0;
      const value = effect(drawnX, drawnY);
      return Number.isFinite(value) ? value : 0;
    },
    { seed, resamples, strata },
  );
  return { effectSize, low, high, ...permuted(all, x.length, permutations, seed), sizes: { x: x.length, y: y.length } };
}

/** (mean X - mean Y) / deviation of X and Y together, n - 1 in the denominator. */
function effect(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const all = [...Array.from(x), ...Array.from(y)];
  const mean = average(all);
  const variance = all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (all.length - 1);
  return (average(x) - average(y)) / Math.sqrt(variance);
}

const average = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

/** The difference of means grows with the sum of X, since that of all is fixed: sums are compared. */
function permuted(all: readonly number[], size: number, most: number, seed: number) {
  const observed = all.slice(0, size).reduce((sum, value) => sum + value, 0);
  // Divisions that are the observed one in another order must count as equal to it.
  const slack = 1e-12 * all.reduce((sum, value) => sum + Math.abs(value), 0);
  const isExact = choose(all.length, size) <= most;
  let atLeast = 0;
  let total = 0;
  const add = (sum: number): void => {
    total++;
    if (sum >= observed - slack) atLeast++;
  };
  if (isExact) {
    const visit = (from: number, left: number, sum: number): void => {
      if (left === 0) add(sum);
      else for (let i = from; i <= all.length - left; i++) visit(i + 1, left - 1, sum + (all[i] ?? 0));
    };
    visit(0, size, 0);
    return { pValue: atLeast / total, isExact };
  }
  const random = new Random(seed, all.length, size);
  const pool = [...all];
  for (let n = 0; n < most; n++) {
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const j = i + random.int(pool.length - i);
      [pool[i], pool[j]] = [pool[j] ?? 0, pool[i] ?? 0];
      sum += pool[i] ?? 0;
    }
    add(sum);
  }
  // The observed division is one of those possible: no p-value of a sample is 0 (Phipson and Smyth 2010).
  return { pValue: (atLeast + 1) / (total + 1), isExact };
}

/** How many ways there are to take k of n; a number that is too large for doubles is infinite. */
function choose(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= k; i++) ways = (ways * (n - k + i)) / i;
  return Math.round(ways);
}
