/** The official training runs of two tiny models (PyTorch, float64 and float32). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { memorySource, readSafetensors } from "../../src/checkpoint/index.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";
import type { AdamW } from "../../src/train/optimizer.ts";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { GOLDEN_CONFIGS, golden } from "../model/goldens.ts";

export interface Summary {
  readonly sum: number;
  readonly l2: number;
  readonly samples: readonly number[];
}
export interface Moment {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
  readonly grad_norm: number;
  readonly logit_scale: number;
}
export interface TrainingRecord {
  readonly five_steps: {
    readonly history_f64: readonly Moment[];
    readonly params_after_step_f64: readonly Readonly<Record<string, Summary>>[];
  };
  readonly fifty_steps: {
    readonly lr: readonly number[];
    readonly loss_f64: readonly number[];
    readonly grad_norm_f64: readonly number[];
  };
  readonly clamp?: {
    readonly cases: readonly { readonly logit_scale_start: number; readonly history_f64: readonly Moment[] }[];
  };
}

export const ADAM: AdamW = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.2 };
export const BATCH = 16;

/** Both begin at the golden models of the same names. */
export const OFFICIAL = { "tiny-vit": GOLDEN_CONFIGS["tiny-vit"], "tiny-rn": GOLDEN_CONFIGS["tiny-rn"] } as const;
export type OfficialModel = keyof typeof OFFICIAL;

const bytes = (path: string): Uint8Array =>
  new Uint8Array(gunzipSync(readFileSync(new URL(`../golden/train/${path}`, import.meta.url))));

export function readRecord(model: OfficialModel): TrainingRecord {
  return JSON.parse(new TextDecoder().decode(bytes(`${model}/training.json.gz`))) as TrainingRecord;
}

export async function readInitial(model: OfficialModel): Promise<Record<string, HostTensor>> {
  const { get, names } = await golden(`models/${model}/model_f16.safetensors`);
  return Object.fromEntries(names.map((name) => [name, get(name)]));
}

export interface OfficialBatch extends PairBatch {
  /** Columns of the tokens up to the longest caption. */
  readonly maxLength: number;
}

/** The pairs of each step, as the loader would give them. */
export async function readBatches(model: OfficialModel): Promise<(step: number) => OfficialBatch> {
  const tensors = await readSafetensors(memorySource(model, bytes(`${model}/data.safetensors.gz`)));
  const [images, tokens, batches] = ["images", "tokens", "batches"].map((name) => tensors.get(name));
  if (!images || !tokens || !batches) throw new Error(`${model}: the golden data lacks a tensor`);
  const { imageSize: size, text } = OFFICIAL[model];
  const { contextLength, vocabSize } = text;
  return (step) => {
    const rows = Array.from(batches.data.subarray(step * BATCH, (step + 1) * BATCH));
    const pixels = new Uint8Array(BATCH * size * size * 3);
    const ids = new Int32Array(BATCH * contextLength);
    let maxLength = 0;
    for (const [place, row] of rows.entries()) {
      for (let c = 0; c < 3; c++)
        for (let p = 0; p < size * size; p++)
          pixels[(place * size * size + p) * 3 + c] = images.data[(row * 3 + c) * size * size + p] ?? 0;
      const caption = Int32Array.from(tokens.data.subarray(row * contextLength, (row + 1) * contextLength));
      ids.set(caption, place * contextLength);
      maxLength = Math.max(maxLength, caption.indexOf(vocabSize - 1) + 1);
    }
    return { images: pixels, tokens: ids, maxLength };
  };
}

/** Pixels as the official float64 runs have them: normalised in float32, [batch, 3, size, size]. */
export function normalised(images: Uint8Array, size: number): HostTensor {
  const f = Math.fround;
  const mean = [0.48145466, 0.4578275, 0.40821073].map(f);
  const deviation = [0.26862954, 0.26130258, 0.27577711].map(f);
  const area = size * size;
  const data = new Float64Array(images.length);
  for (let i = 0; i < images.length / (3 * area); i++)
    for (let c = 0; c < 3; c++)
      for (let p = 0; p < area; p++) {
        const unit = f((images[(i * area + p) * 3 + c] ?? 0) / 255);
        data[(i * 3 + c) * area + p] = f(f(unit - (mean[c] ?? 0)) / (deviation[c] ?? 1));
      }
  return hostTensor("f64", [images.length / (3 * area), 3, size, size], data);
}

/** Largest difference of a tensor from the official summary: at the sampled places, and of the norm. */
export function differenceFrom({ samples, l2 }: Summary, { data }: HostTensor): number[] {
  const places = new Set(Array.from({ length: 24 }, (_, i) => Math.floor((i * data.length) / 24)));
  const found = [...places].map((place) => data[place] ?? Number.NaN);
  if (found.length !== samples.length) throw new Error(`${found.length} samples, the record has ${samples.length}`);
  let squares = 0;
  for (const x of data) squares += x * x;
  const norm = Math.sqrt(squares);
  return [...samples.map((sample, i) => Math.abs(sample - (found[i] ?? Number.NaN))), Math.abs(norm - l2) / l2];
}
