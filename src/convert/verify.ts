/** Loads a converted model back and compares what it computes with what it was converted from. */
import { join } from "node:path";
import type { Engine } from "../engine/engine.ts";
import { leaveTelemetryOff } from "../engine/onnx/telemetry.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { type ClipConfig, shortensTexts } from "../model/index.ts";
import { createTowers, storedWeights, type WeightsSource } from "../towers.ts";

/** Largest difference of features, relative to the largest feature. */
export interface Difference {
  readonly images: number;
  readonly texts: number;
}

export interface Probe {
  readonly count: number;
  /** u8 [count, size, size, 3]. */
  readonly pixels: Uint8Array;
  /** i32 [count, length]. */
  readonly tokens: Int32Array;
  readonly length: number;
}

export interface Features {
  readonly images: Float32Array;
  readonly texts: Float32Array;
}

/** Pictures with edges and gradients, and texts of random tokens: the same for the same configuration. */
export function probeOf({ imageSize: size, text }: ClipConfig, count = 3): Probe {
  let state = 1;
  const random = (): number => {
    state = Math.imul(state, 1664525) + 1013904223;
    return (state >>> 8) / 2 ** 24;
  };
  const pixels = new Uint8Array(count * size * size * 3);
  for (let i = 0; i < count; i++) {
    const [fx, fy, edge] = [random() * 6, random() * 6, random() * size];
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++)
        for (let c = 0; c < 3; c++) {
          const wave = Math.sin((fx * x + fy * y) / size + c) * 90 + (x + y < 2 * edge ? 40 : 0);
          pixels[((i * size + y) * size + x) * 3 + c] = Math.max(0, Math.min(255, 110 + wave));
        }
  }
  const { contextLength, vocabSize } = text;
  const length = Math.min(contextLength, 16);
  // Where padding counts all positions are computed.
  const padded = shortensTexts({ text, activation: "gelu" }) ? length : contextLength;
  const tokens = new Int32Array(count * padded);
  for (let i = 0; i < count; i++)
    for (let j = 0; j < length - i; j++)
      tokens[i * padded + j] = j === length - i - 1 ? vocabSize - 1 : Math.floor(random() * (vocabSize - 2));
  return { count, pixels, tokens, length: padded };
}

/** What our own engine computes for a probe. */
export async function featuresOf(
  engine: Engine,
  model: WeightsSource & { readonly preprocess: PreprocessConfig },
  probe: Probe,
): Promise<Features> {
  const towers = createTowers(engine, model.config, storedWeights(model), model.preprocess);
  try {
    const { features: images } = await towers.encodeImages(probe.pixels, probe.count);
    // One tower in memory at a time.
    await towers.close();
    const texts = await towers.encodeTexts(probe.tokens, probe.count, probe.length);
    return { images, texts };
  } finally {
    await towers.close();
  }
}

/** What onnxruntime computes with the exported models, for the whole probe and once more for its first row alone. */
export async function onnxFeatures(
  folder: string,
  { config, preprocess }: { readonly config: ClipConfig; readonly preprocess: PreprocessConfig },
  probe: Probe,
): Promise<Features & { readonly first: Features }> {
  leaveTelemetryOff();
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  const { imageSize: size } = config;
  /** Of the whole probe, and of its first row. */
  const run = async (tower: "vision" | "text"): Promise<readonly [Float32Array, Float32Array]> => {
    const session = await InferenceSession.create(join(folder, "onnx", `${tower}_model.onnx`), { logSeverityLevel: 3 });
    const features = async (rows: number): Promise<Float32Array> => {
      const input =
        tower === "vision"
          ? new Tensor("float32", normalized(probe.pixels, rows, size, preprocess), [rows, 3, size, size])
          : new Tensor("int64", BigInt64Array.from(probe.tokens.subarray(0, rows * probe.length), BigInt), [
              rows,
              probe.length,
            ]);
      const outputs = await session.run({ [session.inputNames[0] ?? ""]: input });
      const { data } = outputs[session.outputNames[0] ?? ""] ?? {};
      if (!(data instanceof Float32Array)) throw new Error(`${folder}: the ${tower} model gives no floats`);
      return data.slice();
    };
    try {
      return [await features(probe.count), await features(1)];
    } finally {
      await session.release();
    }
  };
  const [images, firstImage] = await run("vision");
  const [texts, firstText] = await run("text");
  return { images, texts, first: { images: firstImage, texts: firstText } };
}

/** [rows, size, size, 3] -> [rows, 3, size, size], (x / 255 - mean) / deviation. */
export function normalized(
  pixels: Uint8Array,
  rows: number,
  size: number,
  { mean, deviation }: PreprocessConfig,
): Float32Array {
  const area = size * size;
  return Float32Array.from({ length: rows * 3 * area }, (_, i) => {
    const [row, channel, place] = [Math.floor(i / (3 * area)), Math.floor(i / area) % 3, i % area];
    const value = (pixels[(row * area + place) * 3 + channel] ?? 0) / 255;
    return (value - (mean[channel] ?? 0)) / (deviation[channel] ?? 1);
  });
}

export function differenceOf(wanted: Features, got: Features): Difference {
  return { images: relative(wanted.images, got.images), texts: relative(wanted.texts, got.texts) };
}

function relative(wanted: Float32Array, got: Float32Array): number {
  let [largest, difference] = [0, wanted.length > got.length ? Number.POSITIVE_INFINITY : 0];
  for (const [i, x] of got.entries()) {
    largest = Math.max(largest, Math.abs(wanted[i] ?? 0));
    const own = Math.abs(x - (wanted[i] ?? Number.NaN));
    difference = Math.max(difference, own); // NaN stays
  }
  return difference / largest;
}
