/**
 * A training run on disk:
 *
 *     runs/<name>/config.json                  recipe, and from where its paths are; architecture, versions
 *                 tokenizer.json
 *                 metrics.jsonl                one line a step
 *                 checkpoints/step-N.safetensors
 *                 report.html
 */
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { z } from "zod";
import {
  type BoxFile,
  clipConfigSchema,
  manifestPath,
  openPieces,
  openSafetensors,
  type TensorPiece,
  writeFileAtomic,
  writeManifest,
  writePieces,
  writeSafetensors,
} from "../checkpoint/index.ts";
import type { HostTensors } from "../engine/engine.ts";
import type { HostTensor } from "../graph/index.ts";
import { checked, readJson } from "../json-file.ts";
import { bufferShapes, type ClipConfig, parameterShapes } from "../model/index.ts";
import type { NodeGroup } from "../nodes/index.ts";
import { type Tokenizer, tokenizerFromJson } from "../tokenizer/index.ts";
import { finite } from "./pieces.ts";
import { checkRecipe, type Recipe } from "./recipe.ts";
import { recipeFrom } from "./recipe-paths.ts";
import { packageVersion } from "./version.ts";

const FORMAT = "clip-ts/run";
/** Raised whenever a folder of before can no longer be read. */
const VERSION = 1;
/** The vocabulary of a tokenizer that was trained has tens of bytes an entry. */
const LARGEST_TOKENIZER = 2 ** 28;

/** A run folder, opened. */
export interface RunFolder {
  readonly folder: string;
  readonly recipe: Recipe;
  /** The architecture, with the vocabulary that the tokenizer really has. */
  readonly model: ClipConfig;
  readonly tokenizer: Tokenizer;
}

/** A line of metrics.jsonl. */
export interface MetricsLine {
  /** Updates done, this one included. */
  readonly step: number;
  /** Pairs of a step. */
  readonly batch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly learningRate: number;
  /** What cosines were multiplied by. */
  readonly scale: number;
  readonly gradientNorm: number;
  readonly pairsPerSecond: number;
}

const configPath = (folder: string): string => join(folder, "config.json");
const tokenizerPath = (folder: string): string => join(folder, "tokenizer.json");
export const metricsPath = (folder: string): string => join(folder, "metrics.jsonl");
export const reportPath = (folder: string): string => join(folder, "report.html");
const checkpointsPath = (folder: string): string => join(folder, "checkpoints");
/** Where one process writes a checkpoint. */
export const checkpointPath = (folder: string, step: number): string => `${piecesPath(folder, step)}.safetensors`;
/** The folder where several write theirs. */
const piecesPath = (folder: string, step: number): string => join(checkpointsPath(folder), `step-${step}`);

