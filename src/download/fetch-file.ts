/** One file into a cache: goes on where an earlier try stopped, and is believed only when its checksum is right. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Answer, Connection } from "./connection.ts";
import { DownloadError, isPassing, type Persistence, persistently, reasonOf } from "./failure.ts";

/** What a file is, told by someone who is believed. */
export interface ExpectedFile {
  /** In bytes. */
  readonly size: number;
  /** SHA-256, or the name that git gives the content. */
  readonly checksum: "sha256" | "git-sha1";
  /** In hexadecimal. */
  readonly digest: string;
}

export interface Download {
  /** What messages call it: `org/name: file`. */
  readonly title: string;
  readonly url: string;
  readonly file: ExpectedFile;
  readonly connection: Connection;
  readonly persistence: Persistence;
  /** The variable that names another place for the file, for messages. */
  readonly placeSetting: string;
  /** The error for an answer that has no file. */
  refusal(answer: Answer): DownloadError;
  /** How many bytes of the file are there now. */
  onBytes(count: number): void;
}

/**
 * Fetches a file unless it is there.
 * @throws one line if the connection is cut more often than asked to bear, or the content is not the expected one;
 *   what came over a cut connection is kept for the next try, wrong content is not
 */
export async function fetchFile(path: string, download: Download): Promise<void> {
  const { file, title, connection, onBytes, persistence } = download;
  if ((await sizeOf(path)) === file.size) return onBytes(file.size);
  await mkdir(dirname(path), { recursive: true });
  // Not the name that Python's library once gave its own: a process of it that runs now would write into the same file.
  const partial = `${path}.clip-ts.incomplete`;
  const before = (await sizeOf(partial)) ?? 0;
  await checkSpace(dirname(path), title, file.size - before, download.placeSetting);
  if (await fetched(partial, download)) return rename(partial, path);
  await rm(partial, { force: true });
  // What an earlier run left may be damaged: the machine may have lost power before it was all on the disk.
  if (before > 0 && (await fetched(partial, download))) return rename(partial, path);
  await rm(partial, { force: true });
  persistence.signal?.throwIfAborted();
  throw new DownloadError(
    `${title}: what was received has another checksum than the ${file.checksum} ${file.digest} that ${connection.name} lists: damaged on the way; try again`,
  );
}

/** Fills the partial file; whether its checksum is right then. */
async function fetched(partial: string, download: Download): Promise<boolean> {
  const { file, title, persistence, connection, onBytes } = download;
  const handle = await open(partial, "a+");
  try {
    let { size: have } = await handle.stat();
    let hash = hashFor(file);
    const restart = async (): Promise<void> => {
      await handle.truncate(0);
      hash = hashFor(file);
      have = 0;
    };
    if (have > file.size) await restart();
    else if (have > 0) await hashFile(partial, have, hash);
    onBytes(have);
    const attempt = async (): Promise<void> => {
      if (have === file.size) return;
      const range = have > 0 ? { range: `bytes=${have}-` } : {};
      const answer = await connection.get(download.url, range, persistence.signal);
      if (answer.status === 416) await restart();
      if (answer.status !== 200 && answer.status !== 206) {
        answer.discard();
        throw answer.status === 416 ? cut(title, have, file.size) : download.refusal(answer);
      }
      // A server may ignore the range, and sends all of it.
      if (answer.status === 200 && have > 0) await restart();
      if (answer.status === 206 && startOf(answer) !== have) {
        answer.discard();
        await restart();
        throw cut(title, have, file.size);
      }
      for await (const piece of answer.body) {
        if (!(piece instanceof Uint8Array)) continue;
        if (have + piece.length > file.size)
          throw new DownloadError(
            `${title}: the server sends more than the ${file.size} bytes that ${connection.name} lists`,
          );
        await writeAll(handle, piece);
        hash.update(piece);
        have += piece.length;
        onBytes(have);
      }
      if (have < file.size) throw cut(title, have, file.size);
    };
    try {
      await persistently(attempt, persistence, () => have);
    } catch (error) {
      if (error instanceof DownloadError || !isPassing(error)) throw error;
      throw new DownloadError(
        `${title}: stopped at ${have} of ${file.size} bytes, ${reasonOf(error)}; what came is kept: try again`,
        { passing: true },
        error,
      );
    }
    await handle.sync();
    return hash.digest("hex") === file.digest;
  } finally {
    await handle.close();
  }
}

const cut = (title: string, have: number, size: number): DownloadError =>
  new DownloadError(
    `${title}: stopped at ${have} of ${size} bytes, the connection was cut; what came is kept: try again`,
    {
      passing: true,
    },
  );

/** First byte that a partial answer begins with. */
function startOf(answer: Answer): number {
  const [, start] = /^bytes (\d+)-/.exec(answer.header("content-range") ?? "") ?? [];
  return start === undefined ? -1 : Number(start);
}

/** Small files are known by the name that git gives their content. */
function hashFor({ checksum, size }: ExpectedFile): Hash {
  return checksum === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

async function hashFile(path: string, length: number, hash: Hash): Promise<void> {
  for await (const piece of createReadStream(path, { end: length - 1, highWaterMark: 2 ** 20 }))
    if (piece instanceof Uint8Array) hash.update(piece);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done);
    done += bytesWritten;
  }
}

/** Better said now than after an hour. */
export async function checkSpace(folder: string, title: string, needed: number, setting: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (needed > free)
    throw new DownloadError(
      `${title}: needs ${megabytes(needed)}, and ${folder} has ${megabytes(free)} free (${setting} names another place)`,
    );
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;

const sizeOf = async (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
