/** Files that are whole or not there: a crash leaves the old content or the new. */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Replaces a file in one step: written beside it, flushed to disk, renamed, and the folder flushed.
 * @param content bytes, or a sequence of pieces, which need not be in memory at the same time
 * @throws what the file system throws; the old file is untouched then
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const folder = dirname(path);
  const beside = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const handle = await open(beside, "wx");
    try {
      for await (const piece of content instanceof Uint8Array ? [content] : content) await writeAll(handle, piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  // One call takes less than 2 GiB, and may write less than it is given.
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 2 ** 30));
    done += bytesWritten;
  }
}

/** The rename itself is durable only with its folder. Windows cannot flush folders and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
