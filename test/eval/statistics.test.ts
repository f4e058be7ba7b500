import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Random } from "../../src/data/index.ts";
import { binomial, cumulative, quantile } from "../../src/eval/binomial.ts";
import { accuracyDifference, accuracyInterval, bootstrap, exactInterval } from "../../src/eval/bootstrap.ts";
import { fitTemperature, probabilityScores, reliability } from "../../src/eval/calibration.ts";
import { figuresOf } from "../../src/eval/outcome.ts";

interface Interval {
  readonly low: number;
  readonly high: number;
}

/** By scipy and scikit-learn: golden/make/statistics.py. */
const official = JSON.parse(readFileSync(new URL("../golden/evaluation/statistics.json", import.meta.url), "utf8")) as {
  readonly accuracies: readonly (Interval & {
    readonly correct: number;
    readonly total: number;
    readonly level: number;
    readonly exact_low: number;
    readonly exact_high: number;
  })[];
  readonly differences: readonly (Interval & {
    readonly first: number;
    readonly second: number;
    readonly total: number;
    readonly p: number;
  })[];
  readonly resampled: readonly (Interval & {
    readonly name: string;
    readonly data: readonly (readonly number[])[];
    readonly value: number;
    readonly standard_error: number;
  })[];
  readonly calibration: {
    readonly logits: readonly (readonly number[])[];
    readonly labels: readonly number[];
    readonly temperature: number;
    readonly brier: number;
    readonly loss: number;
    readonly fitted_loss: number;
    readonly expected_error: number;
    readonly greatest_error: number;
    readonly adaptive_error: number;
  };
};

const column = (name: string, at: number): readonly number[] =>
  official.resampled.find((entry) => entry.name === name)?.data[at] ?? [];
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

it("gives an accuracy the intervals that scipy's binomial distribution gives", () => {
  for (const { correct, total, level, low, high, exact_low, exact_high } of official.accuracies) {
    const interval = accuracyInterval(correct, total, { level });
    expect([interval.low, interval.high], `${correct} of ${total}`).toEqual([low, high]);
    const exact = exactInterval(correct, total, { level });
    expect(Math.abs(exact.low - exact_low)).toBeLessThan(1e-9);
    expect(Math.abs(exact.high - exact_high)).toBeLessThan(1e-9);
  }
});

it("gives a difference of accuracies the exact distribution of resampled counts, and McNemar's test", () => {
  for (const { first, second, total, low, high, p } of official.differences) {
    const difference = accuracyDifference({ onlyFirst: first, onlySecond: second, total });
    expect(difference.value).toBe((first - second) / total);
    expect([difference.low, difference.high], `${first} and ${second} of ${total}`).toEqual([low, high]);
    expect(Math.abs(difference.pValue - p)).toBeLessThan(1e-12);
  }
});

it("stays exact where naive sums underflow, and whatever the chance", () => {
  const million = binomial(1_000_000, 0.5);
  expect(million.mass.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
  expect(quantile(million, 0.5)).toBe(500_000);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.double({ min: 0, max: 1, noNaN: true }), (trials, p) => {
      const table = binomial(trials, p);
      const moments = [...table.mass.entries()].map(([i, mass]) => [table.first + i, mass] as const);
      const expected = moments.reduce((sum, [count, mass]) => sum + count * mass, 0);
      expect(expected).toBeCloseTo(trials * p, 8);
      expect(moments.reduce((sum, [count, mass]) => sum + (count - expected) ** 2 * mass, 0)).toBeCloseTo(
        trials * p * (1 - p),
        7,
      );
      expect(cumulative(table, trials)).toBeCloseTo(1, 12);
    }),
  );
});

