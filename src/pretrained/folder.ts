/** What kind of model a path is, and which of a folder's files hold its weights. */
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { openSharded, openTensors, type TensorFile } from "../checkpoint/index.ts";
import { checked, readJson } from "../json-file.ts";

export type PretrainedKind = "run" | "open_clip" | "hugging-face" | "file";

/** A model's place on disk. */
export interface Place {
  readonly kind: PretrainedKind;
  /** Of a file, the one it stands in. */
  readonly folder: string;
  /** The configuration: `open_clip_config.json`, `config.json`; undefined for a file alone. */
  readonly config: string | undefined;
  /** Weights, or their index; undefined for a run, which has its own rules, and where there are none. */
  readonly weights: string | undefined;
  /** Of a run's checkpoint. @default the latest */
  readonly step?: number;
}

/** @throws one line with the names that would do, if a folder has a configuration but no weights */
export function weightsOf({ kind, folder, weights }: Place): string {
  if (weights !== undefined) return weights;
  const names = kind === "hugging-face" ? WEIGHTS[kind] : WEIGHTS.open_clip;
  throw new Error(`${folder}: has a configuration but no weights: expected ${orList(names)}`);
}

/** Each before those that are larger, older or less safe. */
const WEIGHTS = {
  open_clip: ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"],
  "hugging-face": [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ],
} as const;

type Kind = keyof typeof WEIGHTS;

const CONFIG = { open_clip: "open_clip_config.json", "hugging-face": "config.json" } as const;
const FILE_ALONE = /\.(safetensors|pt|pth|bin|ckpt)$/;

/** @throws one line that names the path, or the file that was expected in a folder */
export async function placeOf(path: string): Promise<Place> {
  const stats = await stat(path).catch((error: unknown) => {
    const missing = error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
    throw new Error(`${path}: ${missing ? "there is no such file or folder" : messageOf(error)}`);
  });
  if (stats.isFile()) return ofFile(path);
  // Opening a pipe would wait for whoever writes into it.
  if (!stats.isDirectory()) throw new Error(`${path}: is neither a file nor a folder`);
  if (await isRun(path)) return ofRun(path);
  const [openClip, huggingFace] = [await ofFolder(path, "open_clip"), await ofFolder(path, "hugging-face")];
  // Many folders have both; the one without its weights is not meant.
  const found = [openClip, huggingFace].find((place) => place?.weights !== undefined) ?? openClip ?? huggingFace;
  const [only, another] = (await readdir(path)).filter((name) => FILE_ALONE.test(name));
  if (found?.weights !== undefined || (found && (only === undefined || another !== undefined))) return found;
  if (only !== undefined && another === undefined)
    return found ? { ...found, weights: join(path, only) } : ofFile(join(path, only));
  throw new Error(
    another === undefined
      ? `${path}: holds no model: expected a run of clip-ts, open_clip_config.json or config.json with weights, or one checkpoint`
      : `${path}: holds several checkpoints and no configuration; name one of them: ${only}, ${another}`,
  );
}

/** A file alone, or the weights of the folder or the run that it stands in, whose configuration then counts. */
async function ofFile(path: string): Promise<Place> {
  const folder = dirname(path);
  const step = basename(folder) === "checkpoints" ? /^step-(\d+)\.safetensors$/.exec(basename(path))?.[1] : undefined;
  if (step !== undefined && (await isRun(dirname(folder)))) return { ...ofRun(dirname(folder)), step: Number(step) };
  for (const kind of ["open_clip", "hugging-face"] as const)
    if (WEIGHTS[kind].some((name) => name === basename(path)) && (await isConfigured(folder, kind)))
      return { kind, folder, config: join(folder, CONFIG[kind]), weights: path };
  return { kind: "file", folder, config: undefined, weights: path };
}

async function ofFolder(folder: string, kind: Kind): Promise<Place | undefined> {
  if (!(await isConfigured(folder, kind))) return undefined;
  const weights = WEIGHTS[kind].map((name) => join(folder, name)).find((file) => existsSync(file));
  return { kind, folder, config: join(folder, CONFIG[kind]), weights };
}

/** Whether the configuration is there. Many things are called config.json: Hugging Face's has a model_type. */
async function isConfigured(folder: string, kind: Kind): Promise<boolean> {
  const path = join(folder, CONFIG[kind]);
  if (!existsSync(path)) return false;
  return kind === "open_clip" || z.looseObject({ model_type: z.string() }).safeParse(await readJson(path)).success;
}

const ofRun = (folder: string): Place => ({
  kind: "run",
  folder,
  config: join(folder, "config.json"),
  weights: undefined,
});

/** A run says so in its configuration. */
async function isRun(folder: string): Promise<boolean> {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return false;
  return z.looseObject({ format: z.literal("clip-ts/run") }).safeParse(await readJson(path)).success;
}

const index = z.looseObject({ weight_map: z.record(z.string(), z.string()) });
/** A name and a file for each of 100,000 tensors. */
const LARGEST_INDEX = 2 ** 26;

/** Opens a file of weights, or all those that an index names. */
export async function openWeights(path: string): Promise<{ file: TensorFile; paths: readonly string[] }> {
  if (!path.endsWith(".index.json")) return { file: await openTensors(path), paths: [path] };
  const { weight_map: map } = checked(index, await readJson(path, LARGEST_INDEX), path);
  const weightMap = new Map(Object.entries(map));
  const file = await openSharded(path, weightMap);
  return { file, paths: [...new Set(weightMap.values())].sort().map((name) => join(dirname(path), name)) };
}

function orList(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
