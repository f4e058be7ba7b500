/**
 * Image features of a set of pictures, computed once: kept by what they depend on, in files of a few hundred pictures that are
 * whole or not there, so that a run that was killed goes on where it was and no more than one file's rows need be in memory.
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { mapAhead } from "../../ahead.ts";
import { openSafetensors, readSafetensors, writeSafetensors } from "../../checkpoint/index.ts";
import type { CLIP } from "../../clip.ts";
import { hostTensor } from "../../graph/index.ts";
import type { LabelledImages } from "./task.ts";

/** Rows of numbers, [count, width], in memory or on disk. */
export interface FeatureMatrix {
  readonly count: number;
  readonly width: number;
  /** [end - start, width], a copy. @throws one line if there are no such rows */
  read(start: number, end: number): Promise<Float32Array>;
}

export interface FeatureSet {
  /** Number of rows: the pictures that could be read. */
  readonly count: number;
  /** [count] */
  readonly labels: Int32Array;
  /** [count, classes], as of the source. */
  readonly several?: Int8Array;
  /** [count]: each row's picture in the source. */
  readonly indices: Int32Array;
  /** Pictures without a row, and one line why. */
  readonly unreadable: readonly { readonly index: number; readonly error: string }[];
  /** In the space of the texts, not normalised. */
  readonly projected: FeatureMatrix;
  /** What linear probes learn from: a vision transformer's before the projection (CLIP, appendix A.3), a ResNet's `projected`. */
  readonly pooled: FeatureMatrix;
}

export interface FeatureOptions {
  /** Folder to keep them in. @default none: they are in memory alone */
  readonly cache?: string;
  /** Throws its reason; what is done is kept. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Pictures in a file: what a killed run loses at most. */
const SHARD = 512;
/** Pictures whose bytes are fetched at the same time. */
const AHEAD = 16;

interface Shard {
  readonly indices: Int32Array;
  readonly unreadable: FeatureSet["unreadable"];
  readonly projected: Part;
  readonly pooled: Part;
}

interface Part {
  readonly rows: number;
  readonly width: number;
  load(): Promise<Float32Array>;
}

/** @throws one line if none of the pictures can be read */
export async function imageFeatures(
  clip: CLIP,
  images: LabelledImages,
  { cache, signal, onProgress }: FeatureOptions = {},
): Promise<FeatureSet> {
  const folder = cache === undefined ? undefined : join(cache, "features", featureKey(clip, images.contentHash));
  if (folder !== undefined) await mkdir(folder, { recursive: true });
  const shards: Shard[] = [];
  for (let start = 0; start < images.count; start += SHARD) {
    const range = { start, end: Math.min(start + SHARD, images.count) };
    const path = folder && join(folder, String(start / SHARD).padStart(6, "0"));
    const kept = path === undefined ? undefined : await keptShard(path, range);
    const show = (done: number): void => onProgress?.(done, images.count);
    shards.push(kept ?? (await settled(path, range, await computed(clip, images, range, signal, show))));
    show(range.end);
  }
  return featureSet(images, shards);
}

/** Pictures of a source, by number. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** Everything that features depend on. */
function featureKey({ fingerprint, preprocess }: CLIP, contentHash: string): string {
  const key = JSON.stringify({ format: 1, model: fingerprint, preprocess, images: contentHash });
  return createHash("sha256").update(key).digest("hex").slice(0, 32);
}

async function computed(
  clip: CLIP,
  images: LabelledImages,
  { start, end }: Range,
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<ComputedShard> {
  const indices: number[] = [];
  const unreadable: { index: number; error: string }[] = [];
  const projected: Float32Array[] = [];
  const pooled: Float32Array[] = [];
  const numbers = Array.from({ length: end - start }, (_, i) => start + i);
  const pictures = mapAhead(numbers, AHEAD, (index) =>
    images.image(index).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error)))),
  );
  let index = start;
  for await (const found of clip.imageFeatures(pictures)) {
    signal?.throwIfAborted();
    if (found instanceof Error) unreadable.push({ index, error: named(found.message, images.describe(index)) });
    else {
      indices.push(index);
      projected.push(found.features);
      pooled.push(found.pooled);
    }
    onProgress(++index);
  }
  const rows = stacked(projected);
  const isSame = projected[0] === pooled[0];
  return { indices: Int32Array.from(indices), unreadable, projected: rows, pooled: isSame ? rows : stacked(pooled) };
}

