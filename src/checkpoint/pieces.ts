/**
 * Checkpoints that several processes write, each what its devices hold:
 *
 *     step-N/node-0-of-4.safetensors   boxes of tensors; the header's metadata says of which and where
 *            manifest.json             the files with their sizes; written last: without it there is no checkpoint
 *
 * Read as one file of whole tensors, by any number of processes on any mesh.
 */
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import {
  commonPiece,
  type DType,
  elements,
  type HostTensor,
  hostArray,
  isWithin,
  type Piece,
  paste,
  wholePiece,
} from "../graph/index.ts";
import { checked } from "../json-file.ts";
import { writeFileAtomic } from "./atomic-write.ts";
import { readMetadata } from "./metadata.ts";
import { quote } from "./quote.ts";
import { openSafetensors } from "./safetensors.ts";
import { streamSafetensors } from "./safetensors-stream.ts";
import { NATURAL, STORED_BYTES, WRITTEN } from "./stored-dtypes.ts";
import { type BoxFile, named, type TensorInfo } from "./tensor-file.ts";

/** A box of a tensor, whose elements are asked for when they are written. */
export interface TensorPiece {
  readonly name: string;
  /** Shape of the whole tensor. */
  readonly whole: readonly number[];
  readonly start: readonly number[];
  readonly shape: readonly number[];
  value(): Promise<HostTensor>;
}

const FORMAT = "clip-ts/pieces";
const MANIFEST = "manifest.json";
/** In a file's metadata. */
const PIECES_KEY = "clip-ts.pieces";
const MOST_FILES = 65_536;
const LARGEST_MANIFEST = 16 * 2 ** 20;

const count = z.int().min(0);
const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(1),
  step: count,
  files: z
    .array(
      z.strictObject({ name: z.string().regex(/^[\w][\w.-]{0,100}$/, "is no name of a file beside"), size: count }),
    )
    .min(1)
    .max(MOST_FILES),
});
const piecesSchema = z.record(
  z.string(),
  z.strictObject({ name: z.string(), whole: z.array(count).max(16), start: z.array(count).max(16) }),
);

export const manifestPath = (folder: string): string => join(folder, MANIFEST);
const fileName = (node: number, nodes: number): string => `node-${node}-of-${nodes}.safetensors`;

