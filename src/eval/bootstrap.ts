/** How sure a figure is: percentile bootstrap intervals (Efron and Tibshirani 1993, section 13.3). */
import { deviation, quantileSorted } from "d3-array";
import { Random } from "../data/index.ts";
import { binomial, cumulative, quantile } from "./binomial.ts";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Estimate extends Interval {
  readonly value: number;
  /** Standard deviation of the figure over resamples. */
  readonly standardError: number;
}

export interface LevelOption {
  /** Share of resamples inside the interval. @default 0.95 */
  readonly level?: number;
}

export interface BootstrapOptions extends LevelOption {
  /** @default 2000 */
  readonly resamples?: number;
  /** @default 0 */
  readonly seed?: number;
  /**
   * A whole number for each item: every resample has as many items of each number as there are. For figures that need
   * every class (ROC AUC), or where class sizes were fixed. A stratum of one item never varies, so that many small ones make
   * the interval too narrow.
   */
  readonly strata?: ArrayLike<number>;
}

/**
 * Interval of any figure: items are drawn with replacement. For the difference of two models on the same items let the statistic be
 * that difference, so that both see the same draws (a paired bootstrap).
 * @param length number of items
 * @param statistic the figure of some items, given by their indices; the array is reused, so do not keep it
 * @throws one line if the statistic of a resample is not a finite number
 */
export function bootstrap(
  length: number,
  statistic: (indices: Uint32Array) => number,
  options: BootstrapOptions = {},
): Estimate {
  const { level = 0.95, resamples = 2000, seed = 0, strata } = options;
  checkLevel(level);
  if (!Number.isSafeInteger(length) || length < 1) throw new Error(`bootstrap: expected items, got ${length}`);
  if (!Number.isSafeInteger(resamples) || resamples < 1)
    throw new Error(`bootstrap: expected at least one resample, got ${resamples}`);
  const indices = Uint32Array.from({ length }, (_, i) => i);
  const value = statistic(indices);
  const groups = groupsOf(length, strata);
  const random = new Random(seed, length, resamples);
  const values = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    let at = 0;
    for (const group of groups) {
      // Of 32 bits: chances differ by a four-thousandth at most for the largest of these groups, and by nothing to speak of for others.
      const per = group.length <= 2 ** 20 ? group.length / 2 ** 32 : 0;
      for (let drawn = 0; drawn < group.length; drawn++)
        indices[at++] = group[Math.floor(per > 0 ? random.bits() * per : random.uniform() * group.length)] ?? 0;
    }
    const figure = statistic(indices);
    if (!Number.isFinite(figure))
      throw new Error(`bootstrap: the figure of resample ${i} is ${figure}; strata keep every class in every resample`);
    values[i] = figure;
  }
  const sorted = [...values.sort()];
  const [low, high] = [(1 - level) / 2, (1 + level) / 2].map((share) => quantileSorted(sorted, share));
  return { value, low: low ?? value, high: high ?? value, standardError: deviation(values) ?? 0 };
}

/**
 * Interval of an accuracy. Resampling makes its count of right answers binomial, so this is what the bootstrap tends to with ever more
 * resamples, and needs none. No answer or every answer right gives an interval without width: see `exactInterval`.
 */
export function accuracyInterval(correct: number, total: number, { level = 0.95 }: LevelOption = {}): Estimate {
  checkCounts(correct, total);
  checkLevel(level);
  const value = correct / total;
  const counts = binomial(total, value);
  return {
    value,
    low: quantile(counts, (1 - level) / 2) / total,
    high: quantile(counts, (1 + level) / 2) / total,
    standardError: Math.sqrt((value * (1 - value)) / total),
  };
}

/** Clopper and Pearson's interval (Biometrika 1934) of a share, honest for the few pictures of one class and at 0 and 1. */
export function exactInterval(correct: number, total: number, { level = 0.95 }: LevelOption = {}): Interval {
  checkCounts(correct, total);
  checkLevel(level);
  const tail = (1 - level) / 2;
  // Both tails fall or grow steadily with the chance.
  const solve = (isBelow: (p: number) => boolean): number => {
    let [low, high] = [0, 1];
    while (high - low > 1e-12) {
      const middle = (low + high) / 2;
      if (isBelow(middle)) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };
  return {
    low: correct === 0 ? 0 : solve((p) => 1 - cumulative(binomial(total, p), correct - 1) < tail),
    high: correct === total ? 1 : solve((p) => cumulative(binomial(total, p), correct) > tail),
  };
}

export interface PairedCounts {
  /** Items that only the first, and only the second of two models answered rightly. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly total: number;
}

export interface Difference extends Estimate {
  /** Chance of counts at least as uneven as these if both were equally good (McNemar's exact test, two-sided). */
  readonly pValue: number;
}

/**
 * Accuracy of the first minus that of the second on the same items. As with one accuracy, the resamples' exact
 * distribution stands for the resamples: the items on which the models differ are binomial, and so are the first's among them.
 */
export function accuracyDifference(counts: PairedCounts, { level = 0.95 }: LevelOption = {}): Difference {
  const { onlyFirst, onlySecond, total } = counts;
  checkCounts(onlyFirst + onlySecond, total);
  checkCounts(onlyFirst, onlyFirst + onlySecond || 1);
  checkLevel(level);
  const differing = onlyFirst + onlySecond;
  const value = (onlyFirst - onlySecond) / total;
  const disagreements = binomial(total, differing / total);
  const most = disagreements.first + disagreements.mass.length - 1;
  const mass = new Float64Array(2 * most + 1);
  for (const [i, chance] of disagreements.mass.entries()) {
    const among = disagreements.first + i;
    const wins = binomial(among, differing === 0 ? 0 : onlyFirst / differing);
    for (const [j, share] of wins.mass.entries()) {
      const at = most + 2 * (wins.first + j) - among;
      mass[at] = (mass[at] ?? 0) + chance * share;
    }
  }
  const table = { first: -most, mass };
  const fair = cumulative(binomial(differing, 0.5), Math.min(onlyFirst, onlySecond));
  return {
    value,
    low: quantile(table, (1 - level) / 2) / total,
    high: quantile(table, (1 + level) / 2) / total,
    standardError: Math.sqrt((differing / total - value ** 2) / total),
    pValue: Math.min(1, 2 * fair),
  };
}

/** Indices of each stratum; one of all items where there are no strata. */
function groupsOf(length: number, strata: ArrayLike<number> | undefined): readonly Uint32Array[] {
  if (strata === undefined) return [Uint32Array.from({ length }, (_, i) => i)];
  if (strata.length !== length) throw new Error(`bootstrap: ${length} items have ${strata.length} strata`);
  const groups = new Map<number, number[]>();
  for (let i = 0; i < length; i++) {
    const stratum = strata[i] ?? 0;
    const group = groups.get(stratum);
    if (group) group.push(i);
    else groups.set(stratum, [i]);
  }
  return [...groups.values()].map((group) => Uint32Array.from(group));
}

function checkLevel(level: number): void {
  if (!(level > 0 && level < 1)) throw new Error(`interval: expected a level between 0 and 1, got ${level}`);
}

function checkCounts(correct: number, total: number): void {
  if (!(Number.isSafeInteger(total) && total >= 1 && Number.isSafeInteger(correct) && correct >= 0 && correct <= total))
    throw new Error(`interval: expected a count of right answers among at least one, got ${correct} of ${total}`);
}
