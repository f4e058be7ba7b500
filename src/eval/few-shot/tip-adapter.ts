/** Tip-Adapter (Zhang et al. 2022, arXiv 2111.03930): the examples' features as a cache beside the zero-shot classifier; nothing is trained. */

import type { Engine } from "../../engine/engine.ts";
import { arithmeticFor } from "../probe/engine-loss.ts";
import { memoryMatrix } from "../tasks/features.ts";

/** Examples: normalised features and their classes. */
export interface ExampleCache {
  /** [examples, width], each row of length 1. */
  readonly keys: Float32Array;
  /** [examples] */
  readonly labels: Int32Array;
  readonly width: number;
  readonly classes: number;
}

export interface TipStrength {
  /** Weight of the cache against zero-shot. */
  readonly alpha: number;
  /** How near a picture must be to an example: the affinity is exp(-beta (1 - cosine)). */
  readonly beta: number;
}

/** Section 3.1: what the official code uses where nothing is searched. */
export const TIP_DEFAULT: TipStrength = { alpha: 1, beta: 5.5 };

/** Cosines of pictures with the examples: [pictures, examples]. @param features [pictures, width], normalised */
export async function exampleCosines(
  engine: Engine,
  features: Float32Array,
  { keys, width }: Pick<ExampleCache, "keys" | "width">,
): Promise<Float32Array> {
  const examples = keys.length / width;
  const weights = new Float64Array(keys.length + examples); // a linear classifier without biases
  weights.set(keys);
  const arithmetic = arithmeticFor(engine, (features.length * keys.length) / width);
  try {
    return await arithmetic.scores(memoryMatrix(features, width), weights, examples);
  } finally {
    await arithmetic.close();
  }
}

/** The cache's share of the logits before it is weighed by alpha: exp(-beta (1 - cosines)) times the one-hot labels, [pictures, classes]. */
export function cacheLogits(
  cosines: Float32Array,
  { labels, classes }: Pick<ExampleCache, "labels" | "classes">,
  beta: number,
): Float32Array {
  const rows = cosines.length / labels.length;
  const logits = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++)
    for (const [example, label] of labels.entries()) {
      const affinity = Math.exp(-beta * (1 - (cosines[row * labels.length + example] ?? 0)));
      logits[row * classes + label] = (logits[row * classes + label] ?? 0) + affinity;
    }
  return logits;
}

/** Zero-shot logits plus alpha times the cache's. @param zeroShot scale * cosine with the classes, [pictures, classes] */
export function tipLogits(
  cosines: Float32Array,
  cache: Pick<ExampleCache, "labels" | "classes">,
  zeroShot: Float32Array,
  { alpha, beta }: TipStrength,
): Float32Array {
  const cached = cacheLogits(cosines, cache, beta);
  return zeroShot.map((logit, i) => logit + alpha * (cached[i] ?? 0));
}

/** 0, which is zero-shot itself, and steps over what the paper's figures span. */
const ALPHAS = [0, ...Array.from({ length: 20 }, (_, i) => 0.05 * 1000 ** (i / 19))];
const BETAS = Array.from({ length: 20 }, (_, i) => 0.5 * 40 ** (i / 19));

/**
 * The strengths that do best on validation; of equally good ones the nearest to zero-shot.
 * @param score of logits [pictures, classes]; the higher the better
 */
export function searchTip(
  cosines: Float32Array,
  cache: Pick<ExampleCache, "labels" | "classes">,
  zeroShot: Float32Array,
  score: (logits: Float32Array) => number,
): TipStrength & { readonly score: number } {
  let best = { alpha: 0, beta: TIP_DEFAULT.beta, score: score(zeroShot) };
  for (const beta of BETAS) {
    const cached = cacheLogits(cosines, cache, beta);
    for (const alpha of ALPHAS) {
      const found = score(zeroShot.map((logit, i) => logit + alpha * (cached[i] ?? 0)));
      if (found > best.score || (found === best.score && alpha < best.alpha)) best = { alpha, beta, score: found };
    }
  }
  return best;
}
