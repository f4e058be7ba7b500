/** Writes a model in each of the formats: weights a tensor at a time, and small files about them. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  CONFIG_KEY,
  inferConfig,
  type NamingKind,
  type StreamedTensor,
  storedSize,
  storedTensors,
  streamSafetensors,
  writeFileAtomic,
} from "../checkpoint/index.ts";
import type { ClipConfig } from "../model/index.ts";
import { writeCompanions } from "../pretrained/companions.ts";
import { huggingFaceTarget } from "./hugging-face-target.ts";
import { huggingFaceTokenizer } from "./hugging-face-tokenizer.ts";
import { exportTower, type Kernels } from "./onnx-export.ts";
import { openClipTarget } from "./open-clip-target.ts";
import { sameModel } from "./same-model.ts";
import type { SourceModel } from "./source-model.ts";

export const TARGETS = ["openai", "open_clip", "hf", "clip-ts", "onnx"] as const;
export type Target = (typeof TARGETS)[number];

/** Formats that are one file; the others are folders. */
export const isFile = (target: Target): boolean => target === "openai" || target === "clip-ts";

export interface WriteOptions {
  /** Of the weights in the files. */
  readonly dtype: "F32" | "F16";
  /** Of an ONNX model. */
  readonly kernels: Kernels;
  /** Bytes of a file of Hugging Face's weights. */
  readonly largestShard: number;
  /** Called before each tensor with its bytes. */
  readonly onTensor?: (name: string, bytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes a model to a file or into a folder.
 * @returns what the format cannot say of this model, a line each
 * @throws one line if the format cannot hold the model, or what the file system throws
 */
export async function writeTarget(
  target: Target,
  path: string,
  source: SourceModel,
  options: WriteOptions,
): Promise<readonly string[]> {
  if (target === "clip-ts") return writeClipTs(path, source, options);
  const notes = await WRITERS[target](path, source, options);
  const { background } = source.preprocess;
  if (background === undefined) return notes;
  return [...notes, `it has no field for the background of transparent pictures: lay them on gray ${background} first`];
}

async function writeOpenAi(path: string, source: SourceModel, options: WriteOptions): Promise<readonly string[]> {
  const { config, shapes } = source;
  const fail = (why: string): never => {
    throw new Error(`OpenAI's format, which is weights alone, has no such model: ${why}`);
  };
  let inferred: ClipConfig;
  try {
    inferred = inferConfig(shapes, config.activation);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const difference = sameModel(config, inferred);
  if (difference) return fail(difference);
  await streamSafetensors(path, watched(storedTensors("openai", source, options.dtype), options), { format: "pt" });
  return config.activation === "quickGelu"
    ? []
    : [`weights alone do not show the activation ${config.activation}: say it when they are loaded`];
}

async function writeClipTs(path: string, source: SourceModel, options: WriteOptions): Promise<readonly string[]> {
  const { config, preprocess, templates, tokenizer } = source;
  const isOwn = tokenizer !== undefined && config.text.vocabSize !== OFFICIAL_VOCABULARY;
  const metadata = {
    format: "pt",
    [CONFIG_KEY]: JSON.stringify(config),
    ...writeCompanions({ preprocess, templates, ...(isOwn && { tokenizer }) }),
  };
  await streamSafetensors(path, watched(storedTensors("openai", source, options.dtype), options), metadata);
  return [];
}

async function writeOpenClip(folder: string, source: SourceModel, options: WriteOptions): Promise<readonly string[]> {
  const { json, naming } = openClipTarget(source.config, source.preprocess);
  await writeJson(join(folder, "open_clip_config.json"), json);
  const tensors = storedTensors(naming, source, options.dtype);
  await streamSafetensors(join(folder, "open_clip_model.safetensors"), watched(tensors, options), { format: "pt" });
  return source.config.text.vocabSize === OFFICIAL_VOCABULARY
    ? []
    : ["open_clip has no field for a vocabulary of one's own: it will tokenize with the official one"];
}

const OFFICIAL_VOCABULARY = 49408;

async function writeHuggingFace(
  folder: string,
  source: SourceModel,
  options: WriteOptions,
): Promise<readonly string[]> {
  const { config, preprocess } = source;
  const { files, naming } = huggingFaceTarget(config, preprocess, options.dtype);
  for (const [name, json] of Object.entries(files)) await writeJson(join(folder, name), json);
  const notes = await writeTokenizer(folder, source);
  await writeShards(folder, naming, source, options);
  return notes;
}

async function writeTokenizer(folder: string, { tokenizer, config }: SourceModel): Promise<readonly string[]> {
  if (!tokenizer) return ["the model's tokenizer is not known: its files are not written"];
  for (const [name, text] of Object.entries(huggingFaceTokenizer(tokenizer, config.text.contextLength)))
    await writeFileAtomic(join(folder, name), new TextEncoder().encode(text));
  return [];
}

async function writeShards(
  folder: string,
  naming: NamingKind,
  source: SourceModel,
  options: WriteOptions,
): Promise<void> {
  const tensors = watched(storedTensors(naming, source, options.dtype), options);
  const shards = partsOf(tensors, options.largestShard);
  const metadata = { format: "pt" };
  if (shards.length === 1) return streamSafetensors(join(folder, "model.safetensors"), tensors, metadata);
  const five = (n: number): string => String(n).padStart(5, "0");
  const map: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`;
    await streamSafetensors(join(folder, name), shard, metadata);
    for (const tensor of shard) map[tensor.name] = name;
  }
  const total = tensors.reduce((sum, tensor) => sum + storedSize(tensor), 0);
  await writeJson(join(folder, "model.safetensors.index.json"), { metadata: { total_size: total }, weight_map: map });
}

/** In order, each part as large as allowed, or one tensor that is larger. */
function partsOf(tensors: readonly StreamedTensor[], largest: number): StreamedTensor[][] {
  const parts: StreamedTensor[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    const own = storedSize(tensor);
    if (size + own > largest) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)?.push(tensor);
    size += own;
  }
  return parts;
}

async function writeOnnx(folder: string, source: SourceModel, options: WriteOptions): Promise<readonly string[]> {
  const { config, preprocess } = source;
  const { dtype, kernels, onTensor, signal } = options;
  const notes: string[] = [];
  try {
    const { files } = huggingFaceTarget(config, preprocess, dtype);
    for (const [name, json] of Object.entries(files)) await writeJson(join(folder, name), json);
  } catch (error) {
    // The models are complete without it; only transformers.js reads it.
    notes.push(`no config.json beside the models: ${error instanceof Error ? error.message : error}`);
  }
  notes.push(...(await writeTokenizer(folder, source)));
  const read: SourceModel["read"] = (name) => {
    signal?.throwIfAborted();
    onTensor?.(name, 4 * (source.shapes.get(name) ?? []).reduce((product, size) => product * size, 1));
    return source.read(name);
  };
  for (const tower of ["vision", "text"] as const) {
    const path = join(folder, "onnx", `${tower}_model.onnx`);
    await mkdir(dirname(path), { recursive: true });
    const weightsFile = `${tower}_model.onnx_data`;
    const { model, weights } = await exportTower(tower, config, { ...source, read }, { dtype, kernels, weightsFile });
    if (weights) await writeFileAtomic(join(folder, "onnx", weightsFile), weights());
    await writeFileAtomic(path, model);
  }
  return notes;
}

function watched(tensors: readonly StreamedTensor[], { onTensor, signal }: WriteOptions): StreamedTensor[] {
  return tensors.map((tensor) => ({
    ...tensor,
    bytes: () => {
      signal?.throwIfAborted();
      onTensor?.(tensor.name, storedSize(tensor));
      return tensor.bytes();
    },
  }));
}

function writeJson(path: string, json: unknown): Promise<void> {
  return writeFileAtomic(path, new TextEncoder().encode(`${JSON.stringify(json, undefined, 2)}\n`));
}

/** The formats of others. */
const WRITERS = {
  openai: writeOpenAi,
  open_clip: writeOpenClip,
  hf: writeHuggingFace,
  onnx: writeOnnx,
} as const satisfies Record<Exclude<Target, "clip-ts">, unknown>;
