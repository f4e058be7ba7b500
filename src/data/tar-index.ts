/** Where the files in a tar archive stand, so that each can be read by itself afterwards. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";

export interface TarEntry {
  readonly name: string;
  /** Of its content in the archive. */
  readonly offset: number;
  readonly size: number;
  /** Its content, where `keeps` wanted it. */
  readonly content?: Uint8Array;
}

export interface TarIndex {
  /** Plain files, in the archive's order. */
  readonly entries: readonly TarEntry[];
  /** Of the whole archive. */
  readonly sha256: string;
}

/** Files in one archive: WebDataset's shards have some ten thousand. */
const MOST_ENTRIES = 4_000_000;
/** Files that are kept in memory are labels. */
const LARGEST_KEPT = 1 << 20;

/**
 * Reads an archive once from end to end; nothing of it is written anywhere.
 * @param keeps whether the content of a file of this name is wanted with the index
 * @throws one line that names the archive
 */
export async function indexTar(path: string, keeps: (name: string) => boolean): Promise<TarIndex> {
  const entries: TarEntry[] = [];
  const hash = createHash("sha256");
  const unpack = extract();
  unpack.on("entry", (header, stream, next) => {
    const { name, type, size = 0 } = header;
    const offset = "byteOffset" in header && typeof header.byteOffset === "number" ? header.byteOffset : -1;
    const wanted = type === "file" && keeps(name);
    const pieces: Uint8Array[] = [];
    stream.on("data", (piece) => {
      if (wanted && size <= LARGEST_KEPT && piece instanceof Uint8Array) pieces.push(piece);
    });
    stream.on("end", () => {
      if (type !== "file") return next();
      if (wanted && size > LARGEST_KEPT)
        return next(new Error(`${JSON.stringify(name)} has ${size} bytes, expected at most ${LARGEST_KEPT}`));
      if (entries.length === MOST_ENTRIES) return next(new Error(`has more than ${MOST_ENTRIES} files`));
      entries.push({ name, offset, size, ...(wanted && { content: Buffer.concat(pieces) }) });
      next();
    });
    stream.on("error", () => {}); // the archive's, which says it
    stream.resume();
  });
  // Its last error may come when the pipeline has let go of it.
  const whole = new Promise<void>((resolve, reject) => {
    unpack.on("finish", resolve);
    unpack.on("error", reject);
  });
  try {
    const read = pipeline(
      createReadStream(path, { highWaterMark: 1 << 20 }),
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      unpack,
    );
    await Promise.all([read, whole]);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const message = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Error(missing ? `${path}: there is no such file` : `${path}: is no tar archive, or cut off: ${message}`);
  }
  return { entries, sha256: hash.digest("hex") };
}
