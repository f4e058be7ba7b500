import { type FileHandle, open } from "node:fs/promises";

/** What all open files have their methods from: to watch what is read. */
export async function fileHandles(): Promise<FileHandle> {
  const file = await open(import.meta.filename);
  await file.close();
  return Object.getPrototypeOf(file);
}
