/** Numbers computed with the official code, and how ours are compared with them. */
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { memorySource, readSafetensors } from "../../src/checkpoint/index.ts";
import { type DType, elements, type HostTensor, hostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, CONFIGS } from "../../src/model/index.ts";

const FOLDER = new URL("../golden/", import.meta.url);

export type Golden = (name: string) => HostTensor;

/** The tensors of a golden file, gzipped or not. */
export async function golden(path: string): Promise<{ get: Golden; names: readonly string[] }> {
  const bytes = await readFile(new URL(path, FOLDER));
  const tensors = await readSafetensors(memorySource(path, path.endsWith(".gz") ? gunzipSync(bytes) : bytes));
  const get = (name: string): HostTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${path} has no ${name}`);
    return tensor;
  };
  return { get, names: [...tensors.keys()] };
}

export async function goldenJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(new URL(path, FOLDER), "utf8")) as T;
}

const SMALL = { ...CONFIGS["ViT-B/32"].text, vocabSize: 1000 };

/** The configurations of the golden models. */
export const GOLDEN_CONFIGS = {
  micro: {
    embedDim: 16,
    imageSize: 16,
    vision: { kind: "vit", width: 64, layers: 1, heads: 1, patchSize: 8 },
    text: { contextLength: 8, vocabSize: 64, width: 64, layers: 1, heads: 1 },
    activation: "quickGelu",
  },
  "tiny-vit": {
    embedDim: 64,
    imageSize: 32,
    vision: { kind: "vit", width: 128, layers: 2, heads: 2, patchSize: 8 },
    text: { ...SMALL, width: 128, layers: 2, heads: 2 },
    activation: "quickGelu",
  },
  "tiny-rn": {
    embedDim: 48,
    imageSize: 64,
    vision: { kind: "resnet", width: 8, layers: [1, 1, 1, 1], heads: 4 },
    text: { ...SMALL, width: 64, layers: 1, heads: 1 },
    activation: "quickGelu",
  },
} as const satisfies Record<string, ClipConfig>;

export type GoldenModel = keyof typeof GOLDEN_CONFIGS;

/** The first rows of a tensor. */
export function rows(x: HostTensor, count: number): HostTensor {
  const [all = 0, ...rest] = x.shape;
  return { ...x, shape: [Math.min(all, count), ...rest], data: x.data.subarray(0, count * elements(rest)) };
}

/** Floats in another precision; other dtypes as they are. */
export function inPrecision(x: HostTensor, dtype: DType): HostTensor {
  return x.dtype === "f32" || x.dtype === "f64" ? hostTensor(dtype, x.shape, Array.from(x.data)) : x;
}

/** Largest difference over the largest expected magnitude. */
export function maxOverMax(actual: HostTensor, expected: HostTensor): number {
  same(actual, expected);
  let [difference, magnitude] = [0, 0];
  for (const [i, value] of expected.data.entries()) {
    difference = Math.max(difference, Math.abs((actual.data[i] ?? Number.NaN) - value));
    magnitude = Math.max(magnitude, Math.abs(value));
  }
  return difference / (magnitude || 1);
}

/** ||actual - expected|| / ||expected||; of a tensor that should vanish, ||actual||. */
export function relativeL2(actual: HostTensor, expected: HostTensor, vanishing = 0): number {
  same(actual, expected);
  let [difference, magnitude] = [0, 0];
  for (const [i, value] of expected.data.entries()) {
    difference += ((actual.data[i] ?? Number.NaN) - value) ** 2;
    magnitude += value ** 2;
  }
  return Math.sqrt(difference) / (Math.sqrt(magnitude) > vanishing ? Math.sqrt(magnitude) : 1);
}

function same(actual: HostTensor, expected: HostTensor): void {
  if (`${actual.shape}` !== `${expected.shape}`) throw new Error(`got [${actual.shape}], expected [${expected.shape}]`);
}
