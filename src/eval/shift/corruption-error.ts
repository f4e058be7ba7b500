/** Figures of the benchmark (arXiv 1903.12261, section 4.1) from errors by corruption and strength. */
import { CORRUPTIONS, type Corruption } from "./corruptions.ts";

/** Shares of wrong answers, 0 to 1, of strengths 1 to 5. */
export type CorruptionErrors = (corruption: Corruption) => readonly number[];

/**
 * Mean over the strengths of AlexNet's errors on ImageNet-C, by which the paper divides (its repository, hendrycks/robustness): what makes
 * figures comparable with published ones, on ImageNet-C's pictures alone.
 */
export const ALEXNET_ERRORS: Readonly<Record<Corruption, number>> = {
  "gaussian noise": 0.886428,
  "shot noise": 0.894468,
  "impulse noise": 0.92264,
  "defocus blur": 0.81988,
  "glass blur": 0.826268,
  "motion blur": 0.785948,
  "zoom blur": 0.79836,
  snow: 0.866816,
  frost: 0.826572,
  fog: 0.819324,
  brightness: 0.564592,
  contrast: 0.853204,
  "elastic transform": 0.646056,
  pixelate: 0.71784,
  "jpeg compression": 0.6065,
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

/** Mean error over corruptions and strengths, not divided by anybody's. */
export const meanError = (errors: CorruptionErrors): number => mean(CORRUPTIONS.map((name) => mean(errors(name))));

/** mCE: each corruption's errors over the reference's, on average. Below 1 is better than the reference. */
export function meanCorruptionError(errors: CorruptionErrors, reference: CorruptionErrors): number {
  return mean(CORRUPTIONS.map((name) => sum(errors(name)) / sum(reference(name))));
}

/** Relative mCE: what corruption adds to the error on clean pictures, over what it adds to the reference's. */
export function relativeCorruptionError(
  errors: CorruptionErrors,
  clean: number,
  reference: CorruptionErrors,
  referenceClean: number,
): number {
  const added = (list: readonly number[], without: number): number => sum(list.map((error) => error - without));
  return mean(CORRUPTIONS.map((name) => added(errors(name), clean) / added(reference(name), referenceClean)));
}
