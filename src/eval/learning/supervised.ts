/**
 * The supervised baseline: an image tower of the model's architecture and a linear head, trained from scratch on a task's own pictures.
 * What zero-shot and linear probes are held against.
 */
import type { CLIP } from "../../clip.ts";
import type { HostTensors } from "../../engine/engine.ts";
import { hostTensor } from "../../graph/index.ts";
import { initialise } from "../../model/index.ts";
import { createTowers } from "../../towers.ts";
import { IN_DOUBLE_PRECISION } from "../probe/softmax-loss.ts";
import { memoryMatrix } from "../tasks/features.ts";
import type { LabelledImages } from "../tasks/task.ts";
import { croppedPictures, wholePictures } from "./pictures.ts";
import { trainTowers } from "./tower-training.ts";

export interface SupervisedOptions {
  readonly epochs: number;
  /** Highest learning rate. */
  readonly rate: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (done: number, total: number, loss: number) => void;
}

/** Pictures of a set that can be read, and their classes. */
export interface LabelledPictures {
  readonly images: LabelledImages;
  /** Which of its pictures. */
  readonly indices: Int32Array;
  readonly labels: Int32Array;
}

export interface SupervisedModel {
  /** The image tower by published name. */
  readonly weights: HostTensors;
  /** Scores of a set's pictures: [pictures, classes]. */
  scores(pictures: LabelledPictures): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Of AdamW, for towers from scratch: as the recipes of this size have it. */
const ADAM = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1, maxNorm: 1 };
/** Pictures encoded at once. */
const CHUNK = 64;

/** @param clip whose architecture, preprocessing and engine it has; none of its weights */
export async function trainSupervised(
  clip: CLIP,
  train: LabelledPictures,
  classes: number,
  options: SupervisedOptions,
): Promise<SupervisedModel> {
  const { config, engine, preprocess } = clip;
  const { seed } = options;
  const size = config.imageSize;
  const width = config.vision.kind === "vit" ? config.vision.width : config.embedDim;
  const initial = Object.fromEntries(
    Object.entries(initialise(config, seed)).filter(([name]) => name.startsWith("visual.")),
  );
  const crops = croppedPictures(train.images, preprocess, size, seed);
  const trained = await trainTowers({
    ...options,
    ...{ engine, config, pixels: preprocess, classes, adam: ADAM, labels: train.labels },
    tuning: { kind: "linear" },
    weights: {
      ...initial,
      "head.weight": hostTensor("f32", [classes, width], new Float32Array(classes * width)),
      "head.bias": hostTensor("f32", [classes], new Float32Array(classes)),
    },
    pictures: async (rows, step) =>
      hostTensor(
        "u8",
        [rows.length, size, size, 3],
        await crops.crops(
          rows.map((row) => train.indices[row] ?? 0),
          step,
        ),
      ),
  });
  const { "head.weight": weight, "head.bias": bias, ...tower } = trained;
  const head = Float64Array.from([...(weight?.data ?? []), ...(bias?.data ?? [])]);
  const weights = { ...initial, ...tower };
  const towers = createTowers(engine, config, weights, preprocess);
  return {
    weights,
    scores: async ({ images, indices }) => {
      const pooled = new Float32Array(indices.length * width);
      for (let start = 0; start < indices.length; start += CHUNK) {
        const numbers = [...indices.subarray(start, start + CHUNK)];
        const pixels = await wholePictures(images, numbers, preprocess, size);
        pooled.set((await towers.encodeImages(pixels, numbers.length)).pooled, start * width);
      }
      return IN_DOUBLE_PRECISION.scores(memoryMatrix(pooled, width), head, classes);
    },
    close: () => towers.close(),
  };
}