/** A shard where it is kept, whose rows are read when they are needed; else in memory. */
async function settled(path: string | undefined, range: Range, shard: ComputedShard): Promise<Shard> {
  if (path === undefined) return inMemory(shard);
  await keep(path, shard);
  return (await keptShard(path, range)) ?? inMemory(shard);
}

/** Pictures that are bytes have no name where they are decoded. */
const named = (message: string, name: string): string =>
  (message.split("\n")[0] ?? "").replace(/^image: /, () => `${name}: `);

interface Rows {
  readonly rows: number;
  readonly width: number;
  readonly data: Float32Array;
}

function stacked(rows: readonly Float32Array[]): Rows {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { rows: rows.length, width, data };
}

interface ComputedShard extends Pick<Shard, "indices" | "unreadable"> {
  readonly projected: Rows;
  /** The same object where the two are the same. */
  readonly pooled: Rows;
}

function inMemory({ projected, pooled, ...rest }: ComputedShard): Shard {
  const partOf = (rows: Rows): Part => ({ ...rows, load: async () => rows.data });
  const first = partOf(projected);
  return { ...rest, projected: first, pooled: pooled === projected ? first : partOf(pooled) };
}

const projectedPath = (path: string): string => `${path}.safetensors`;
const pooledPath = (path: string): string => `${path}.pooled.safetensors`;

/** The file of the projected features comes last: where it is, all is. */
async function keep(path: string, { indices, unreadable, projected, pooled }: ComputedShard): Promise<void> {
  const own = pooled !== projected;
  if (own)
    await writeSafetensors(pooledPath(path), { pooled: hostTensor("f32", [pooled.rows, pooled.width], pooled.data) });
  await writeSafetensors(
    projectedPath(path),
    {
      projected: hostTensor("f32", [projected.rows, projected.width], projected.data),
      indices: hostTensor("i32", [indices.length], indices),
    },
    { unreadable: JSON.stringify(unreadable), pooled: own ? "beside" : "projected" },
  );
}

const unreadableSchema = z.array(z.object({ index: z.number(), error: z.string() }));

