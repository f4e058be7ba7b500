/**
 * Random access to a zip archive whose entries are not compressed, as PyTorch writes them: nothing can unpack to more than there is.
 * yauzl reads the directory, zip64 included; entries are read here, each from its place in the file.
 */
import { crc32 } from "node:zlib";
import yauzl, { type Entry, type ZipFile } from "yauzl";
import type { BytesSource } from "./bytes-source.ts";
import { quote } from "./quote.ts";

export interface ZipArchive {
  /** Sizes of the entries in bytes. */
  readonly sizes: ReadonlyMap<string, number>;
  /**
   * `length` bytes of an entry from `offset` on, without the rest in memory. Its checksum, where the archive has such, is verified once, a block at a time.
   * @throws one line that names the entry, if it is not there, too short, compressed or damaged
   */
  read(entry: string, offset: number, length: number): Promise<Uint8Array>;
}

/** More than any checkpoint has; a directory with more is not believed. */
const MOST_ENTRIES = 100_000;
/** Checksums are computed in blocks of this many bytes. */
const BLOCK = 2 ** 22;

/** @throws one line, without the file's name, if it is no whole zip archive */
export async function openZip(bytes: BytesSource): Promise<ZipArchive> {
  const zip = await yauzl.fromRandomAccessReaderPromise(new SourceReader(bytes), bytes.size, {
    autoClose: false,
    strictFileNames: true,
  });
  const entries = await entriesOf(zip);
  // PyTorch can be told to leave out the checksums (set_crc32_options): then all are 0.
  const hasChecksums = [...entries.values()].some(({ crc32 }) => crc32 !== 0);
  const verified = new Set<string>();
  return {
    sizes: new Map([...entries].map(([name, { uncompressedSize }]) => [name, uncompressedSize])),
    read: async (name, offset, length) => {
      const entry = entries.get(name);
      if (!entry) throw new Error(`${quote(name)} is not in the archive`);
      const { uncompressedSize: size, compressionMethod } = entry;
      if (compressionMethod !== 0 || entry.isEncrypted())
        throw new Error(`${quote(name)} is compressed or encrypted in the archive, which PyTorch never does`);
      if (offset + length > size) throw new Error(`${quote(name)} has ${size} bytes, expected ${offset + length}`);
      // Only the entry's local header knows its own length. yauzl checks that the data end inside the file.
      const { fileDataStart: begin } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      const part = await bytes.read(begin + offset, length);
      if (hasChecksums && !verified.has(name)) {
        const checksum = length === size ? crc32(part) : await checksumOf(bytes, begin, size);
        if (checksum !== entry.crc32) throw new Error(`${quote(name)} is damaged: its checksum is wrong`);
        verified.add(name);
      }
      return part;
    },
  };
}

async function entriesOf(zip: ZipFile): Promise<Map<string, Entry>> {
  if (zip.entryCount > MOST_ENTRIES)
    throw new Error(`a zip archive of ${zip.entryCount} entries, expected at most ${MOST_ENTRIES}`);
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) {
    if (entries.has(entry.fileName)) throw new Error(`${quote(entry.fileName)} is twice in the archive`);
    entries.set(entry.fileName, entry);
  }
  return entries;
}

async function checksumOf(bytes: BytesSource, begin: number, size: number): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < size; at += BLOCK)
    checksum = crc32(await bytes.read(begin + at, Math.min(BLOCK, size - at)), checksum);
  return checksum;
}

/** Feeds yauzl, which asks for the directory 46 bytes at a time, from larger reads. */
class SourceReader extends yauzl.RandomAccessReader {
  readonly #bytes: BytesSource;
  #begin = 0;
  #block: Uint8Array = new Uint8Array();

  constructor(bytes: BytesSource) {
    super();
    this.#bytes = bytes;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.#at(position, length).then(
      (data) => {
        buffer.set(data, offset);
        callback(null, data.length);
      },
      (error) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Fewer bytes where the file ends, which yauzl then says. */
  async #at(position: number, length: number): Promise<Uint8Array> {
    const end = Math.min(position + length, this.#bytes.size);
    if (position >= end) return new Uint8Array();
    if (position < this.#begin || end > this.#begin + this.#block.length) {
      this.#block = await this.#bytes.read(position, Math.min(Math.max(length, 65_536), this.#bytes.size - position));
      this.#begin = position;
    }
    return this.#block.subarray(position - this.#begin, end - this.#begin);
  }
}
