/** Whether a model is right as often as its probabilities say. */

export interface ReliabilityBin {
  /** Confidences of this bin: above `low` (the first: from it), up to `high`. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Mean confidence and share of right answers; 0 where the bin is empty. */
  readonly confidence: number;
  readonly accuracy: number;
}

export interface Reliability {
  readonly bins: readonly ReliabilityBin[];
  /** Expected calibration error: mean over the answers of |accuracy - confidence| of their bin (Guo et al. 2017, arXiv 1706.04599, equation 3). */
  readonly expectedError: number;
  /** The largest of those differences (equation 5). */
  readonly greatestError: number;
}

export interface ReliabilityOptions {
  /** @default 15 */
  readonly bins?: number;
  /** `width`: bins equally wide. `count`: bins with equally many answers, called adaptive (Nixon et al. 2019, arXiv 1904.01685). @default "width" */
  readonly equal?: "width" | "count";
}

/** @param confidences probability of the answer given, 0 to 1 @param correct whether it was right (not 0) @throws one line */
export function reliability(
  confidences: ArrayLike<number>,
  correct: ArrayLike<number | boolean>,
  { bins: count = 15, equal = "width" }: ReliabilityOptions = {},
): Reliability {
  const total = confidences.length;
  if (total === 0 || correct.length !== total)
    throw new Error(`calibration: expected an answer for each confidence, got ${correct.length} for ${total}`);
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`calibration: expected bins, got ${count}`);
  const edges = equal === "width" ? Array.from({ length: count }, (_, i) => (i + 1) / count) : [];
  const sums = Array.from({ length: count }, () => ({ count: 0, confidence: 0, accuracy: 0, low: 1, high: 0 }));
  for (const [place, index] of order(confidences, equal).entries()) {
    const confidence = confidences[index] ?? Number.NaN;
    // A softmax may exceed 1 by rounding.
    if (!(confidence >= 0 && confidence <= 1 + 1e-6))
      throw new Error(`calibration: expected confidences from 0 to 1, got ${confidence} at ${index}`);
    const at = equal === "count" ? Math.floor((place * count) / total) : binOf(confidence, edges);
    const bin = sums[at];
    if (!bin) continue;
    bin.count++;
    bin.confidence += confidence;
    bin.accuracy += Number(Boolean(correct[index]));
    bin.low = Math.min(bin.low, confidence);
    bin.high = Math.max(bin.high, confidence);
  }
  const bins = sums.map((bin, i) => ({
    low: equal === "width" ? i / count : bin.low,
    high: equal === "width" ? (i + 1) / count : bin.high,
    count: bin.count,
    confidence: bin.count === 0 ? 0 : bin.confidence / bin.count,
    accuracy: bin.count === 0 ? 0 : bin.accuracy / bin.count,
  }));
  const errors = bins.map(({ confidence, accuracy }) => Math.abs(accuracy - confidence));
  return {
    bins: equal === "width" ? bins : bins.filter((bin) => bin.count > 0),
    expectedError: bins.reduce((sum, bin, i) => sum + (errors[i] ?? 0) * bin.count, 0) / total,
    greatestError: Math.max(...errors),
  };
}

const order = (confidences: ArrayLike<number>, equal: "width" | "count"): Uint32Array => {
  const indices = Uint32Array.from({ length: confidences.length }, (_, i) => i);
  return equal === "width" ? indices : indices.sort((a, b) => (confidences[a] ?? 0) - (confidences[b] ?? 0) || a - b);
};

/** The first bin whose upper edge is not below. */
function binOf(confidence: number, edges: readonly number[]): number {
  let at = Math.max(0, Math.min(edges.length - 1, Math.ceil(confidence * edges.length) - 1));
  // The product may round over an edge.
  if (at > 0 && confidence <= (edges[at - 1] ?? 0)) at--;
  else if (confidence > (edges[at] ?? 1) && at < edges.length - 1) at++;
  return at;
}

/** Logits of `length` pictures over the classes; rows may be computed when they are asked for. */
export interface Logits {
  readonly length: number;
  row(index: number): ArrayLike<number>;
}

