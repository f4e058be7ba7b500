/** The paper's metrics (CLIP, table 9), as functions of which pictures count, so that a bootstrap can ask for any resample. */
import type { MetricName } from "./tasks/task.ts";

/** The figure of some pictures, by their rows; one that occurs twice counts twice. NaN where it has no meaning. */
export type Statistic = (rows: Uint32Array) => number;

/** What a classifier said of [count] pictures. */
export interface Scored {
  readonly classes: number;
  /** [count]; -1 where a picture has none. */
  readonly labels: Int32Array;
  /** [count, classes]: 1 it has the class, 0 it has not, -1 not counted; where a picture may have several. */
  readonly several?: Int8Array;
  /** [count]: the class with the highest score. */
  readonly predicted: Int32Array;
  /** [count]: how many classes come before the label, 0 being the first; ties go to the class with the lower number. */
  readonly ranks: Int32Array;
  /** [count], 0 to 1: probability of the predicted class. */
  readonly confidence: Float32Array;
  /** [count, classes], where the metric needs them all (`needsScores`). */
  readonly scores?: Float32Array;
}

export const needsScores = (metric: MetricName): boolean => metric === "11-point mAP" || metric === "ROC AUC";

/** @throws one line if the scores that it needs are not there */
export function statisticOf(metric: MetricName, scored: Scored): Statistic {
  switch (metric) {
    case "accuracy":
      return within(scored.ranks, 1);
    case "mean of two": {
      const [first, five] = [within(scored.ranks, 1), within(scored.ranks, 5)];
      return (rows) => (first(rows) + five(rows)) / 2;
    }
    case "mean per class":
      return meanPerClass(scored);
    case "11-point mAP":
      return meanOverClasses(scored, averagePrecision11);
    case "ROC AUC":
      return scored.classes === 2 && !scored.several ? binaryAuc(scored) : meanOverClasses(scored, rocAuc);
  }
}

/** Share of pictures whose label is among the first n. */
export const within =
  (ranks: Int32Array, n: number): Statistic =>
  (rows) => {
    let found = 0;
    for (const row of rows) {
      const rank = ranks[row] ?? -1;
      if (rank >= 0 && rank < n) found++;
    }
    return found / rows.length;
  };

/** Mean over the classes that occur of their share of right answers. */
export function meanPerClass({ classes, labels, ranks }: Pick<Scored, "classes" | "labels" | "ranks">): Statistic {
  const found = new Int32Array(classes);
  const seen = new Int32Array(classes);
  return (rows) => {
    found.fill(0);
    seen.fill(0);
    for (const row of rows) {
      const label = labels[row] ?? -1;
      if (label < 0) continue;
      seen[label] = (seen[label] ?? 0) + 1;
      if (ranks[row] === 0) found[label] = (found[label] ?? 0) + 1;
    }
    let [sum, present] = [0, 0];
    for (let c = 0; c < classes; c++) {
      if (!seen[c]) continue;
      sum += (found[c] ?? 0) / (seen[c] ?? 1);
      present++;
    }
    return sum / present;
  };
}

/** Rows by falling score. */
export interface Ranking {
  readonly order: Uint32Array;
  /** By row. */
  readonly scores: ArrayLike<number>;
}

export function ranking(scores: ArrayLike<number>): Ranking {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i);
  return { scores, order: order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b) };
}

/** A figure of one class: @param relevant by row: 1, 0, or -1 for not counted @param counts by row: how often it counts */
export type RankedFigure = (ranked: Ranking, relevant: ArrayLike<number>, counts: ArrayLike<number>) => number;

/** Calls back at the end of every group of equal scores with the numbers of positives and negatives so far. */
function thresholds(
  { order, scores }: Ranking,
  relevant: ArrayLike<number>,
  counts: ArrayLike<number>,
  use: (positives: number, negatives: number) => void,
): { readonly positives: number; readonly negatives: number } {
  let [positives, negatives] = [0, 0];
  for (let i = 0; i < order.length; i++) {
    const row = order[i] ?? 0;
    const times = counts[row] ?? 0;
    if (relevant[row] === 1) positives += times;
    else if (relevant[row] === 0) negatives += times;
    if (i + 1 === order.length || scores[order[i + 1] ?? 0] !== scores[row]) use(positives, negatives);
  }
  return { positives, negatives };
}

