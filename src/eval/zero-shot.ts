import { type CLIP, dotProduct } from "../clip.ts";
import type { LabelledSource } from "../data/index.ts";

export interface ZeroShotResult {
  readonly images: number;
  readonly classes: number;
  /** Pictures whose class came first, and among the first five. */
  readonly top1Correct: number;
  readonly top5Correct: number;
  /** Shares, 0 to 1. */
  readonly top1: number;
  readonly top5: number;
  /** Mean over the classes that have pictures of their top-1 share. */
  readonly meanPerClass: number;
  /** Top-1 share of each class; NaN where a class has no picture. */
  readonly perClass: readonly number[];
}

/** Pictures encoded at once. */
const CHUNK = 256;

/** Classifies every picture of a source among its names. @param weights one normalised row for each class */
export async function zeroShot(
  clip: CLIP,
  source: LabelledSource,
  weights: readonly Float32Array[],
): Promise<ZeroShotResult> {
  const features = await imageFeatures(clip, source);
  return score(features, source.labels, weights);
}

/** Normalised features of all pictures, computed once for any number of prompts. */
export async function imageFeatures(clip: CLIP, source: LabelledSource): Promise<Float32Array[]> {
  const features: Float32Array[] = [];
  for (let start = 0; start < source.length; start += CHUNK) {
    const indices = Array.from({ length: Math.min(CHUNK, source.length - start) }, (_, i) => start + i);
    const images = await Promise.all(indices.map((index) => source.image(index)));
    features.push(...(await clip.encodeImage(images, { normalize: true })));
  }
  return features;
}

/** Where each picture's class comes among all classes, 0 being the first; ties go to the class with the lower number. */
export function ranksOf(
  features: readonly Float32Array[],
  labels: ArrayLike<number>,
  weights: readonly Float32Array[],
): number[] {
  return features.map((row, i) => {
    const label = labels[i] ?? -1;
    const own = weights[label];
    if (!own) throw new Error(`zero-shot: picture ${i} has label ${label}, there are ${weights.length} classes`);
    const similarity = dotProduct(row, own);
    let rank = 0;
    for (const [other, weight] of weights.entries()) {
      const its = dotProduct(row, weight);
      if (its > similarity || (its === similarity && other < label)) rank++;
    }
    return rank;
  });
}

/** Top-1, top-5 and per-class figures. @param features normalised, one row a picture */
export function score(
  features: readonly Float32Array[],
  labels: ArrayLike<number>,
  weights: readonly Float32Array[],
): ZeroShotResult {
  const ranks = ranksOf(features, labels, weights);
  const found = new Array<number>(weights.length).fill(0);
  const seen = new Array<number>(weights.length).fill(0);
  for (const [i, rank] of ranks.entries()) {
    const label = labels[i] ?? 0;
    seen[label] = (seen[label] ?? 0) + 1;
    if (rank === 0) found[label] = (found[label] ?? 0) + 1;
  }
  const perClass = seen.map((count, label) => (found[label] ?? 0) / count);
  const present = perClass.filter((share) => !Number.isNaN(share));
  const within = (n: number): number => ranks.filter((rank) => rank < n).length;
  return {
    images: ranks.length,
    classes: weights.length,
    top1Correct: within(1),
    top5Correct: within(5),
    top1: within(1) / ranks.length,
    top5: within(5) / ranks.length,
    meanPerClass: present.reduce((sum, share) => sum + share, 0) / present.length,
    perClass,
  };
}
