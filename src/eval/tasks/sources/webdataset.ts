/**
 * WebDataset shards in the layout of CLIP_benchmark: tar archives in which the files of one picture follow each other and share a
 * name: a picture and a `.cls` with the number of its class, or a `.npy` with a 1 for each class that it has.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../../checkpoint/index.ts";
import { indexTar, isPictureName } from "../../../data/index.ts";
import { type HashOptions, hashOf, statLine } from "../content-hash.ts";
import type { LabelledImages } from "../task.ts";
import { filePart, shortLines } from "./file-part.ts";
import { readNpy } from "./npy.ts";

const CLASS_NAMES = "classnames.txt";
const TEMPLATES = "zeroshot_classification_templates.txt";
/** A picture in a shard is no larger. */
const LARGEST_PICTURE = 1 << 30;
const MOST_CLASSES = 1 << 20;

/** The pictures of one shard, as columns; `classes` has one number or, where a picture may have several, one list for each. */
const shardSchema = z.object({
  sha256: z.string(),
  keys: z.array(z.string()),
  offsets: z.array(z.number()),
  sizes: z.array(z.number()),
  classes: z.array(z.union([z.number(), z.array(z.number())])),
});

type Shard = z.infer<typeof shardSchema>;

/** The shards of a folder in the order of their numbers; none if it has none. */
export async function shardsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".tar"));
  const collator = new Intl.Collator("en", { numeric: true });
  return names.sort(collator.compare).map((name) => join(folder, name));
}

/** @throws one line that names the file and what is wrong with it */
export async function openWebDataset(folder: string, options: HashOptions = {}): Promise<LabelledImages> {
  const paths = await shardsIn(folder);
  if (paths.length === 0) throw new Error(`${folder}: expected shards, files that end in .tar, got none`);
  const namesFile = besideOrAbove(folder, CLASS_NAMES);
  if (namesFile === undefined) throw new Error(`${folder}: there is no ${CLASS_NAMES} in it or above it`);
  const classNames = await shortLines(namesFile);
  const templatesFile = besideOrAbove(folder, TEMPLATES);
  const templates = templatesFile === undefined ? [] : await readTemplates(templatesFile);
  const shards: Shard[] = [];
  const firsts: number[] = [];
  let count = 0;
  for (const [i, path] of paths.entries()) {
    const shard = await shardAt(path, options.cache);
    firsts.push(count);
    count += shard.keys.length;
    shards.push(shard);
    options.onProgress?.(i + 1, paths.length);
  }
  if (count === 0) throw new Error(`${folder}: its ${paths.length} shards have no pictures`);
  const at = (index: number): { readonly path: string; readonly shard: Shard; readonly row: number } => {
    const place = firsts.findLastIndex((first) => first <= index);
    const [path, shard] = [paths[place], shards[place]];
    if (path === undefined || shard === undefined || !(index >= 0 && index < count))
      throw new Error(`${folder}: picture must be in 0 .. ${count - 1}, got ${index}`);
    return { path, shard, row: index - (firsts[place] ?? 0) };
  };
  return {
    name: folder,
    count,
    classNames,
    ...labelsOf(folder, shards, classNames.length),
    ...(templates.length > 0 && { templates }),
    contentHash: hashOf(
      "wds",
      shards.map(({ sha256 }) => sha256),
    ),
    image: async (index) => {
      const { path, shard, row } = at(index);
      return filePart(path, shard.offsets[row] ?? 0, shard.sizes[row] ?? 0);
    },
    describe: (index) => {
      const { path, shard, row } = at(index);
      return `${path}: ${shard.keys[row] ?? ""}`;
    },
  };
}

const besideOrAbove = (folder: string, name: string): string | undefined =>
  [folder, dirname(folder)].map((place) => join(place, name)).find((path) => existsSync(path));

/** One a line, `{c}` being the name of the class. */
async function readTemplates(path: string): Promise<string[]> {
  const lines = (await shortLines(path)).map((line) => line.replaceAll("{c}", "{}"));
  const without = lines.find((line) => !line.includes("{}"));
  if (without !== undefined)
    throw new Error(`${path}: expected {c} in every line, got ${JSON.stringify(without.slice(0, 80))}`);
  return lines;
}

