/** From features and one row for each class to what a classifier says, a block of pictures at a time. */
import { needsScores, type Scored } from "./metrics.ts";
import { type FeatureMatrix, type FeatureSet, normalizedMatrix } from "./tasks/features.ts";
import type { MetricName } from "./tasks/task.ts";

/** Rows of pictures that are scored at once. */
const BLOCK = 512;

/** How cosines become probabilities. */
export interface Probability {
  readonly logitScale: number;
  /** Of models trained with the sigmoid loss; without it probabilities are softmaxes. */
  readonly logitBias: number | undefined;
}

export interface ScoringOptions {
  readonly metric: MetricName;
  readonly probability: Probability;
  readonly signal?: AbortSignal;
}

/**
 * Nearest class by cosine.
 * @param weights one normalised row for each class
 * @throws one line if a label has no class
 */
export async function scoredBy(
  features: FeatureSet,
  weights: readonly Float32Array[],
  { metric, probability, signal }: ScoringOptions,
): Promise<Scored> {
  const { count, labels, several } = features;
  const classes = weights.length;
  for (const [row, label] of labels.entries())
    if (label >= classes)
      throw new Error(`zero-shot: picture ${features.indices[row]} has label ${label}, there are ${classes} classes`);
  const scores = needsScores(metric) ? new Float32Array(count * classes) : undefined;
  const predicted = new Int32Array(count);
  const ranks = new Int32Array(count);
  const confidence = new Float32Array(count);
  await eachCosines(features.projected, weights, signal, (cosines, row) => {
    scores?.set(cosines, row * classes);
    const label = labels[row] ?? -1;
    const best = highest(cosines);
    predicted[row] = best;
    ranks[row] = label < 0 ? -1 : rankIn(cosines, label);
    confidence[row] = probabilityOf(cosines, best, probability);
  });
  return { classes, labels, ...(several && { several }), predicted, ranks, confidence, ...(scores && { scores }) };
}

/** What a classifier says whose scores are there already. @param scores [count, classes], whose softmaxes are probabilities */
export function scoredFrom(features: Pick<FeatureSet, "labels" | "several">, scores: Float32Array): Scored {
  const { labels, several } = features;
  const classes = scores.length / labels.length;
  const predicted = new Int32Array(labels.length);
  const confidence = new Float32Array(labels.length);
  const ranks = labels.map((label, row) => {
    const own = scores.subarray(row * classes, (row + 1) * classes);
    const best = highest(own);
    predicted[row] = best;
    confidence[row] = probabilityOf(own, best, { logitScale: 1, logitBias: undefined });
    return label < 0 ? -1 : rankIn(own, label);
  });
  return { classes, labels, ...(several && { several }), predicted, ranks, confidence, scores };
}

/** Calls back with the cosines of every row with all weights; the array is reused. */
async function eachCosines(
  matrix: FeatureMatrix,
  weights: readonly Float32Array[],
  signal: AbortSignal | undefined,
  use: (cosines: Float64Array, row: number) => void,
): Promise<void> {
  const unit = normalizedMatrix(matrix);
  const { width } = unit;
  const cosines = new Float64Array(weights.length);
  for (let start = 0; start < unit.count; start += BLOCK) {
    signal?.throwIfAborted();
    const end = Math.min(unit.count, start + BLOCK);
    const rows = await unit.read(start, end);
    for (let row = start; row < end; row++) {
      const at = (row - start) * width;
      for (const [c, weight] of weights.entries()) cosines[c] = dot(rows, at, weight);
      use(cosines, row);
    }
  }
}

/** Four sums at a time: a processor can then work on the next product before the last one is added. */
function dot(rows: Float32Array, at: number, weight: Float32Array): number {
  const { length } = weight;
  // One by one: taken out of a list they are slower by half.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    a += (rows[at + i] ?? 0) * (weight[i] ?? 0);
    b += (rows[at + i + 1] ?? 0) * (weight[i + 1] ?? 0);
    c += (rows[at + i + 2] ?? 0) * (weight[i + 2] ?? 0);
    d += (rows[at + i + 3] ?? 0) * (weight[i + 3] ?? 0);
  }
  for (; i < length; i++) a += (rows[at + i] ?? 0) * (weight[i] ?? 0);
  return a + b + c + d;
}

type Row = Float32Array | Float64Array;

function highest(values: Row): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  return best;
}

function rankIn(values: Row, label: number): number {
  const own = values[label] ?? 0;
  let rank = 0;
  for (let i = 0; i < values.length; i++) {
    const its = values[i] ?? 0;
    if (its > own || (its === own && i < label)) rank++;
  }
  return rank;
}

function probabilityOf(cosines: Row, best: number, { logitScale, logitBias }: Probability): number {
  const own = cosines[best] ?? 0;
  if (logitBias !== undefined) return 1 / (1 + Math.exp(-logitScale * own - logitBias));
  let total = 0;
  for (const cosine of cosines) total += Math.exp(logitScale * (cosine - own));
  return 1 / total;
}
