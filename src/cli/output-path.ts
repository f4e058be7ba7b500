import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Finds out before the work, rather than behind it, that a file cannot be written. @throws one line */
export async function checkOutput(file: string): Promise<void> {
  const folder = dirname(file);
  if ((await stat(file).catch(() => undefined))?.isDirectory())
    throw new Error(`${file}: expected a file, is a folder`);
  await access(folder, constants.W_OK).catch(() => {
    throw new Error(`${file}: cannot be written: ${folder} is not there, or not to be written in`);
  });
}
