/**
 * Compiled programs on disk: a folder each, with onnxruntime's optimised model and its weights, which are mapped into memory and not
 * read. Everything in it may be deleted at any time.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** Bytes of all programs together; the ones used longest ago go first. */
const LARGEST = 16 * 2 ** 30;
/** A folder that was begun and never finished is somebody's crash after this many milliseconds. */
const ABANDONED = 24 * 3600 * 1000;

const MODEL = "model.onnx";
export const WEIGHTS = "weights.bin";
/** Written last: sizes and the model's hash. */
const SEAL = "seal.json";

/** `CLIP_TS_CACHE`, or `clip-ts` in `XDG_CACHE_HOME` or in the system's folder for caches. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const { CLIP_TS_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  if (CLIP_TS_CACHE) return CLIP_TS_CACHE;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, "clip-ts");
  if (platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "clip-ts", "Cache");
  return join(homedir(), platform === "darwin" ? "Library/Caches" : ".cache", "clip-ts");
}

/** The path of a kept model, or undefined if there is none or it is damaged. */
export async function findCompiled(folder: string, key: string): Promise<string | undefined> {
  const place = join(folder, key);
  const seal = await readFile(join(place, SEAL), "utf8").catch(() => undefined);
  if (seal === undefined) return undefined;
  if (seal !== (await sealOf(place).catch(() => undefined))) {
    await forgetCompiled(folder, key);
    return undefined;
  }
  const now = new Date();
  await utimes(place, now, now).catch(() => {}); // a cache that cannot be written serves all the same
  return join(place, MODEL);
}

export async function forgetCompiled(folder: string, key: string): Promise<void> {
  await rm(join(folder, key), { recursive: true, force: true }).catch(() => {});
}

/**
 * Keeps what `write` writes to the path that it is given, with its weights beside it.
 * @returns what `write` returns; without a path it keeps nothing, because there is no room
 */
export async function keepCompiled<T>(
  folder: string,
  key: string,
  write: (model: string | undefined) => Promise<T>,
): Promise<T> {
  const beside = join(folder, `.${key}.${randomBytes(6).toString("hex")}`);
  try {
    await mkdir(beside, { recursive: true, mode: 0o700 });
  } catch {
    return write(undefined);
  }
  try {
    const result = await write(join(beside, MODEL)).catch(async (error: unknown) => {
      // Whatever the reason, a full disk for one: it may work without writing.
      await rm(beside, { recursive: true, force: true });
      const again = await write(undefined).catch(() => undefined);
      if (again === undefined) throw error;
      return again;
    });
    await finish(folder, key, beside).catch(() => {}); // not kept, which is no harm
    return result;
  } finally {
    await rm(beside, { recursive: true, force: true }).catch(() => {});
  }
}

async function finish(folder: string, key: string, beside: string): Promise<void> {
  for (const name of [MODEL, WEIGHTS]) {
    const file = await open(join(beside, name), "r+");
    await file.sync().finally(() => file.close());
  }
  await writeFile(join(beside, SEAL), await sealOf(beside), { flush: true });
  await rename(beside, join(folder, key)); // fails where another process was quicker
  await makeRoom(folder, key);
}

async function sealOf(place: string): Promise<string> {
  const model = await readFile(join(place, MODEL));
  const { size } = await stat(join(place, WEIGHTS));
  return JSON.stringify({ model: createHash("sha256").update(model).digest("hex"), weights: size });
}

/** Removes the programs used longest ago until all fit, and what crashes left. */
export async function makeRoom(folder: string, kept: string, largest = LARGEST): Promise<void> {
  const entries: { name: string; used: number; bytes: number }[] = [];
  for (const name of await readdir(folder)) {
    const { mtimeMs } = await stat(join(folder, name));
    if (name.startsWith(".")) {
      if (Date.now() - mtimeMs > ABANDONED) await rm(join(folder, name), { recursive: true, force: true });
      continue;
    }
    const sizes = await Promise.all(
      [MODEL, WEIGHTS].map((file) => stat(join(folder, name, file)).catch(() => undefined)),
    );
    entries.push({ name, used: mtimeMs, bytes: sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0) });
  }
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, bytes } of entries.sort((a, b) => a.used - b.used)) {
    if (total <= largest) return;
    if (name === kept) continue;
    await forgetCompiled(folder, name);
    total -= bytes;
  }
}
