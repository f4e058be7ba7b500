import { open } from "node:fs/promises";
import { unreadable } from "../content-hash.ts";

/** Some bytes of a file. @throws one line if it has fewer */
export async function filePart(path: string, start: number, length: number): Promise<Uint8Array> {
  const file = await open(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(bytes, done, length - done, start + done);
      if (bytesRead === 0) throw new Error(`${path}: expected ${length} bytes at ${start}, got ${done}`);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** A text file no longer than `most` bytes. @throws one line */
export async function shortText(path: string, most = 1 << 22): Promise<string> {
  const file = await open(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const { size } = await file.stat();
    if (size > most) throw new Error(`${path}: expected at most ${most} bytes, got ${size}`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.readFile());
  } catch (error) {
    if (error instanceof TypeError) throw new Error(`${path}: not UTF-8`);
    throw error;
  } finally {
    await file.close();
  }
}

/** Lines of such a file that are not empty, without white space around them. */
export const shortLines = async (path: string): Promise<string[]> =>
  (await shortText(path)).split(/\r?\n/).flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