/** What an earlier run kept of such pictures; nothing if it is not there or damaged. */
async function keptShard(path: string, { start, end }: Range): Promise<Shard | undefined> {
  try {
    const file = await openSafetensors(projectedPath(path));
    try {
      const [rows = -1, width = 0] = file.tensors.get("projected")?.shape ?? [];
      const { data: indices } = await file.read("indices");
      const unreadable = unreadableSchema.parse(JSON.parse(file.metadata.get("unreadable") ?? ""));
      const numbers = [...indices, ...unreadable.map(({ index }) => index)];
      const isOurs = numbers.length === end - start && numbers.every((index) => index >= start && index < end);
      if (!(indices instanceof Int32Array) || indices.length !== rows || !isOurs) return undefined;
      const projected = part(projectedPath(path), "projected", rows, width);
      if (file.metadata.get("pooled") !== "beside") return { indices, unreadable, projected, pooled: projected };
      const beside = await openSafetensors(pooledPath(path));
      const [pooledRows, pooledWidth = 0] = beside.tensors.get("pooled")?.shape ?? [];
      await beside.close();
      if (pooledRows !== rows) return undefined;
      return { indices, unreadable, projected, pooled: part(pooledPath(path), "pooled", rows, pooledWidth) };
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // computed anew
  }
}

const part = (path: string, name: string, rows: number, width: number): Part => ({
  rows,
  width,
  load: async () => {
    const data = (await readSafetensors(path)).get(name)?.data;
    if (!(data instanceof Float32Array) || data.length !== rows * width)
      throw new Error(`${path}: was changed while it was in use`);
    return data;
  },
});

function featureSet(images: LabelledImages, shards: readonly Shard[]): FeatureSet {
  const unreadable = shards.flatMap((shard) => shard.unreadable);
  const count = shards.reduce((sum, { indices }) => sum + indices.length, 0);
  if (count === 0) {
    const [first] = unreadable;
    throw new Error(`${images.name}: none of ${images.count} pictures can be read${first ? `: ${first.error}` : ""}`);
  }
  const indices = new Int32Array(count);
  let at = 0;
  for (const shard of shards) {
    indices.set(shard.indices, at);
    at += shard.indices.length;
  }
  const classes = images.classNames.length;
  const { several } = images;
  const of = several && new Int8Array(count * classes);
  if (of)
    for (const [row, i] of indices.entries()) of.set(several.subarray(i * classes, (i + 1) * classes), row * classes);
  const projected = partsMatrix(shards.map((shard) => shard.projected));
  const isSame = shards.every((shard) => shard.pooled === shard.projected);
  return {
    count,
    labels: indices.map((i) => images.labels[i] ?? -1),
    ...(of && { several: of }),
    indices,
    unreadable,
    projected,
    pooled: isSame ? projected : partsMatrix(shards.map((shard) => shard.pooled)),
  };
}

/** The parts one below the other; the last one that was read stays in memory. */
function partsMatrix(all: readonly Part[]): FeatureMatrix {
  const parts = all.filter(({ rows }) => rows > 0);
  const width = parts[0]?.width ?? 0;
  const starts: number[] = [];
  let count = 0;
  for (const { rows } of parts) {
    starts.push(count);
    count += rows;
  }
  let held: { readonly part: Part; readonly data: Promise<Float32Array> } | undefined;
  const load = (wanted: Part): Promise<Float32Array> => {
    if (held?.part !== wanted) held = { part: wanted, data: wanted.load() };
    return held.data;
  };
  return {
    count,
    width,
    async read(start, end) {
      checkRange(start, end, count);
      const rows = new Float32Array((end - start) * width);
      for (const [i, one] of parts.entries()) {
        const first = starts[i] ?? 0;
        const [from, to] = [Math.max(start, first), Math.min(end, first + one.rows)];
        if (from >= to) continue;
        rows.set((await load(one)).subarray((from - first) * width, (to - first) * width), (from - start) * width);
      }
      return rows;
    },
  };
}

/** Rows that are in memory. @param data [count, width] */
export function memoryMatrix(data: Float32Array, width: number): FeatureMatrix {
  const count = data.length / width;
  return {
    count,
    width,
    read: async (start, end) => {
      checkRange(start, end, count);
      return data.slice(start * width, end * width);
    },
  };
}

/** The same rows, each of length 1. */
export function normalizedMatrix(matrix: FeatureMatrix): FeatureMatrix {
  const { count, width } = matrix;
  return {
    count,
    width,
    async read(start, end) {
      const rows = await matrix.read(start, end);
      for (let at = 0; at < rows.length; at += width) {
        let squares = 0;
        for (let i = at; i < at + width; i++) squares += (rows[i] ?? 0) ** 2;
        const length = Math.sqrt(squares);
        for (let i = at; i < at + width; i++) rows[i] = (rows[i] ?? 0) / length;
      }
      return rows;
    },
  };
}

/** As of `subset(images, pictures)`, from what there is of all of them. @param pictures numbers in the source, ascending */
export function selectedRows(set: FeatureSet, pictures: Int32Array): FeatureSet {
  const placeOf = new Map([...pictures].map((picture, place) => [picture, place]));
  const rows = Int32Array.from(set.indices.keys()).filter((row) => placeOf.has(set.indices[row] ?? -1));
  const classes = (set.several?.length ?? 0) / set.count;
  const several = set.several && new Int8Array(rows.length * classes);
  for (const [i, row] of rows.entries())
    several?.set(set.several?.subarray(row * classes, (row + 1) * classes) ?? [], i * classes);
  const projected = selectedMatrix(set.projected, rows);
  return {
    count: rows.length,
    labels: rows.map((row) => set.labels[row] ?? -1),
    ...(several && { several }),
    indices: rows.map((row) => placeOf.get(set.indices[row] ?? -1) ?? -1),
    unreadable: set.unreadable.flatMap(({ index, error }) => {
      const place = placeOf.get(index);
      return place === undefined ? [] : [{ index: place, error }];
    }),
    projected,
    pooled: set.pooled === set.projected ? projected : selectedMatrix(set.pooled, rows),
  };
}

/** @param rows ascending */
function selectedMatrix(matrix: FeatureMatrix, rows: Int32Array): FeatureMatrix {
  const { width } = matrix;
  return {
    count: rows.length,
    width,
    async read(start, end) {
      checkRange(start, end, rows.length);
      const found = new Float32Array((end - start) * width);
      for (let i = start; i < end; ) {
        // Rows that are near each other are read at once, with those between them.
        const first = rows[i] ?? 0;
        let next = i + 1;
        while (next < end && (rows[next] ?? 0) - first < SHARD) next++;
        const block = await matrix.read(first, (rows[next - 1] ?? 0) + 1);
        for (; i < next; i++) {
          const at = ((rows[i] ?? 0) - first) * width;
          found.set(block.subarray(at, at + width), (i - start) * width);
        }
      }
      return found;
    },
  };
}

function checkRange(start: number, end: number, count: number): void {
  if (!(start >= 0 && start <= end && end <= count))
    throw new Error(`features: expected rows within 0 .. ${count}, got ${start} .. ${end}`);
}
