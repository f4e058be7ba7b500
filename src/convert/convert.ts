/** From any format to any other: written beside, loaded back, compared, and only then put in its place. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { Engine } from "../engine/engine.ts";
import { bufferShapes, parameterShapes } from "../model/index.ts";
import { type OpenPretrained, openPretrained } from "../pretrained/index.ts";
import type { Kernels } from "./onnx-export.ts";
import type { SourceModel } from "./source-model.ts";
import { type Difference, differenceOf, type Features, featuresOf, onnxFeatures, probeOf } from "./verify.ts";
import { isFile, type Target, writeTarget } from "./write-target.ts";

export interface ConvertOptions {
  readonly to: Target;
  /** Of the weights in the files. @default "F32" */
  readonly dtype?: "F32" | "F16";
  /** Operators of an ONNX model: those of the standard, or onnxruntime's own fused ones too. @default "onnx" */
  readonly kernels?: Kernels;
  /** Bytes of a file of Hugging Face's weights. @default 5e9, as its own library */
  readonly largestShard?: number;
  /** Replace what an earlier conversion left there. @default false */
  readonly force?: boolean;
  /** Load the result back and compare features; takes the memory of the model. @default true */
  readonly verify?: boolean;
  /** What computes the features that are compared. @default onnxruntime on the CPU */
  readonly engine?: Engine;
  /** Bytes of weights, as they are written. */
  readonly onProgress?: (done: number, total: number, tensor: string) => void;
  /** Stops; nothing is left then. */
  readonly signal?: AbortSignal;
}

export interface Conversion {
  readonly path: string;
  readonly files: readonly string[];
  /** Of all files. */
  readonly bytes: number;
  /** What the format cannot say of this model, a line each. */
  readonly notes: readonly string[];
  /** Undefined if it was not verified. */
  readonly difference: Difference | undefined;
}

/** Relative to the largest feature: what other kernels and orders of summation may differ by, and what halves lose. */
const TOLERANCE = { F32: 1e-4, F16: 2e-2 } as const;

/** Whatever a conversion writes into a folder. */
const OURS =
  /^(open_clip_config\.json|open_clip_model\.safetensors|(preprocessor_|tokenizer_)?config\.json|model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|vocab\.json|merges\.txt|special_tokens_map\.json|tokenizer\.json|onnx)$/;

/**
 * Converts an open model.
 * @throws one line if the format cannot hold it, there is something at the path, or what is loaded back is not the same
 */
export async function convert(model: OpenPretrained, path: string, options: ConvertOptions): Promise<Conversion> {
  const {
    to,
    dtype = "F32",
    kernels = "onnx",
    force = false,
    verify = true,
    largestShard = 5e9,
    onProgress,
    signal,
  } = options;
  const place = resolve(path);
  await refuseExisting(path, to, force, model.files);
  const source = sourceOf(model);
  const total = [...source.shapes.values()].reduce(
    (sum, shape) => sum + shape.reduce((product, size) => product * size, dtype === "F16" && to !== "onnx" ? 2 : 4),
    0,
  );
  let done = 0;
  const onTensor = (name: string, bytes: number): void => {
    done += bytes;
    onProgress?.(done, total, name);
  };
  await mkdir(dirname(place), { recursive: true });
  const staging = join(dirname(place), `.${basename(place)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    await mkdir(staging);
    const written = isFile(to) ? join(staging, basename(place)) : staging;
    const settings = { dtype, kernels, largestShard, onTensor, ...(signal && { signal }) };
    const notes = await writeTarget(to, written, source, settings);
    const difference = verify ? await compare(model, written, to, options.engine) : undefined;
    if (difference && !(Math.max(difference.images, difference.texts) <= TOLERANCE[dtype]))
      throw new Error(
        `${path}: what was written computes other features: they differ by ${shown(difference.images)} (images), ${shown(difference.texts)} (texts)`,
      );
    const files = isFile(to) ? [basename(place)] : await filesIn(staging);
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(staging, name))).size));
    signal?.throwIfAborted();
    await putInPlace(written, place, to);
    return { path, files, bytes: sizes.reduce((sum, size) => sum + size, 0), notes, difference };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

const shown = (x: number): string => x.toExponential(1);

function sourceOf(model: OpenPretrained): SourceModel {
  const { config, preprocess, templates, tokenizer } = model;
  const shapes = new Map(Object.entries({ ...parameterShapes(config), ...bufferShapes(config) }));
  return {
    config,
    preprocess,
    templates,
    tokenizer,
    shapes,
    read: async (name) => {
      const { [name]: tensor } = await model.readWeights((other) => other === name);
      if (!tensor) throw new Error(`no tensor ${JSON.stringify(name)}`);
      return tensor;
    },
  };
}

async function compare(model: OpenPretrained, written: string, to: Target, given?: Engine): Promise<Difference> {
  const { createOnnxEngine } = await import("../engine/onnx/onnx-engine.ts");
  const engine = given ?? (await createOnnxEngine({ cache: false }));
  try {
    const probe = probeOf(model.config);
    // One after the other: two models may be more than the memory holds.
    const wanted = await featuresOf(engine, model, probe);
    if (to === "onnx") {
      const { first, ...got } = await onnxFeatures(written, model, probe);
      const { embedDim } = model.config;
      const row: Features = { images: wanted.images.subarray(0, embedDim), texts: wanted.texts.subarray(0, embedDim) };
      const [whole, alone] = [differenceOf(wanted, got), differenceOf(row, first)];
      return { images: Math.max(whole.images, alone.images), texts: Math.max(whole.texts, alone.texts) };
    }
    const { activation } = model.config;
    const back = await openPretrained(written, to === "openai" ? { activation } : {});
    try {
      return differenceOf(wanted, await featuresOf(engine, back, probe));
    } finally {
      await back.close();
    }
  } finally {
    if (!given) await engine.close();
  }
}

async function refuseExisting(path: string, to: Target, force: boolean, source: readonly string[]): Promise<void> {
  const status = await stat(path).catch(() => undefined);
  if (isFile(to) && !path.endsWith(".safetensors"))
    throw new Error(`${path}: ${to} is written as a safetensors file: the name must end in .safetensors`);
  if (!status) return;
  if (!force) throw new Error(`${path}: is there already; --force replaces it`);
  if (status.isDirectory() === isFile(to))
    throw new Error(
      `${path}: is a ${status.isDirectory() ? "folder" : "file"}, ${to} is written as a ${isFile(to) ? "file" : "folder"}`,
    );
  // Replacing deletes: not the model that is converted, and only what a conversion can have made.
  const places = [resolve(path), await realpath(path)];
  for (const file of source)
    for (const at of [resolve(file), await realpath(file)])
      if (places.some((place) => at === place || at.startsWith(place + sep)))
        throw new Error(`${path}: is, or holds, what is converted: not replaced; name another place`);
  if (!status.isDirectory()) return;
  const other = (await readdir(path)).find((name) => !OURS.test(name));
  if (other !== undefined) throw new Error(`${path}: holds ${other}, which no conversion wrote: not replaced`);
}

async function putInPlace(written: string, place: string, to: Target): Promise<void> {
  const old = isFile(to) ? undefined : `${written}.old`;
  const isThere = await stat(place).then(
    () => true,
    () => false,
  );
  // A folder cannot be renamed onto one that is not empty.
  if (old !== undefined && isThere) await rename(place, old);
  try {
    await rename(written, place);
  } catch (error) {
    if (old !== undefined && isThere) await rename(old, place);
    throw error;
  }
  if (old !== undefined) await rm(old, { recursive: true, force: true });
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort();
}
