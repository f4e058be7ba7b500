/** Unpacks a wheel, which is a zip archive, with yauzl: bounded before anything is written, nothing outside the folder. */
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import yauzl, { type Entry, type ZipFile } from "yauzl";
import { checkSpace, DownloadError, isSafePath } from "../download/index.ts";

export interface UnpackOptions {
  /** Bytes that all files of the archive may have at most. */
  readonly largest: number;
  /** The variable that names another place, for messages. */
  readonly placeSetting: string;
  readonly signal?: AbortSignal | undefined;
  /** Bytes that were written since the last call. */
  readonly onBytes?: (count: number) => void;
}

/** NVIDIA's wheels have some hundred. */
const MOST_ENTRIES = 20_000;
/** Neither Python nor what compiling CUDA programs takes is of use to a plugin. */
const UNUSED = /\.(py|pyc|pyi|a|lib)$|(^|\/)(include|__pycache__)\//;
const LINK = 0o120000;
const KIND = 0o170000;

/**
 * Writes the wheel's libraries, data and licences below a folder, under the paths that they have in it.
 * @throws a DownloadError that names the wheel and the entry: unsafe names, links, encryption, sizes beyond the bounds or other than
 *   declared, wrong checksums, files that are there already
 */
export async function unpackWheel(wheel: string, folder: string, options: UnpackOptions): Promise<void> {
  const { signal, onBytes, largest, placeSetting } = options;
  const fail = (what: string, cause?: unknown): DownloadError => new DownloadError(`${wheel}: ${what}`, {}, cause);
  const zip = await yauzl
    .openPromise(wheel, { autoClose: false, strictFileNames: true, validateEntrySizes: true })
    .catch((error: unknown) => {
      throw fail(`is no whole zip archive (${lineOf(error)})`, error);
    });
  try {
    const entries = await entriesOf(zip, largest, fail);
    await mkdir(folder, { recursive: true });
    await checkSpace(folder, wheel, total(entries), placeSetting);
    for (const entry of entries) {
      const path = join(folder, ...entry.fileName.split("/"));
      await mkdir(dirname(path), { recursive: true });
      await writeEntry(zip, entry, path, signal, onBytes).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw fail(`${JSON.stringify(entry.fileName)}: ${lineOf(error)}`, error);
      });
    }
  } finally {
    zip.close();
  }
}

const lineOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";

const total = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);

/** The files that are of use; all entries are checked. */
async function entriesOf(zip: ZipFile, largest: number, fail: (what: string) => DownloadError): Promise<Entry[]> {
  if (zip.entryCount > MOST_ENTRIES) throw fail(`${zip.entryCount} entries, expected at most ${MOST_ENTRIES}`);
  const found = new Map<string, Entry>();
  let bytes = 0;
  const entries = zip.eachEntry();
  for (;;) {
    const next = await entries.next().catch((error: unknown) => {
      throw fail(lineOf(error));
    });
    if (next.done) break;
    const entry = next.value;
    const { fileName: name, uncompressedSize: size } = entry;
    const shown = JSON.stringify(name.slice(0, 200));
    const path = name.endsWith("/") ? name.slice(0, -1) : name;
    if (!isSafePath(path)) throw fail(`the unsafe name ${shown}`);
    if (((entry.externalFileAttributes >>> 16) & KIND) === LINK) throw fail(`${shown} is a link`);
    if (entry.isEncrypted()) throw fail(`${shown} is encrypted`);
    // Where the file system does not tell capitals from small letters one would overwrite the other.
    if (found.has(path.toLowerCase())) throw fail(`${shown} is twice in the archive`);
    bytes += size;
    if (bytes > largest) throw fail(`unpacks to more than the ${largest} bytes allowed`);
    found.set(path.toLowerCase(), entry);
  }
  return [...found.values()].filter(({ fileName }) => !fileName.endsWith("/") && !UNUSED.test(fileName));
}

async function writeEntry(
  zip: ZipFile,
  entry: Entry,
  path: string,
  signal: AbortSignal | undefined,
  onBytes: ((count: number) => void) | undefined,
): Promise<void> {
  let checksum = 0;
  const counted = new Transform({
    transform(piece: Buffer, _, done) {
      checksum = crc32(piece, checksum);
      onBytes?.(piece.length);
      done(null, piece);
    },
  });
  // Never over a file that is there; what is run keeps its right to be run, and gets no other.
  const mode = (entry.externalFileAttributes >>> 16) & 0o111 ? 0o755 : 0o644;
  const file = createWriteStream(path, { flags: "wx", mode, flush: true, highWaterMark: 2 ** 20 });
  await pipeline(await zip.openReadStreamPromise(entry), counted, file, signal ? { signal } : {});
  if (checksum !== entry.crc32) throw new Error("damaged: its checksum is wrong");
}
