/** An image tower fine-tuned on pictures half of which have another class's name written on them. */
import { Random } from "../../data/index.ts";
import { hostTensor } from "../../graph/index.ts";
import type { RgbImage } from "../../image/index.ts";
import { createTowers } from "../../towers.ts";
import type { EvalContext } from "../evaluator.ts";
import { interpolated, TUNINGS } from "../fine-tuning/tunings.ts";
import { wholePictures } from "../learning/pictures.ts";
import { trainTowers } from "../learning/tower-training.ts";
import { type FeatureSet, memoryMatrix } from "../tasks/features.ts";
import { pixelsOf } from "../tasks/labelled-images.ts";
import type { LabelledImages } from "../tasks/task.ts";
import { attacked, fitted, writableClasses } from "./attacked-pictures.ts";

/** As fine-tuning of a task has it. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxNorm: 1 };
/** Training pictures at most: they are held in memory, and a defence needs few. */
const MOST_PICTURES = 2000;
const BATCH = 64;

export interface TunedEncoder {
  /** As the context's, by the tuned tower; nothing is kept. */
  featuresOf(images: LabelledImages): Promise<FeatureSet>;
  close(): Promise<void>;
}

export interface DefenceOptions {
  /** One unit vector for each class: the text tower stays as it is. */
  readonly weights: readonly Float32Array[];
  readonly rate: number;
  readonly epochs: number;
}

/** Pictures of the training split to learn from, as the model sees them; those that cannot be read are left out. */
export async function defenceTraining(context: EvalContext): Promise<readonly { label: number; image: RgbImage }[]> {
  const { seed, clip, signal } = context;
  const images = await context.images("train");
  const numbers = Array.from({ length: images.count }, (_, i) => i).filter((i) => (images.labels[i] ?? -1) >= 0);
  const chosen = new Random(seed, images.count).sample(numbers, MOST_PICTURES);
  const kept: { label: number; image: RgbImage }[] = [];
  for (const index of chosen) {
    signal?.throwIfAborted();
    const image = await pixelsOf(images, index).catch(() => undefined);
    if (image)
      kept.push({ label: images.labels[index] ?? 0, image: fitted(image, clip.config.imageSize, clip.preprocess) });
  }
  return kept;
}

/** @param training pictures without words, as `defenceTraining` gives them */
export async function fineTunedDefence(
  context: EvalContext,
  training: readonly { readonly label: number; readonly image: RgbImage }[],
  { weights: classes, rate, epochs }: DefenceOptions,
): Promise<TunedEncoder> {
  const { clip, classNames, seed, signal } = context;
  const { engine, config, preprocess, logitScale } = clip;
  const size = config.imageSize;
  const each = size * size * 3;
  const possible = writableClasses(classNames);
  const classifier = new Float32Array(classes.length * config.embedDim);
  for (const [i, row] of classes.entries()) classifier.set(row, i * config.embedDim);
  const weights = await clip.readWeights();
  const tuned = await trainTowers({
    ...{ engine, config, pixels: preprocess, classes: classes.length, adam: ADAM, rate, epochs, batch: BATCH, seed },
    tuning: TUNINGS["text locked"](logitScale),
    weights: { ...weights, classifier: hostTensor("f32", [classes.length, config.embedDim], classifier) },
    labels: Int32Array.from(training, ({ label }) => label),
    ...(signal ? { signal } : {}),
    pictures: async (rows, step) => {
      const pixels = new Uint8Array(rows.length * each);
      for (const [i, row] of rows.entries()) {
        const one = training[row];
        if (!one) throw new Error(`typographic: no training picture ${row}`);
        const random = new Random(seed, step, i, 2);
        const others = possible.filter((other) => other !== one.label);
        const word = classNames[random.pick(others)] ?? "";
        const image = random.uniform() < 0.5 ? one.image : await attacked("word", one.image, word, random);
        pixels.set(image.data, i * each);
      }
      return hostTensor("u8", [rows.length, size, size, 3], pixels);
    },
    onStep: (done, total) => context.progress(`fine-tuning, rate ${rate}`, done, total),
  });
  const towers = createTowers(engine, config, interpolated(weights, tuned, 1), preprocess);
  return { featuresOf: (images) => featuresBy(towers.encodeImages, images, context), close: () => towers.close() };
}

async function featuresBy(
  encodeImages: ReturnType<typeof createTowers>["encodeImages"],
  images: LabelledImages,
  { clip, signal }: EvalContext,
): Promise<FeatureSet> {
  const width = clip.config.embedDim;
  const rows: Float32Array[] = [];
  const indices: number[] = [];
  const unreadable: { index: number; error: string }[] = [];
  for (let start = 0; start < images.count; start += BATCH) {
    signal?.throwIfAborted();
    const numbers = Array.from({ length: Math.min(BATCH, images.count - start) }, (_, i) => start + i);
    const found = await Promise.all(
      numbers.map((index) =>
        wholePictures(images, [index], clip.preprocess, clip.config.imageSize).catch((error: unknown) => {
          unreadable.push({ index, error: error instanceof Error ? error.message : String(error) });
        }),
      ),
    );
    const readable = found.filter((pixels) => pixels !== undefined);
    indices.push(...numbers.filter((_, i) => found[i] !== undefined));
    if (readable.length === 0) continue;
    const pixels = new Uint8Array(readable.reduce((sum, { length }) => sum + length, 0));
    for (const [i, one] of readable.entries()) pixels.set(one, i * one.length);
    rows.push((await encodeImages(pixels, readable.length)).features);
  }
  const data = new Float32Array(indices.length * width);
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  const projected = memoryMatrix(data, width);
  return {
    count: indices.length,
    labels: Int32Array.from(indices, (index) => images.labels[index] ?? -1),
    indices: Int32Array.from(indices),
    ...{ unreadable, projected, pooled: projected },
  };
}
