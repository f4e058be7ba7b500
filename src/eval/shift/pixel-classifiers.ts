/**
 * Classifiers trained on the unshifted pictures alone, from weak to less weak, as the models to which effective robustness compares: ridge
 * regression of the classes on pixels at several sizes and from several shares of the training pictures.
 */
import { Random } from "../../data/index.ts";
import { preprocess, type RgbImage } from "../../image/index.ts";
import { addRow, ridgeSums, solveRidge } from "./ridge.ts";

export interface PixelClassifier {
  readonly name: string;
  /** The class of a picture. */
  classify(image: RgbImage): number;
}

const SIDES = [3, 6, 10, 16] as const;
const SHARES = [0.02, 0.1, 0.4, 1] as const;
const RIDGE = 1e-3;

/** Pixels at a size, 0 to 1, and a one for the intercept. */
function pixels(image: RgbImage, side: number): Float64Array {
  const { data } = preprocess(image, {
    ...{ size: side, resize: "squash", interpolation: "bicubic", fill: 0 },
    ...{ mean: [0, 0, 0], deviation: [1, 1, 1] },
  });
  const x = new Float64Array(data.length + 1);
  for (const [i, value] of data.entries()) x[i] = value / 255 - 0.5;
  x[data.length] = 1;
  return x;
}

/** @param classes of the labels; a picture with another label is not learned from */
export async function pixelClassifiers(
  training: { readonly count: number; label(index: number): number; image(index: number): Promise<RgbImage> },
  classes: number,
  seed: number,
  onProgress?: (done: number, total: number) => void,
): Promise<readonly PixelClassifier[]> {
  const random = new Random(seed, training.count);
  const order = random.sample(
    Array.from({ length: training.count }, (_, i) => i),
    training.count,
  );
  const made: PixelClassifier[] = [];
  const all = SIDES.map((side) => ({ side, sums: ridgeSums(side * side * 3 + 1, classes) }));
  const stops = SHARES.map((share) => Math.max(2, Math.round(share * training.count)));
  for (const [at, index] of order.entries()) {
    const label = training.label(index);
    if (label >= 0) {
      const image = await training.image(index);
      const target = new Float64Array(classes);
      target[label] = 1;
      for (const { side, sums } of all) addRow(sums, pixels(image, side), target);
    }
    const stop = stops.indexOf(at + 1);
    if (stop >= 0)
      for (const { side, sums } of all)
        if (sums.rows > 0)
          made.push(
            classifier(`${side} x ${side} pixels, ${sums.rows} pictures`, side, solveRidge(sums, RIDGE), classes),
          );
    onProgress?.(at + 1, order.length);
  }
  return made;
}

function classifier(name: string, side: number, weights: Float64Array, classes: number): PixelClassifier {
  return {
    name,
    classify(image) {
      const scores = new Float64Array(classes);
      for (const [i, value] of pixels(image, side).entries())
        for (let c = 0; c < classes; c++) scores[c] = (scores[c] ?? 0) + value * (weights[i * classes + c] ?? 0);
      return scores.indexOf(scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY));
    },
  };
}