function labelsOf(
  folder: string,
  shards: readonly Shard[],
  classes: number,
): Pick<LabelledImages, "labels" | "several"> {
  const all = shards.flatMap((shard) => shard.classes);
  const wrong = (found: unknown): Error => new Error(`${folder}: expected classes below ${classes}, got ${found}`);
  if (all.every((one) => typeof one === "number")) {
    const outside = all.find((one) => !(Number.isInteger(one) && one >= 0 && one < classes));
    if (outside !== undefined) throw wrong(outside);
    return { labels: Int32Array.from(all) };
  }
  const several = new Int8Array(all.length * classes);
  for (const [i, one] of all.entries()) {
    if (typeof one === "number" || one.length !== classes)
      throw new Error(
        `${folder}: expected ${classes} numbers for each picture, got ${typeof one === "number" ? 1 : one.length}`,
      );
    for (const [j, flag] of one.entries()) several[i * classes + j] = Math.sign(flag);
  }
  const labels = all.map((one) => (typeof one === "number" ? one : one.findIndex((flag) => flag > 0)));
  return { labels: Int32Array.from(labels), several };
}

/** What is in a shard, kept until its file is written anew. */
async function shardAt(path: string, cache: string | undefined): Promise<Shard> {
  if (cache === undefined) return readShard(path);
  const kept = join(cache, "shards", `${hashOf("shard 1", await statLine(path)).slice(0, 32)}.json`);
  const known = await readFile(kept, "utf8").then(
    (text) => shardSchema.safeParse(JSON.parse(text)).data,
    () => undefined,
  );
  if (known) return known;
  const shard = await readShard(path);
  await mkdir(dirname(kept), { recursive: true });
  await writeFileAtomic(kept, new TextEncoder().encode(JSON.stringify(shard)));
  return shard;
}

async function readShard(path: string): Promise<Shard> {
  const { entries, sha256 } = await indexTar(path, (name) => /\.(cls|npy)$/i.test(name));
  const shard: Shard = { sha256, keys: [], offsets: [], sizes: [], classes: [] };
  let key: string | undefined;
  let picture: (typeof entries)[number] | undefined;
  let label: number | number[] | undefined;
  const finish = (): void => {
    if (key !== undefined && picture) {
      if (label === undefined) throw new Error(`${path}: ${JSON.stringify(key)} has no .cls and no .npy`);
      if (picture.size > LARGEST_PICTURE) throw new Error(`${path}: ${JSON.stringify(key)} has ${picture.size} bytes`);
      shard.keys.push(key);
      shard.offsets.push(picture.offset);
      shard.sizes.push(picture.size);
      shard.classes.push(label);
    }
    [picture, label] = [undefined, undefined];
  };
  for (const entry of entries) {
    // The key is the name up to the first dot behind its folder.
    const [, own, extension = ""] = /^((?:.*\/)?[^./]+)\.([^/]+)$/.exec(entry.name) ?? [];
    if (own === undefined) continue;
    if (own !== key) finish();
    key = own;
    if (isPictureName(`.${extension}`) || isPictureName(`x.${extension}`)) picture = entry;
    else if (entry.content) label = labelIn(path, entry.name, extension.toLowerCase(), entry.content);
  }
  finish();
  return shard;
}

function labelIn(path: string, name: string, extension: string, content: Uint8Array): number | number[] {
  try {
    if (extension === "npy") return readNpy(content, MOST_CLASSES);
    const text = new TextDecoder().decode(content.subarray(0, 32)).trim();
    if (!/^\d{1,9}$/.test(text)) throw new Error(`expected the number of a class, got ${JSON.stringify(text)}`);
    return Number(text);
  } catch (error) {
    throw new Error(`${path}: ${JSON.stringify(name)}: ${error instanceof Error ? error.message : error}`);
  }
}