it("resamples any figure as scipy does, up to the draws", () => {
  for (const { name, data, value, low, high, standard_error } of official.resampled) {
    const [first = [], second = []] = data;
    const statistic =
      name === "mean"
        ? (indices: Uint32Array) => mean([...indices].map((i) => first[i] ?? 0))
        : (indices: Uint32Array) => {
            // Wilcoxon's: the share of pairs in the right order.
            const scores = (label: number): number[] =>
              [...indices].flatMap((i) => (first[i] === label ? [second[i] ?? 0] : []));
            const [negative, positive] = [scores(0), scores(1)];
            const above = positive.map((p) => mean(negative.map((n) => (p > n ? 1 : p === n ? 0.5 : 0))));
            return mean(above);
          };
    const interval = bootstrap(first.length, statistic, { resamples: 3000, seed: 3 });
    expect(interval.value).toBeCloseTo(value, 10);
    // Monte Carlo errors of an end are about standardError * 2.3 / sqrt(resamples) at 2.5 %.
    expect(Math.abs(interval.low - low), name).toBeLessThan(0.2 * standard_error);
    expect(Math.abs(interval.high - high), name).toBeLessThan(0.2 * standard_error);
    expect(Math.abs(interval.standardError / standard_error - 1), name).toBeLessThan(0.08);
  }
});

it("gives the same interval for the same seed and another for another", () => {
  const values = column("mean", 0);
  const of = (seed: number) => bootstrap(values.length, (i) => mean([...i].map((j) => values[j] ?? 0)), { seed });
  expect(of(1)).toEqual(of(1));
  expect(of(1).low).not.toBe(of(2).low);
});

it("resampling right and wrong answers meets the exact interval", () => {
  const random = new Random(4);
  const right = Array.from({ length: 500 }, () => Number(random.uniform() < 0.3));
  const correct = right.reduce((sum, value) => sum + value, 0);
  const drawn = bootstrap(500, (indices) => mean([...indices].map((i) => right[i] ?? 0)), { resamples: 4000 });
  const exact = accuracyInterval(correct, 500);
  expect(drawn.standardError).toBeCloseTo(exact.standardError, 3);
  expect(Math.abs(drawn.low - exact.low)).toBeLessThanOrEqual(0.004);
  expect(Math.abs(drawn.high - exact.high)).toBeLessThanOrEqual(0.004);
});

it("keeps the size of every stratum in every resample", () => {
  const strata = [0, 0, 0, 1, 1, 7];
  const seen = new Set<number>();
  bootstrap(
    6,
    (indices) => {
      const groups = [...indices].map((i) => strata[i]);
      expect(groups.toSorted()).toEqual(strata);
      for (const index of indices) seen.add(index);
      return 0;
    },
    { strata, resamples: 50 },
  );
  expect(seen.size).toBe(6);
});

it("covers the truth about as often as it says", () => {
  const random = new Random(9);
  const trials = 400;
  const rounds = Array.from({ length: trials }, () => {
    const correct = Array.from({ length: 200 }, () => random.uniform() < 0.35).filter(Boolean).length;
    return [accuracyInterval(correct, 200), exactInterval(correct, 200)] as const;
  });
  const covered = (which: 0 | 1) =>
    rounds.filter((round) => round[which].low <= 0.35 && 0.35 <= round[which].high).length / trials;
  expect(covered(0)).toBeGreaterThan(0.91);
  expect(covered(0)).toBeLessThan(0.98);
  expect(covered(1)).toBeGreaterThan(0.94);
});

it("says in one line what cannot be", () => {
  expect(() => bootstrap(0, () => 0)).toThrow("bootstrap: expected items, got 0");
  expect(() => bootstrap(3, () => Number.NaN)).toThrow("the figure of resample 0 is NaN");
  expect(() => bootstrap(3, () => 0, { strata: [1] })).toThrow("3 items have 1 strata");
  expect(() => bootstrap(3, () => 0, { level: 95 })).toThrow("expected a level between 0 and 1, got 95");
  expect(() => accuracyInterval(3, 2)).toThrow("got 3 of 2");
  expect(() => accuracyDifference({ onlyFirst: 2, onlySecond: 2, total: 3 })).toThrow("got 4 of 3");
  expect(() => binomial(3, Number.NaN)).toThrow("expected a chance from 0 to 1, got NaN");
  expect(() => reliability([0.5], [])).toThrow("got 0 for 1");
  expect(() => reliability([1.5], [1])).toThrow("got 1.5 at 0");
  expect(() => fitTemperature({ length: 1, row: () => [0, 1] }, [2])).toThrow(
    "expected labels from 0 to 1, got 2 at 0",
  );
});

