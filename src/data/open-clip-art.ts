import { open, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { type RgbImage, renderSvg } from "../image/index.ts";
import type { PairSource } from "./source.ts";
import { readSvgRecord, type SvgRecord } from "./svg-record.ts";

/** Where Debian's package `openclipart-svg` puts it: 7,458 drawings in the public domain, 2,331 of them with titles of their own. */
export const CLIP_ART_FOLDER = "/usr/share/openclipart/svg";

export interface ClipArt extends SvgRecord {
  readonly path: string;
  /** The path within the folder. */
  readonly name: string;
}

export interface ClipArtOptions {
  /** A folder of SVG files with titles in their metadata, folders within it too. @default Debian's */
  readonly folder?: string;
  /** Side of the drawings in pixels. @default 224 */
  readonly size?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ClipArtSet {
  readonly name: string;
  /** In the order of their paths, those whose title no other has: one that many share names a collection, not what is drawn. */
  readonly drawings: readonly ClipArt[];
  /** SVG files without a title of their own, or that cannot be read. */
  readonly leftOut: number;
  /** On white, centred. @throws one line that names the file */
  image(index: number): Promise<RgbImage>;
}

/** A list of more files is not asked for their titles one by one. */
const MAX_FILES = 500_000;
/** Titles stand at the beginning; what comes later is not looked at. */
const HEAD_BYTES = 1 << 18;
/** Of a drawing. */
const MAX_BYTES = 1 << 23;
/** Files that are open at the same time. */
const AT_ONCE = 32;

/** Finds the drawings and reads their titles. @throws one line if there are none */
export async function openClipArt({
  folder = CLIP_ART_FOLDER,
  size = 224,
  onProgress,
}: ClipArtOptions = {}): Promise<ClipArtSet> {
  const paths = await svgFiles(folder);
  const records: (SvgRecord | undefined)[] = [];
  for (let start = 0; start < paths.length; start += AT_ONCE) {
    const some = paths.slice(start, start + AT_ONCE);
    records.push(...(await Promise.all(some.map((path) => recordOf(path)))));
    onProgress?.(records.length, paths.length);
  }
  const times = new Map<string, number>();
  for (const record of records) {
    const key = record?.title.toLowerCase() ?? "";
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  const drawings = paths.flatMap((path, i): ClipArt[] => {
    const record = records[i];
    return record && times.get(record.title.toLowerCase()) === 1
      ? [{ path, name: relative(folder, path), ...record }]
      : [];
  });
  if (drawings.length === 0) throw new Error(`${folder}: expected SVG files with titles, got none in ${paths.length}`);
  return {
    name: "Open Clip Art",
    drawings,
    leftOut: paths.length - drawings.length,
    async image(index) {
      const drawing = drawings[index];
      if (!drawing) throw new Error(`${folder}: drawing must be in 0 .. ${drawings.length - 1}, got ${index}`);
      return renderSvg(await readWhole(drawing.path), size, drawing.path);
    },
  };
}

/** Pairs to train on: the title is the caption, or the title and a tag. */
export function clipArtSource({ name, drawings, image }: ClipArtSet): PairSource {
  const at = (index: number): ClipArt => {
    const drawing = drawings[index];
    if (!drawing) throw new Error(`${name}: pair must be in 0 .. ${drawings.length - 1}, got ${index}`);
    return drawing;
  };
  return {
    name,
    length: drawings.length,
    image,
    caption: (index, random) => {
      const { title, tags } = at(index);
      return tags.length === 0 || random.uniform() < 0.5 ? title : `${title}, ${random.pick(tags)}`;
    },
    captions: (index) => [at(index).title],
    file: (index) => at(index).path,
    describe: (index) => at(index).name,
  };
}

/** Links are not followed: they lead out of the folder, or to a file that is listed anyway. */
async function svgFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (place: string): Promise<void> => {
    const entries = await readdir(place, { withFileTypes: true }).catch((error: unknown) => {
      throw new Error(`${place}: cannot be read: ${error instanceof Error ? error.message : error}`);
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (entry.isDirectory()) await visit(join(place, entry.name));
      else if (entry.isFile() && entry.name.toLowerCase().endsWith(".svg")) found.push(join(place, entry.name));
      if (found.length > MAX_FILES) throw new Error(`${folder}: more than ${MAX_FILES} SVG files`);
    }
  };
  await visit(folder);
  return found;
}

async function recordOf(path: string): Promise<SvgRecord | undefined> {
  const file = await open(path).catch(() => undefined);
  if (!file) return undefined;
  try {
    const head = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return readSvgRecord(head.subarray(0, bytesRead));
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > MAX_BYTES) throw new Error(`${path}: ${size} bytes are more than a drawing has (${MAX_BYTES})`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