/** The file of a checkpoint that is there: the checkpoint itself, or the manifest of its pieces. */
export function checkpointFile(folder: string, step: number): string {
  const manifest = manifestPath(piecesPath(folder, step));
  return existsSync(manifest) ? manifest : checkpointPath(folder, step);
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/**
 * @param initial weights to start from, by published name: the run's checkpoint of step 0. @default random ones
 * @throws one line if something is there already
 */
export async function createRunFolder(
  folder: string,
  recipe: Recipe,
  tokenizer: Tokenizer,
  initial?: HostTensors,
): Promise<RunFolder> {
  await refuseExisting(folder);
  const model = { ...recipe.model, text: { ...recipe.model.text, vocabSize: tokenizer.vocabSize } };
  const versions = { "clip-ts": packageVersion(), node: process.versions.node };
  try {
    await onDisk(folder, async () => {
      await mkdir(checkpointsPath(folder), { recursive: true });
      await writeFileAtomic(tokenizerPath(folder), json(tokenizer.toJSON()));
      // From the run to where it was started: both may be moved together, and the run goes on from anywhere.
      const paths = relative(realpathSync(folder), process.cwd());
      const config = { format: FORMAT, version: VERSION, versions, paths, recipe, model };
      await writeFileAtomic(configPath(folder), json(config));
    });
    const run = { folder, recipe, model, tokenizer };
    if (initial) await saveCheckpoint(run, 0, initial);
    return run;
  } catch (error) {
    await removeIfUnused(folder).catch(() => {}); // where nothing can be made, nothing can be removed
    throw error;
  }
}

/** @throws one line if the folder holds a run or anything else */
export async function refuseExisting(folder: string): Promise<void> {
  if (existsSync(configPath(folder)))
    throw new Error(`${folder}: holds a run already; go on with it (clip-ts train --resume ${folder}) or name another`);
  const entries = await readdir(folder).catch(() => []);
  if (entries.length > 0) throw new Error(`${folder}: is not empty; name a new folder for the run`);
}

/** @throws one line if it is no run folder, of another version, or a file is damaged */
export async function openRunFolder(folder: string): Promise<RunFolder> {
  const path = configPath(folder);
  const head = z.looseObject({ format: z.literal(FORMAT), version: z.int() });
  if (!existsSync(path)) throw new Error(`${folder}: is no run folder: it has no config.json`);
  const raw = await readJson(path);
  const { version } = checked(head, raw, path);
  if (version !== VERSION)
    throw new Error(`${folder}: a run folder of format version ${version}; this clip-ts reads version ${VERSION}`);
  // Runs of before do not say where their paths begin: in the current folder.
  const body = z.looseObject({ paths: z.string().exactOptional(), recipe: z.unknown(), model: clipConfigSchema });
  const { paths, recipe, model } = checked(body, raw, path);
  const tokenizer = await readTokenizer(tokenizerPath(folder));
  if (tokenizer.vocabSize !== model.text.vocabSize)
    throw new Error(
      `${tokenizerPath(folder)}: has ${tokenizer.vocabSize} ids, the model in ${path} expects ${model.text.vocabSize}`,
    );
  const start = paths === undefined ? "." : resolve(realpathSync(folder), paths);
  return { folder, recipe: recipeFrom(checkRecipe(recipe, `${path}: recipe`), start), model, tokenizer };
}

export async function readTokenizer(path: string): Promise<Tokenizer> {
  const raw = await readJson(path, LARGEST_TOKENIZER);
  try {
    return tokenizerFromJson(raw);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Steps of the whole checkpoints, lowest first. */
export async function checkpointSteps(folder: string): Promise<number[]> {
  const names = await readdir(checkpointsPath(folder)).catch(() => []);
  const steps = names.flatMap((name) => {
    const [, step, alone] = /^step-(\d+)(\.safetensors)?$/.exec(name) ?? [];
    return step !== undefined && (alone || existsSync(manifestPath(piecesPath(folder, Number(step))))) ? [step] : [];
  });
  return [...new Set(steps.map(Number))].sort((a, b) => a - b);
}

/**
 * Writes a checkpoint whole or not at all and drops the oldest ones.
 * @throws one line if a value is not finite, so that a good checkpoint is never replaced by a spoilt one
 */
export async function saveCheckpoint(
  { folder, recipe }: RunFolder,
  step: number,
  tensors: HostTensors,
): Promise<string> {
  for (const [name, tensor] of Object.entries(tensors)) finite(`step ${step}: ${name}`, tensor);
  const path = checkpointPath(folder, step);
  await onDisk(path, () => writeSafetensors(path, tensors, { format: "clip-ts/checkpoint", step: String(step) }));
  await dropOldest(folder, recipe);
  return path;
}

async function dropOldest(folder: string, { keepCheckpoints }: Recipe): Promise<void> {
  for (const old of (await checkpointSteps(folder)).slice(0, -keepCheckpoints)) {
    // Without its manifest it is no checkpoint any more, whatever is left of it.
    await rm(manifestPath(piecesPath(folder, old)), { force: true });
    for (const path of [piecesPath(folder, old), checkpointPath(folder, old)])
      await rm(path, { recursive: true, force: true });
  }
}

/**
 * Writes a checkpoint that several processes hold, each what is its own; all of them call this.
 * @param barrier waits until all have come so far
 * @throws one line if a value is not finite, or a part is missing
 */
export async function savePieces(
  { folder, recipe }: RunFolder,
  step: number,
  pieces: readonly TensorPiece[],
  { node, nodes, barrier }: Pick<NodeGroup, "node" | "nodes" | "barrier">,
): Promise<string> {
  const path = piecesPath(folder, step);
  await onDisk(path, () => writePieces(path, node, nodes, pieces));
  await barrier(`pieces of step ${step}`);
  if (node === 0) {
    await onDisk(path, () => writeManifest(path, step, nodes));
    await dropOldest(folder, recipe);
  }
  await barrier(`checkpoint of step ${step}`);
  return manifestPath(path);
}

/** Opens a checkpoint, with everything that training goes on from. @throws one line that names the file */
export const openCheckpoint = (run: RunFolder, step: number): Promise<BoxFile> =>
  openTensorFile(checkpointFile(run.folder, step));

const openTensorFile = (path: string): Promise<BoxFile> =>
  path.endsWith(".json") ? openPieces(path) : openSafetensors(path);

export interface Weights {
  readonly step: number;
  /** Parameters and running statistics. */
  readonly weights: Readonly<Record<string, HostTensor>>;
  /** Differs between checkpoints: what is kept of a model's results is kept by it. */
  readonly fingerprint: string;
}

/** What a checkpoint holds of the model. @param wanted its step @default the latest @throws one line if there is none */
export async function readWeights(run: RunFolder, wanted?: number): Promise<Weights> {
  const step = wanted ?? (await checkpointSteps(run.folder)).at(-1);
  if (step === undefined) throw new Error(`${run.folder}: has no checkpoint yet`);
  const path = checkpointFile(run.folder, step);
  const shapes = { ...parameterShapes(run.model), ...bufferShapes(run.model) };
  const weights = await readTensors(path, (name) => Object.hasOwn(shapes, name));
  for (const [name, shape] of Object.entries(shapes)) {
    const found = weights[name];
    if (!found) throw new Error(`${path}: tensor ${name} is missing`);
    if (found.shape.join() !== shape.join())
      throw new Error(`${path}: tensor ${name}: expected [${shape}], got [${found.shape}]`);
  }
  return { step, weights, fingerprint: fingerprintOf(step, weights) };
}

/** The text tower's last weights and the step: no two checkpoints of a run or of two runs share them. */
function fingerprintOf(step: number, weights: HostTensors): string {
  const hash = createHash("sha256").update(String(step));
  for (const name of ["text_projection", "token_embedding.weight", "ln_final.weight"]) {
    const { data } = weights[name] ?? { data: new Uint8Array() };
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}

async function readTensors(path: string, wanted: (name: string) => boolean): Promise<Record<string, HostTensor>> {
  const file = await openTensorFile(path);
  try {
    const tensors: Record<string, HostTensor> = {};
    for (const name of file.tensors.keys()) if (wanted(name)) tensors[name] = await file.read(name);
    return tensors;
  } finally {
    await file.close();
  }
}

/** Lines of metrics.jsonl; a line that a crash cut off ends them. */
export async function readMetrics(folder: string): Promise<MetricsLine[]> {
  const text = await readFile(metricsPath(folder), "utf8").catch(() => "");
  const lines: MetricsLine[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    try {
      lines.push(JSON.parse(line) as MetricsLine);
    } catch {
      break;
    }
  }
  return lines;
}

export interface MetricsLog {
  append(line: MetricsLine): Promise<void>;
  close(): Promise<void>;
}

/** Opens metrics.jsonl to go on after `step`: lines of later steps, which the checkpoint does not have, are cut off. */
export async function openMetrics(folder: string, step: number): Promise<MetricsLog> {
  const path = metricsPath(folder);
  const kept = (await readMetrics(folder)).filter((line) => line.step <= step);
  await onDisk(path, async () => {
    if (kept.length === 0) await writeFileAtomic(path, new Uint8Array());
    else
      await writeFileAtomic(path, new TextEncoder().encode(kept.map((line) => `${JSON.stringify(line)}\n`).join("")));
  });
  const file = await open(path, "a");
  return {
    append: (line) => onDisk(path, async () => void (await file.write(`${JSON.stringify(line)}\n`))),
    close: () => file.close(),
  };
}

/** Removes a run that has trained nothing, so that its folder can be named again. */
export async function removeIfUnused(folder: string): Promise<void> {
  if (((await checkpointSteps(folder)).at(-1) ?? 0) > 0 || (await readMetrics(folder)).length > 0) return;
  for (const path of [configPath(folder), tokenizerPath(folder), metricsPath(folder), checkpointsPath(folder)])
    await rm(path, { recursive: true, force: true });
  await rmdir(folder).catch(() => {}); // not empty: something of somebody else's
}

/** What a killed process left half-written. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const place of [folder, checkpointsPath(folder)])
    for (const name of await readdir(place).catch(() => [])) {
      const path = join(place, name);
      if (name.startsWith(".") && name.endsWith(".tmp")) await rm(path, { force: true });
      // Pieces that never became a checkpoint.
      if (place !== folder && /^step-\d+$/.test(name) && !existsSync(manifestPath(path)))
        await rm(path, { recursive: true, force: true });
    }
}

/** Runs a write; a full disk and the like become one line with the path. */
export async function onDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOSPC" || code === "EDQUOT") throw new Error(`${path}: cannot be written: the disk is full`);
    if (code === "EACCES" || code === "EROFS" || code === "EPERM")
      throw new Error(`${path}: cannot be written: no permission`);
    if (code === "ENOTDIR" || code === "EEXIST")
      throw new Error(`${path}: cannot be written: a file is where a folder should be`);
    if (code === "ENOENT") throw new Error(`${path}: cannot be written: there is no such folder`);
    throw error;
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);