export interface ProbabilityScores {
  /** Of the answer given. */
  readonly confidences: Float64Array;
  readonly correct: Uint8Array;
  /** Mean over pictures of sum over classes of (p - y)^2 (Brier 1950): 0 is perfect, 2 the worst. */
  readonly brier: number;
  /** Mean over pictures of -ln p of the right class. */
  readonly negativeLogLikelihood: number;
}

/** Probabilities are the softmax of logits / temperature. @param labels class of each picture @throws one line */
export function probabilityScores(logits: Logits, labels: ArrayLike<number>, temperature = 1): ProbabilityScores {
  checkLabels(logits, labels);
  if (!(temperature > 0)) throw new Error(`calibration: expected a temperature above 0, got ${temperature}`);
  const confidences = new Float64Array(logits.length);
  const correct = new Uint8Array(logits.length);
  let brier = 0;
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const row = logits.row(i);
    const label = labelOf(labels, i, row);
    let best = 0;
    for (let c = 1; c < row.length; c++) if ((row[c] ?? 0) > (row[best] ?? 0)) best = c;
    const greatest = row[best] ?? Number.NaN;
    let sum = 0;
    let squares = 0;
    for (let c = 0; c < row.length; c++) {
      const e = Math.exp(((row[c] ?? Number.NaN) - greatest) / temperature);
      sum += e;
      squares += e * e;
    }
    const own = ((row[label] ?? Number.NaN) - greatest) / temperature;
    confidences[i] = 1 / sum;
    correct[i] = Number(best === label);
    brier += squares / sum ** 2 - (2 * Math.exp(own)) / sum + 1;
    loss += Math.log(sum) - own;
  }
  return { confidences, correct, brier: brier / logits.length, negativeLogLikelihood: loss / logits.length };
}

/** Temperatures looked for. */
const [COLDEST, HOTTEST] = [1e-3, 1e3];

/**
 * The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2), to be fitted on pictures other than those
 * that calibration is measured on. The loss is convex in 1 / temperature: Newton's steps, halved towards the bracket where they leave it.
 * Reads every row once a step, some ten steps.
 * @returns 0.001 to 1000; where every answer is right, one so low that nothing of the loss is left
 * @throws one line
 */
export function fitTemperature(logits: Logits, labels: ArrayLike<number>): number {
  checkLabels(logits, labels);
  let [low, high] = [1 / HOTTEST, 1 / COLDEST];
  let inverse = 1;
  for (let step = 0; step < 100; step++) {
    const { slope, curvature } = slopeAt(logits, labels, inverse);
    if (slope === 0) break;
    if (slope > 0) high = inverse;
    else low = inverse;
    const newton = inverse - slope / curvature;
    // In the middle by factors, since the range spans six decades.
    const next = newton > low && newton < high ? newton : Math.sqrt(low * high);
    if (Math.abs(next - inverse) <= 1e-10 * inverse) break;
    inverse = next;
  }
  return 1 / inverse;
}

/** First and second derivative of the mean loss in 1 / temperature: mean and variance of the logits under the softmax. */
function slopeAt(logits: Logits, labels: ArrayLike<number>, inverse: number): { slope: number; curvature: number } {
  let slope = 0;
  let curvature = 0;
  for (let i = 0; i < logits.length; i++) {
    const row = logits.row(i);
    let greatest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < row.length; c++) greatest = Math.max(greatest, row[c] ?? Number.NaN);
    let [sum, first, second] = [0, 0, 0];
    for (let c = 0; c < row.length; c++) {
      const z = (row[c] ?? 0) - greatest;
      const e = Math.exp(inverse * z);
      sum += e;
      first += e * z;
      second += e * z * z;
    }
    const mean = first / sum;
    slope += mean - ((row[labelOf(labels, i, row)] ?? 0) - greatest);
    curvature += second / sum - mean * mean;
  }
  return { slope: slope / logits.length, curvature: curvature / logits.length };
}

function checkLabels({ length }: Logits, labels: ArrayLike<number>): void {
  if (length === 0 || labels.length !== length)
    throw new Error(`calibration: expected a label for each row of logits, got ${labels.length} for ${length}`);
}

function labelOf(labels: ArrayLike<number>, index: number, row: ArrayLike<number>): number {
  const label = labels[index] ?? -1;
  if (!(Number.isInteger(label) && label >= 0 && label < row.length))
    throw new Error(`calibration: expected labels from 0 to ${row.length - 1}, got ${label} at ${index}`);
  return label;
}