/** Writes one process's part, whole or not at all. @throws what `value` throws; what the file system throws */
export async function writePieces(
  folder: string,
  node: number,
  nodes: number,
  pieces: readonly TensorPiece[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const table = Object.fromEntries(pieces.map(({ name, whole, start }, i) => [String(i), { name, whole, start }]));
  const streamed = pieces.map(({ shape, value }, i) => ({
    name: String(i),
    dtype: WRITTEN.f32,
    shape,
    bytes: async () => {
      const { data } = await value();
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
  }));
  await streamSafetensors(join(folder, fileName(node, nodes)), streamed, { [PIECES_KEY]: JSON.stringify(table) });
}

/** How long a file that another machine has written may take to be seen here, on a file system that both share. */
const VISIBLE_MS = 15_000;

/**
 * Makes the parts a checkpoint, once all are written: for one process to do.
 * @throws one line if a part cannot be seen
 */
export async function writeManifest(folder: string, step: number, nodes: number): Promise<string> {
  const files: { name: string; size: number }[] = [];
  for (let node = 0; node < nodes; node++) {
    const name = fileName(node, nodes);
    files.push({ name, size: await sizeOf(join(folder, name), node) });
  }
  const text = `${JSON.stringify({ format: FORMAT, version: 1, step, files }, null, 2)}\n`;
  await writeFileAtomic(manifestPath(folder), new TextEncoder().encode(text));
  return manifestPath(folder);
}

async function sizeOf(path: string, node: number): Promise<number> {
  for (let waited = 0; ; waited += 250) {
    const found = await stat(path).catch(() => undefined);
    if (found) return found.size;
    if (waited >= VISIBLE_MS)
      throw new Error(
        `${path}: node ${node} wrote it and it is not here: the run must be on a file system that all nodes share`,
      );
    await pause(250);
  }
}

interface Box {
  readonly file: BoxFile;
  readonly key: string;
  readonly start: readonly number[];
}

interface Assembled extends TensorInfo {
  readonly boxes: Box[];
  /** Shape of every box. */
  readonly box: readonly number[];
}

/**
 * Opens a checkpoint in pieces as one file.
 * @param path of its manifest
 * @throws one line that names the file, and the tensor that is incomplete, overlaps or lies outside its shape
 */
export async function openPieces(path: string): Promise<BoxFile> {
  const manifest = await readManifest(path);
  const files: BoxFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  try {
    const tensors = new Map<string, Assembled>();
    for (const { name, size } of manifest.files) {
      const file = await openSafetensors(join(dirname(path), name));
      files.push(file);
      if (file.size !== size) throw new Error(`${file.name}: has ${file.size} bytes, the manifest says ${size}`);
      await named(file.name, () => addPieces(file, tensors));
    }
    await named(path, () => {
      for (const [name, tensor] of tensors) checkWhole(name, tensor);
    });
    const readBox = async (tensor: string, box: Piece | undefined, as?: DType): Promise<HostTensor> => {
      const found = tensors.get(tensor);
      if (!found) throw new Error(`${path}: no tensor ${quote(tensor)}`);
      return readFrom(found, box ?? wholePiece(found.shape), as, `${path}: tensor ${quote(tensor)}`);
    };
    return {
      name: path,
      format: "safetensors",
      size: files.reduce((sum, { size }) => sum + size, 0),
      metadata: new Map([["step", String(manifest.step)]]),
      tensors,
      read: (tensor, as) => readBox(tensor, undefined, as),
      readBox,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A box of a tensor, from those boxes that have something of it. */
async function readFrom(
  { shape, boxes, box: size, dtype: stored }: Assembled,
  box: Piece,
  as: DType | undefined,
  name: string,
): Promise<HostTensor> {
  if (!isWithin(box, shape))
    throw new Error(`${name}: a box of [${box.shape}] at [${box.start}] is not within [${shape}]`);
  const dtype = as ?? NATURAL[stored] ?? "f32";
  const whole = { dtype, shape: box.shape, data: hostArray(dtype, elements(box.shape)) };
  const relative = (place: readonly number[], to: readonly number[]) =>
    place.map((from, axis) => from - (to[axis] ?? 0));
  for (const { file, key, start } of boxes) {
    const common = commonPiece(box, { start, shape: size });
    if (!common) continue;
    const inside = { start: relative(common.start, start), shape: common.shape };
    paste(whole, await file.readBox(key, inside, dtype), relative(common.start, box.start));
  }
  return whole;
}

async function readManifest(path: string): Promise<z.infer<typeof manifestSchema>> {
  const { size } = await stat(path);
  if (size > LARGEST_MANIFEST)
    throw new Error(`${path}: a manifest of ${size} bytes, expected at most ${LARGEST_MANIFEST}`);
  return named(path, async () => checked(manifestSchema, JSON.parse(await readFile(path, "utf8")), path));
}

/** @throws one line that names the piece that is not described, or described otherwise than another of its tensor */
function addPieces(file: BoxFile, tensors: Map<string, Assembled>): void {
  const said = readMetadata(file.metadata, PIECES_KEY, piecesSchema, (pieces) => pieces) ?? {};
  const table = new Map(Object.entries(said));
  if (table.size !== file.tensors.size)
    throw new Error(`${PIECES_KEY} describes ${table.size} pieces, there are ${file.tensors.size}`);
  for (const [key, { dtype, shape: box }] of file.tensors) {
    const said = table.get(key);
    if (!said) throw new Error(`piece ${quote(key)} is not described by ${PIECES_KEY}`);
    const { name, whole: shape, start } = said;
    const known = tensors.get(name) ?? { dtype, shape, box, boxes: [] };
    if (known.dtype !== dtype || known.shape.join() !== shape.join() || known.box.join() !== box.join())
      throw new Error(`tensor ${quote(name)}: its pieces differ: ${dtype} [${box}] of [${shape}]`);
    known.boxes.push({ file, key, start });
    tensors.set(name, known);
  }
}

/** Boxes of one size, each at a multiple of it, none twice, as many as fill the tensor: nothing is missing and nothing overlaps. */
function checkWhole(name: string, { shape, box, boxes, dtype }: Assembled): void {
  const fail = (what: string): never => {
    throw new Error(`tensor ${quote(name)}: ${what}`);
  };
  if (box.length !== shape.length || box.some((size, axis) => size < 1 || (shape[axis] ?? 0) % size !== 0))
    fail(`boxes of [${box}] do not fill [${shape}]`);
  const wanted = shape.reduce((product, size, axis) => product * (size / (box[axis] ?? 1)), 1);
  if (boxes.length !== wanted) fail(`${boxes.length} of ${wanted} pieces are there`);
  const seen = new Set<string>();
  for (const { start } of boxes) {
    const inside =
      start.length === shape.length &&
      start.every((from, axis) => from % (box[axis] ?? 1) === 0 && from < (shape[axis] ?? 0));
    if (!inside) fail(`a piece of [${box}] at [${start}] is not within [${shape}]`);
    if (seen.has(start.join())) fail(`two pieces are at [${start}]`);
    seen.add(start.join());
  }
  if (!Number.isSafeInteger(elements(shape) * STORED_BYTES[dtype])) fail(`[${shape}] is too large`);
}
