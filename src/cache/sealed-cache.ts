/**
 * Results on disk that took long to compute: a folder each, by a key that says all that they depend on. An entry is written beside and
 * renamed, so that it is whole or not there; what is damaged is forgotten. Everything in it may be deleted at any time.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A folder that was begun and never finished is somebody's crash after this many milliseconds. */
const ABANDONED = 24 * 3600 * 1000;
/** Written last: sizes and hashes. */
const SEAL = "seal.json";

export interface SealedFiles {
  /** Files of an entry whose content is verified whenever it is found. */
  readonly hashed: readonly string[];
  /** Those of which only the size is: too large to be read for that. */
  readonly sized: readonly string[];
  /** Bytes of all entries together; the ones used longest ago go first. */
  readonly largest: number;
}

export interface SealedCache {
  /** The folder of an entry, or undefined if there is none or it is damaged. */
  find(key: string): Promise<string | undefined>;
  forget(key: string): Promise<void>;
  /**
   * Keeps the files that `write` writes into the folder that it is given.
   * @returns what `write` returns; without a folder it keeps nothing, because there is no room
   */
  keep<T>(key: string, write: (place: string | undefined) => Promise<T>): Promise<T>;
}

/** @param folder need not be there; one that cannot be written serves what it has */
export function sealedCache(folder: string, { hashed, sized, largest }: SealedFiles): SealedCache {
  const forget = (key: string): Promise<void> =>
    rm(join(folder, key), { recursive: true, force: true }).catch(() => {});

  const sealOf = async (place: string): Promise<string> => {
    const hashes = hashed.map(async (name) => {
      const content = await readFile(join(place, name));
      return [name, createHash("sha256").update(content).digest("hex")] as const;
    });
    const sizes = sized.map(async (name) => [name, (await stat(join(place, name))).size] as const);
    return JSON.stringify(Object.fromEntries(await Promise.all([...hashes, ...sizes])));
  };

  const finish = async (key: string, beside: string): Promise<void> => {
    for (const name of [...hashed, ...sized]) {
      const file = await open(join(beside, name), "r+");
      await file.sync().finally(() => file.close());
    }
    await writeFile(join(beside, SEAL), await sealOf(beside), { flush: true });
    await rename(beside, join(folder, key)); // fails where another process was quicker
    await makeRoom(key);
  };

  /** Removes the entries used longest ago until all fit, and what crashes left. */
  const makeRoom = async (kept: string): Promise<void> => {
    const entries: { name: string; used: number; bytes: number }[] = [];
    for (const name of await readdir(folder)) {
      const { mtimeMs } = await stat(join(folder, name));
      if (name.startsWith(".")) {
        if (Date.now() - mtimeMs > ABANDONED) await rm(join(folder, name), { recursive: true, force: true });
        continue;
      }
      const files = [...hashed, ...sized].map((file) => stat(join(folder, name, file)).catch(() => undefined));
      const sizes = await Promise.all(files);
      entries.push({ name, used: mtimeMs, bytes: sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0) });
    }
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of entries.sort((a, b) => a.used - b.used)) {
      if (total <= largest) return;
      if (name === kept) continue;
      await forget(name);
      total -= bytes;
    }
  };

  return {
    forget,
    async find(key) {
      const place = join(folder, key);
      const seal = await readFile(join(place, SEAL), "utf8").catch(() => undefined);
      if (seal === undefined) return undefined;
      if (seal !== (await sealOf(place).catch(() => undefined))) {
        await forget(key);
        return undefined;
      }
      const now = new Date();
      await utimes(place, now, now).catch(() => {}); // a cache that cannot be written serves all the same
      return place;
    },
    async keep(key, write) {
      const beside = join(folder, `.${key}.${randomBytes(6).toString("hex")}`);
      try {
        await mkdir(beside, { recursive: true, mode: 0o700 });
      } catch {
        return write(undefined);
      }
      try {
        const result = await write(beside).catch(async (error: unknown) => {
          // Whatever the reason, a full disk for one: it may work without writing.
          await rm(beside, { recursive: true, force: true });
          const again = await write(undefined).catch(() => undefined);
          if (again === undefined) throw error;
          return again;
        });
        await finish(key, beside).catch(() => {}); // not kept, which is no harm
        return result;
      } finally {
        await rm(beside, { recursive: true, force: true }).catch(() => {});
      }
    },
  };
}
