/** What all sides of inference.ts are given: the same weights, pictures, captions and files. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { writeModel } from "../src/checkpoint/index.ts";
import type { HostTensors } from "../src/engine/engine.ts";
import { bufferShapes, type ClipConfig, CONFIGS, parameterShapes } from "../src/model/index.ts";
import { generated, generatedImage } from "../test/model/generated.ts";
import { captionMaker } from "./captions.ts";
import type { Question } from "./protocol.ts";

export interface InferenceJob {
  readonly config: ClipConfig;
  /** Our file, with the published names. */
  readonly weights: string;
  /** A folder of transformers with `onnx/`, written by python/inference_export.py. */
  readonly exported: string;
  /** u8 [pictures, size, size, 3]. */
  readonly pixels: string;
  readonly pictures: number;
  readonly captions: readonly string[];
  /** JPEG files. */
  readonly files: readonly string[];
  readonly threads: number;
}

/** Features of the first four pictures and captions. */
export interface Features {
  readonly images: readonly (readonly number[])[];
  readonly texts: readonly (readonly number[])[];
}

export type InferenceQuestion = Question | { readonly ask: "features" };

const PICTURES = 40;
const CAPTIONS = 256;
const FILES = 64;
const [WIDTH, HEIGHT] = [640, 480];

/** Writes the inputs into a folder; the exported model is not there yet. */
export async function writeInferenceJob(folder: string, threads: number): Promise<{ job: InferenceJob; path: string }> {
  const config: ClipConfig = CONFIGS["ViT-B/32"];
  const shapes = Object.entries({ ...parameterShapes(config), ...bufferShapes(config) });
  const tensors: HostTensors = Object.fromEntries(shapes.map(([name, shape]) => [name, generated(name, shape)]));
  const weights = join(folder, "model.safetensors");
  await writeModel(weights, { config, tensors });

  const { imageSize: size } = config;
  const pixels = join(folder, "pixels.bin");
  writeFileSync(pixels, Buffer.concat(Array.from({ length: PICTURES }, (_, i) => bytesOf(`picture ${i}`, size, size))));

  const maker = await captionMaker();
  const captions = maker.make(CAPTIONS, 0);
  maker.close();

  const files: string[] = [];
  for (let i = 0; i < FILES; i++) {
    const path = join(folder, `${i}.jpg`);
    const raw = { width: WIDTH, height: HEIGHT, channels: 3 } as const;
    await sharp(bytesOf(`file ${i}`, WIDTH, HEIGHT), { raw })
      .jpeg({ quality: 90 })
      .toFile(path);
    files.push(path);
  }
  const exported = join(folder, "exported");
  const job = { config, weights, exported, pixels, pictures: PICTURES, captions, files, threads };
  const path = join(folder, "job.json");
  writeFileSync(path, JSON.stringify(job));
  return { job, path };
}

/** A generated picture, cut to a height, as bytes [height, width, 3]. */
function bytesOf(name: string, width: number, height: number): Uint8Array {
  const planes = generatedImage(name, width);
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const value = planes[(i % 3) * width * width + Math.floor(i / 3)] ?? 0;
    return Math.max(0, Math.min(255, Math.round(128 + 60 * value)));
  });
}
