import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isPictureName } from "../data/index.ts";

/**
 * Paths of the pictures that arguments name; a folder stands for the pictures in it and below it, in order of their names.
 * One folder's names are in memory at a time, and links to folders are not followed.
 * @throws one line if there is no such file, or a folder has no pictures
 */
export async function* picturesIn(inputs: readonly string[]): AsyncGenerator<string> {
  for (const input of inputs) {
    const found = await stat(input).catch(() => undefined);
    if (!found) throw new Error(`${input}: there is no such file`);
    if (!found.isDirectory()) {
      yield input;
      continue;
    }
    let none = true;
    for await (const path of below(input)) {
      none = false;
      yield path;
    }
    if (none) throw new Error(`${input}: there are no pictures in this folder`);
  }
}

/** How many there are, without keeping them. */
export async function countPictures(inputs: readonly string[]): Promise<number> {
  let count = 0;
  for await (const _ of picturesIn(inputs)) count++;
  return count;
}

async function* below(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* below(path);
    else if (isPictureName(entry.name)) yield path;
  }
}
