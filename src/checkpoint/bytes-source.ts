/** Where a checkpoint's bytes come from. */
import { open, stat } from "node:fs/promises";

/** Random access to bytes: a file, a buffer, a Blob. */
export interface BytesSource {
  /** What error messages call it. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** A copy of `length` bytes; throws if they are not all there. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** One read call of the operating system takes less than 2 GiB. */
const MOST_AT_ONCE = 2 ** 30;

/** A file on disk; nothing is read before it is asked for. */
export async function fileSource(path: string): Promise<BytesSource> {
  const stats = await stat(path).catch((error: unknown) => {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw missing ? new Error(`${path}: there is no such file`) : error;
  });
  // Opening a pipe would wait for whoever writes into it.
  if (!stats.isFile()) throw new Error(`${path}: is no file`);
  const handle = await open(path, "r");
  const { size } = await handle.stat();
  return {
    name: path,
    size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, MOST_AT_ONCE), offset + done);
        if (bytesRead === 0) throw new Error(`${path}: ends at byte ${offset + done}, expected ${offset + length}`);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** Bytes in memory. */
export function memorySource(name: string, bytes: Uint8Array): BytesSource {
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => {
      if (offset + length > bytes.length)
        throw new Error(`${name}: ends at byte ${bytes.length}, expected ${offset + length}`);
      return new Uint8Array(bytes.subarray(offset, offset + length)); // slice() of a Buffer would not copy
    },
    close: async () => {},
  };
}
