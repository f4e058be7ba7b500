/** Towers trained to classify: an image tower with a linear head from scratch, or a CLIP on the prompts of its classes. */
import type { Engine, HostTensors } from "../../engine/engine.ts";
import {
  crossEntropy,
  dot,
  type HostTensor,
  hostTensor,
  l2Normalize,
  linear,
  mul,
  type Tensor,
  type TensorType,
} from "../../graph/index.ts";
import { type ClipConfig, decays, encodeImage, encodeText, normalizePixels } from "../../model/index.ts";
import type { AdamW } from "../../train/optimizer.ts";
import { learningRate } from "../../train/schedule.ts";
import { createDescent, keptOf, type Tensors } from "./descent.ts";
import { rowStream } from "./stream.ts";

/** What is trained, and how logits come about. */
export type Tuning =
  /** logits = W x + b on the features before the projection; batch normalisation by the batch's statistics. */
  | { readonly kind: "linear" }
  /** logits = scale * cosines of the features with the rows of W, one for each class; W is trained too, or not. */
  | { readonly kind: "classifier"; readonly trainsClassifier: boolean; readonly scale: number }
  /** logits = scale * cosines with the classes' prompts, which the text tower encodes each time; the image tower is trained too, or not. */
  | { readonly kind: "texts"; readonly trainsImages: boolean; readonly scale: number };

export interface TowerTrainingOptions {
  readonly engine: Engine;
  readonly config: ClipConfig;
  /** Of red, green and blue. */
  readonly pixels: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  readonly tuning: Tuning;
  /** By published name; `head.weight` and `head.bias` or `classifier` besides, as the tuning wants them. */
  readonly weights: HostTensors;
  readonly classes: number;
  /** Class of each training picture. */
  readonly labels: Int32Array;
  /** u8 [rows, size, size, 3] of some training pictures; normalised features f32 [rows, embedDim] where the image tower stays. */
  readonly pictures: (rows: readonly number[], step: number) => Promise<HostTensor>;
  /** One prompt for each class, i32 [classes, length]; of tuning by texts alone. */
  readonly prompts?: (step: number) => HostTensor;
  readonly adam: AdamW;
  readonly rate: number;
  readonly epochs: number;
  /** Pictures of a step at most; where there are few, an epoch has eight steps all the same. @default 128 */
  readonly batch?: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (done: number, total: number, loss: number) => void;
}

/** Steps of an epoch at least: fewer would leave running statistics and warm-up no time. */
const LEAST_STEPS = 8;
/** Warm-up, as a share of the steps. */
const WARMUP = 0.05;

/** @returns what was trained, and running statistics, by name */
export async function trainTowers(options: TowerTrainingOptions): Promise<HostTensors> {
  const { engine, config, tuning, weights, labels, pictures, prompts, adam, rate, epochs, seed, signal, onStep } =
    options;
  const batch = Math.min(options.batch ?? 128, Math.max(Math.floor(labels.length / LEAST_STEPS), 1));
  const seesPixels = tuning.kind !== "texts" || tuning.trainsImages;
  const size = config.imageSize;
  const inputs: Record<string, TensorType> = {
    labels: { dtype: "i32", shape: [batch] },
    pictures: seesPixels
      ? { dtype: "u8", shape: [batch, size, size, 3] }
      : { dtype: "f32", shape: [batch, config.embedDim] },
  };
  const first = prompts?.(0);
  if (first) inputs.prompts = { dtype: "i32", shape: first.shape };
  const isTrained = trainedBy(tuning, config);
  const isUsed = (name: string): boolean =>
    isTrained(name) || name === "classifier" || (seesPixels && name.startsWith("visual."));
  const used = Object.entries(weights).filter(([name]) => isUsed(name));
  const descent = await createDescent(engine, {
    trained: Object.fromEntries(used.filter(([name]) => isTrained(name))),
    held: Object.fromEntries(used.filter(([name]) => !isTrained(name))),
    inputs,
    adam,
    decays: (name, shape) => (name === "classifier" ? false : decays(name, shape)),
    loss: (x) => {
      const { logits, ...rest } = logitsOf(x, options);
      return { loss: crossEntropy(logits, one(x, "labels")), ...rest };
    },
  });
  try {
    const steps = epochs * Math.ceil(labels.length / batch);
    const rows = rowStream(labels.length, batch, seed);
    const schedule = { kind: "cosine", warmup: Math.ceil(WARMUP * steps) } as const;
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      const numbers = rows(step);
      const own = hostTensor(
        "i32",
        [batch],
        numbers.map((number) => labels[number] ?? 0),
      );
      const texts = prompts?.(step);
      const given = { labels: own, pictures: await pictures(numbers, step), ...(texts ? { prompts: texts } : {}) };
      const loss = await descent.step(given, learningRate(schedule, rate, step, steps));
      onStep?.(step + 1, steps, loss);
    }
    const all = await descent.read();
    return Object.fromEntries(Object.entries(all).filter(([name]) => isTrained(name) || isStatistic(name)));
  } finally {
    await descent.close();
  }
}

const isStatistic = (name: string): boolean => /running_(mean|var)$/.test(name);

/** Names of what a tuning trains. */
function trainedBy(tuning: Tuning, { vision }: ClipConfig): (name: string) => boolean {
  const isVisual = (name: string): boolean => name.startsWith("visual.") && !isStatistic(name);
  switch (tuning.kind) {
    case "linear":
      // A vision transformer's projection comes behind what the head sees.
      return (name) =>
        name.startsWith("head.") || (isVisual(name) && !(vision.kind === "vit" && name.startsWith("visual.proj")));
    case "classifier":
      return (name) => isVisual(name) || (tuning.trainsClassifier && name === "classifier");
    case "texts":
      return (name) =>
        name.startsWith("visual.")
          ? tuning.trainsImages && isVisual(name)
          : !/^(logit_scale|logit_bias|classifier|head\..*)$/.test(name);
  }
}

function logitsOf(
  x: Tensors,
  { config, pixels, tuning }: TowerTrainingOptions,
): { readonly logits: Tensor; readonly statistics: Tensors; readonly keep: readonly Tensor[] } {
  const pictures = one(x, "pictures");
  const encoded =
    pictures.dtype === "u8"
      ? encodeImage(x, normalizePixels(pictures, pixels), config, { train: tuning.kind === "linear" })
      : { features: pictures, statistics: {}, activations: {} };
  if (tuning.kind === "linear") {
    const pooled = config.vision.kind === "vit" ? one(encoded.activations, "visual.pre_projection") : encoded.features;
    return {
      logits: linear(pooled, one(x, "head.weight"), one(x, "head.bias")),
      statistics: encoded.statistics,
      keep: [],
    };
  }
  const images = l2Normalize(encoded.features);
  const texts = tuning.kind === "texts" ? encodeText(x, one(x, "prompts"), config) : undefined;
  const classes = texts ? l2Normalize(texts.features) : one(x, "classifier");
  const keep = texts ? keptOf(one(x, "prompts"), texts.blockInputs) : [];
  const cosines = dot(images, classes, { batch: [[], []], contract: [[1], [1]] });
  return { logits: mul(cosines, tuning.scale), statistics: {}, keep: keep.length > 0 ? [...keep, images] : [] };
}

function one(x: Tensors, name: string): Tensor {
  const tensor = x[name];
  if (!tensor) throw new Error(`training: no tensor ${name}`);
  return tensor;
}