/** Mean over the recalls 0, 0.1 ... 1 of the highest precision at that recall or beyond (VOC 2007 development kit, section 3.4.1). */
export const averagePrecision11: RankedFigure = (ranked, relevant, counts) => {
  const points: { readonly positives: number; readonly precision: number }[] = [];
  const all = thresholds(ranked, relevant, counts, (positives, negatives) => {
    if (positives + negatives > 0) points.push({ positives, precision: positives / (positives + negatives) });
  }).positives;
  if (all === 0) return Number.NaN;
  let [sum, highest] = [0, 0];
  let point = points.length - 1;
  for (let tenth = 10; tenth >= 0; tenth--) {
    // In whole numbers: a recall of 3 in 10 is 0.3, which three tenths in floating point are not.
    for (; point >= 0 && 10 * (points[point]?.positives ?? 0) >= tenth * all; point--)
      highest = Math.max(highest, points[point]?.precision ?? 0);
    sum += highest;
  }
  return sum / 11;
};

/** Sum over the thresholds of the recall gained times the precision there, without interpolation (scikit-learn's). */
export const averagePrecision: RankedFigure = (ranked, relevant, counts) => {
  let [before, sum] = [0, 0];
  const all = thresholds(ranked, relevant, counts, (positives, negatives) => {
    if (positives > before) sum += ((positives - before) * positives) / (positives + negatives);
    before = positives;
  }).positives;
  return sum / all;
};

/** Share of pairs of a positive and a negative in which the positive has the higher score; equal scores count half. */
export const rocAuc: RankedFigure = (ranked, relevant, counts) => {
  let [positivesBefore, negativesBefore, pairs] = [0, 0, 0];
  const { positives, negatives } = thresholds(ranked, relevant, counts, (p, n) => {
    const here = n - negativesBefore;
    pairs += here * (positivesBefore + (p - positivesBefore) / 2);
    [positivesBefore, negativesBefore] = [p, n];
  });
  return pairs / (positives * negatives);
};

/** Mean over the classes that have one of the pictures. */
export function meanOverClasses(scored: Scored, figure: RankedFigure): Statistic {
  const { classes, labels, several } = scored;
  const scores = allScores(scored);
  const count = labels.length;
  const columns = Array.from({ length: classes }, (_, c) => ({
    ranked: ranking(Float32Array.from({ length: count }, (_, row) => scores[row * classes + c] ?? 0)),
    relevant: Int8Array.from(labels, (label, row) =>
      several ? (several[row * classes + c] ?? 0) : Number(label === c),
    ),
  }));
  const counts = new Uint32Array(count);
  return (rows) => {
    counted(rows, counts);
    const found = columns.map(({ ranked, relevant }) => figure(ranked, relevant, counts)).filter(Number.isFinite);
    return found.reduce((sum, value) => sum + value, 0) / found.length;
  };
}

/** Of two classes the second is what is looked for. */
function binaryAuc(scored: Scored): Statistic {
  const scores = allScores(scored);
  const margins = Float64Array.from(scored.labels, (_, row) => (scores[2 * row + 1] ?? 0) - (scores[2 * row] ?? 0));
  const ranked = ranking(margins);
  const counts = new Uint32Array(scored.labels.length);
  return (rows) => {
    counted(rows, counts);
    return rocAuc(ranked, scored.labels, counts);
  };
}

function counted(rows: Uint32Array, counts: Uint32Array): void {
  counts.fill(0);
  for (const row of rows) counts[row] = (counts[row] ?? 0) + 1;
}

function allScores({ scores, labels, classes }: Scored): Float32Array {
  if (scores?.length === labels.length * classes) return scores;
  throw new Error(`metric: expected ${labels.length} x ${classes} scores, got ${scores?.length ?? "none"}`);
}
