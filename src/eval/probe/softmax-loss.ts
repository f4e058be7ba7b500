/**
 * What softmax regression minimises, in double precision in this thread: exact, and quick enough for some thousand rows.
 * `engine-loss.ts` has the same on an engine, for more of them.
 */
import type { FeatureMatrix } from "../tasks/features.ts";
import { blocksOf, checkLabels, type LabelledRows } from "./feature-rows.ts";

/**
 * The sum over all rows of -log softmax(W x + b)[label]. Where rows may be of several classes, each class is a question of its own
 * (one against the rest): the sum over rows and classes of log(1 + exp(-z)) where it is, of log(1 + exp(z)) where it is not.
 */
export interface SoftmaxLoss {
  readonly link: "softmax" | "sigmoid";
  readonly rows: number;
  readonly classes: number;
  readonly width: number;
  /** Relative error of the values. */
  readonly noise: number;
  /**
   * @param weights W [classes, width], then b [classes]
   * @param gradient as `weights`; overwritten
   */
  evaluate(weights: Float64Array, gradient: Float64Array): Promise<number>;
  close(): Promise<void>;
}

/** Where a linear classifier is computed. */
export interface LinearArithmetic {
  readonly name: string;
  /** @throws one line if a label is none of the classes */
  loss(data: LabelledRows, classes: number): Promise<SoftmaxLoss>;
  /** W x + b of all rows: [rows, classes]. */
  scores(rows: FeatureMatrix, weights: Float64Array, classes: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Rows that are read at once. */
const BLOCK = 1024;

export const IN_DOUBLE_PRECISION: LinearArithmetic = {
  name: "double precision",
  loss: async (data, classes) => {
    checkLabels(data, classes);
    const { count, width } = data.rows;
    return {
      ...{ rows: count, classes, width, noise: 0, link: data.several ? "sigmoid" : "softmax" },
      evaluate: async (weights, gradient) => {
        gradient.fill(0);
        const logits = new Float64Array(classes);
        let total = 0;
        for await (const { start, count: rows, data: features } of blocksOf(data.rows, BLOCK))
          for (let row = 0; row < rows; row++) {
            const x = features.subarray(row * width, (row + 1) * width);
            affine(weights, x, logits);
            if (data.several) total += questioned(logits, data.several, (start + row) * classes);
            else {
              const label = data.labels[start + row] ?? 0;
              total -= logits[label] ?? 0;
              total += toSoftmax(logits);
              logits[label] = (logits[label] ?? 0) - 1; // now the slope of the loss to the logits
            }
            addOuter(gradient, logits, x);
          }
        return total;
      },
      close: async () => {},
    };
  },
  scores: async (rows, weights, classes) => {
    const all = new Float32Array(rows.count * classes);
    const logits = new Float64Array(classes);
    for await (const { start, count, data } of blocksOf(rows, BLOCK))
      for (let row = 0; row < count; row++) {
        affine(weights, data.subarray(row * rows.width, (row + 1) * rows.width), logits);
        all.set(logits, (start + row) * classes);
      }
    return all;
  },
  close: async () => {},
};

/** W x + b. Two rows of W at a time: each element of x is fetched half as often. */
function affine(weights: Float64Array, x: Float32Array, into: Float64Array): void {
  const width = x.length;
  const classes = into.length;
  const biases = classes * width;
  for (let c = 0; c < classes; c += 2) {
    const first = c * width;
    const second = c + 1 < classes ? first + width : first;
    let [a, b] = [0, 0];
    for (let i = 0; i < width; i++) {
      const value = x[i] ?? 0;
      a += (weights[first + i] ?? 0) * value;
      b += (weights[second + i] ?? 0) * value;
    }
    into[c] = a + (weights[biases + c] ?? 0);
    if (second !== first) into[c + 1] = b + (weights[biases + c + 1] ?? 0);
  }
}

/** Makes probabilities of logits, in place, and returns the logarithm of the sum of their exponentials. */
function toSoftmax(logits: Float64Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) highest = Math.max(highest, logit);
  let sum = 0;
  for (let c = 0; c < logits.length; c++) {
    const odds = Math.exp((logits[c] ?? 0) - highest);
    logits[c] = odds;
    sum += odds;
  }
  for (let c = 0; c < logits.length; c++) logits[c] = (logits[c] ?? 0) / sum;
  return highest + Math.log(sum);
}

/** The loss of a row's questions; its slopes to the logits take their place. */
function questioned(logits: Float64Array, several: Int8Array, at: number): number {
  let loss = 0;
  for (let c = 0; c < logits.length; c++) {
    const [z, is] = [logits[c] ?? 0, several[at + c] ?? -1];
    if (is >= 0) loss += Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - is * z;
    logits[c] = is < 0 ? 0 : 1 / (1 + Math.exp(-z)) - is;
  }
  return loss;
}

/** Adds slopes x^T to W's part and the slopes to b's. */
function addOuter(gradient: Float64Array, slopes: Float64Array, x: Float32Array): void {
  const width = x.length;
  const biases = slopes.length * width;
  for (let c = 0; c < slopes.length; c++) {
    const slope = slopes[c] ?? 0;
    const at = c * width;
    for (let i = 0; i < width; i++) gradient[at + i] = (gradient[at + i] ?? 0) + slope * (x[i] ?? 0);
    gradient[biases + c] = (gradient[biases + c] ?? 0) + slope;
  }
}