const { calibration } = official;
const logits = { length: calibration.logits.length, row: (i: number) => calibration.logits[i] ?? [] };

it("calibration errors are those of the definition", () => {
  const { confidences, correct } = probabilityScores(logits, calibration.labels);
  const wide = reliability(confidences, correct);
  expect(wide.bins).toHaveLength(15);
  expect(wide.expectedError).toBeCloseTo(calibration.expected_error, 12);
  expect(wide.greatestError).toBeCloseTo(calibration.greatest_error, 12);
  const adaptive = reliability(confidences, correct, { bins: 10, equal: "count" });
  expect(adaptive.expectedError).toBeCloseTo(calibration.adaptive_error, 12);
  expect(adaptive.bins.map(({ count }) => count)).toEqual(new Array(10).fill(20));
  expect(wide.bins.reduce((sum, { count }) => sum + count, 0)).toBe(200);
});

it("puts a confidence on an edge into the bin below it", () => {
  const { bins } = reliability([0, 0.1, 0.2, 0.3, 0.30000001, 0.7, 1], [1, 1, 1, 1, 1, 1, 1], { bins: 10 });
  expect(bins.map(({ count }) => count)).toEqual([2, 1, 1, 1, 0, 0, 1, 0, 0, 1]);
  // By hand: |1 - 0.05| * 2 + 0.8 + 0.7 + ... over 7.
  expect(reliability([0.8, 0.8, 0.8, 0.8], [1, 1, 1, 0]).expectedError).toBeCloseTo(0.05, 12);
  expect(reliability([0.9, 0.6], [0, 1], { bins: 2 }).expectedError).toBeCloseTo(0.25, 12);
});

it("Brier score and likelihood are scikit-learn's", () => {
  const { brier, negativeLogLikelihood } = probabilityScores(logits, calibration.labels);
  expect(brier).toBeCloseTo(calibration.brier, 12);
  expect(negativeLogLikelihood).toBeCloseTo(calibration.loss, 12);
});

it("finds the temperature that scipy finds, at any scale of the logits", () => {
  for (const scale of [1, 100, 0.02]) {
    const scaled = { length: logits.length, row: (i: number) => logits.row(i).map((value) => value * scale) };
    const temperature = fitTemperature(scaled, calibration.labels);
    expect(temperature / scale / calibration.temperature, `scale ${scale}`).toBeCloseTo(1, 5);
    const { negativeLogLikelihood } = probabilityScores(scaled, calibration.labels, temperature);
    expect(negativeLogLikelihood).toBeCloseTo(calibration.fitted_loss, 10);
  }
});

it("a temperature has an end where every answer is right or none tells anything", () => {
  const two = { length: 2, row: (i: number) => (i === 0 ? [3, 0] : [0, 3]) };
  expect(probabilityScores(two, [0, 1], fitTemperature(two, [0, 1])).negativeLogLikelihood).toBeLessThan(1e-15);
  expect(fitTemperature(two, [1, 0])).toBeCloseTo(1000, 0);
  expect(fitTemperature({ length: 1, row: () => [1, 1] }, [0])).toBe(1);
});

it("a mean per class is given where classes have pictures enough for its interval", () => {
  const scored = (labels: readonly number[]) => ({
    classes: 8,
    labels: Int32Array.from(labels),
    predicted: Int32Array.from(labels, (label, row) => (row % 2 ? label : (label + 1) % 8)),
    ranks: Int32Array.from(labels, (_, row) => (row % 2 ? 0 : 1)),
    confidence: new Float32Array(labels.length).fill(0.5),
  });
  const names = (labels: readonly number[]): string[] =>
    figuresOf("accuracy", scored(labels), 0).map(({ name }) => name);
  expect(names([0, 1, 2, 3, 4, 5, 6, 7])).toEqual(["top-1", "top-5"]);
  expect(names([0, 0, 1, 1, 2, 2])).toEqual(["top-1", "top-5", "mean per class"]);
});
