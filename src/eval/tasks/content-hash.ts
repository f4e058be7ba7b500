/** Hashes of files' content, kept by what the file system says of them: files that were not touched are not read again. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { mapAhead } from "../../ahead.ts";
import { writeFileAtomic } from "../../checkpoint/index.ts";

/** Files whose bytes are read at the same time. */
const AHEAD = 8;

export interface HashOptions {
  /** Folder where hashes are kept. @default none: everything is read */
  readonly cache?: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * One hash of several files in their order.
 * @param meaning what the bytes are taken for: the same files read in another way are other pictures
 * @throws one line if a file cannot be read
 */
export async function contentHash(
  meaning: string,
  files: readonly string[],
  { cache, onProgress }: HashOptions = {},
): Promise<string> {
  const stats = createHash("sha256").update(meaning);
  for await (const line of mapAhead(files, AHEAD, statLine)) stats.update(line);
  const kept = cache === undefined ? undefined : join(cache, "hashes", stats.digest("hex").slice(0, 32));
  const known = kept === undefined ? undefined : await readFile(kept, "utf8").catch(() => undefined);
  if (known !== undefined && /^[0-9a-f]{64}$/.test(known)) return known;
  const hash = createHash("sha256").update(meaning);
  let done = 0;
  for await (const digest of mapAhead(files, AHEAD, fileDigest)) {
    hash.update(digest);
    onProgress?.(++done, files.length);
  }
  const found = hash.digest("hex");
  if (cache !== undefined && kept !== undefined) {
    await mkdir(join(cache, "hashes"), { recursive: true });
    await writeFileAtomic(kept, new TextEncoder().encode(found));
  }
  return found;
}

/** Of anything that JSON can say. */
export const hashOf = (...parts: readonly unknown[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex");

/** What changes whenever a file is written: as git does, its size and times stand for its content. */
export async function statLine(path: string): Promise<string> {
  try {
    const { size, mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true });
    return `\n${path}\n${size} ${mtimeNs} ${ctimeNs} ${ino}`;
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function fileDigest(path: string): Promise<Uint8Array> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  } catch (error) {
    throw unreadable(path, error);
  }
  return hash.digest();
}

/** @returns one line that names the file */
export function unreadable(path: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new Error(`${path}: there is no such file`);
  if (code === "EISDIR") return new Error(`${path}: is a folder, not a file`);
  return new Error(`${path}: cannot be read: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
}
