import { createHash, randomUUID } from "node:crypto";
import { access, constants, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { cacheFolder } from "../cache/index.ts";
import { renderSvg } from "../image/index.ts";
import { emojiSvg, type JoinedEmoji, joinEmoji } from "./emoji-join.ts";
import { emojiPackageVersions, emojiVendors, readEmojiPackages } from "./emoji-packages.ts";

/** Raised whenever the join or the drawing changes, so that old caches are not taken for new ones. */
const cacheVersion = 1;

export interface EmojiOptions {
  /** Side of a drawing in pixels. @default 80 */
  readonly size?: number;
  /** Where drawings are kept between runs. @default `cacheFolder()` */
  readonly cacheDir?: string;
  /** Called now and then while the drawings are made, which happens once for a set of package versions and a size. */
  readonly onProgress?: (drawn: number, total: number) => void;
}

/** Where the drawings lie: `[drawings, size, size, 3]` bytes in the order of `drawings`. */
export interface EmojiCache extends JoinedEmoji {
  readonly size: number;
  readonly rawPath: string;
}

const indexSchema = z.object({
  size: z.number(),
  concepts: z.array(
    z.object({
      emoji: z.string(),
      name: z.string(),
      keywords: z.array(z.string()),
      group: z.string(),
      subgroup: z.string(),
      unseen: z.boolean(),
    }),
  ),
  drawings: z.array(z.object({ vendor: z.enum(emojiVendors), concept: z.number(), icon: z.string() })),
});

/** The cache of these package versions at this size, drawn now if there is none. */
export async function openEmojiCache(options: EmojiOptions = {}): Promise<EmojiCache> {
  const { size = 80 } = options;
  if (!(Number.isInteger(size) && size >= 8 && size <= 1024)) {
    throw new Error(`emoji: size must be a whole number of pixels from 8 to 1024, got ${size}`);
  }
  const folder = await emojiCacheFolder(options);
  return (await readCache(folder, size)) ?? (await drawCache(folder, size, options.onProgress));
}

/** Where the cache of these package versions at this size lies or will lie. */
export async function emojiCacheFolder({ size = 80, cacheDir = cacheFolder() }: EmojiOptions): Promise<string> {
  const key = JSON.stringify({ cacheVersion, size, packages: await emojiPackageVersions() });
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 16);
  return join(cacheDir, `emoji-${hash}`);
}

const rawPathOf = (folder: string): string => join(folder, "drawings.raw");
const indexPathOf = (folder: string): string => join(folder, "drawings.json");

/** The index is written after the pixels, so that where it stands the pixels are whole. */
async function readCache(folder: string, size: number): Promise<EmojiCache | undefined> {
  try {
    const index = indexSchema.parse(JSON.parse(await readFile(indexPathOf(folder), "utf8")));
    const { size: bytes } = await stat(rawPathOf(folder));
    if (index.size !== size || bytes !== index.drawings.length * size * size * 3) return undefined;
    return { ...index, rawPath: rawPathOf(folder) };
  } catch {
    return undefined; // not there, or damaged: drawn again
  }
}

/** More than the two to four cores of small machines: sharp waits on its own threads. */
const drawnAtOnce = 8;

async function drawCache(folder: string, size: number, onProgress: EmojiOptions["onProgress"]): Promise<EmojiCache> {
  const keep = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      throw new Error(`emoji: drawings cannot be kept in ${folder} (set cacheDir or CLIP_TS_CACHE): ${reason}`);
    }
  };
  // Before the work, not after it: a folder that cannot be written must not cost half a minute.
  await keep(async () => {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  });
  const packages = await readEmojiPackages();
  const joined = joinEmoji(packages);
  const { drawings } = joined;
  const bytesEach = size * size * 3;
  const pixels = new Uint8Array(drawings.length * bytesEach);
  const queue = drawings.entries();
  let drawn = 0;
  const draw = async (): Promise<void> => {
    for (const [position, { vendor, icon }] of queue) {
      const svg = emojiSvg(packages.sets[vendor], icon, size);
      const image = await renderSvg(svg, size, `emoji ${icon} of ${vendor}`);
      pixels.set(image.data, position * bytesEach);
      drawn++;
      if (drawn % 50 === 0 || drawn === drawings.length) onProgress?.(drawn, drawings.length);
    }
  };
  await Promise.all(Array.from({ length: drawnAtOnce }, draw));

  await keep(async () => {
    await writeWhole(rawPathOf(folder), pixels);
    await writeWhole(indexPathOf(folder), Buffer.from(JSON.stringify({ size, ...joined })));
  });
  return { size, ...joined, rawPath: rawPathOf(folder) };
}

/** Written beside, flushed, renamed: a reader, a crash or a second process sees the old file or the whole new one. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
