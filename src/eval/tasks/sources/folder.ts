import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isPictureName } from "../../../data/index.ts";
import { contentHash, type HashOptions, unreadable } from "../content-hash.ts";
import type { LabelledImages } from "../task.ts";
import { pathSource } from "./path-source.ts";

/**
 * A folder with a folder of pictures for each class, named like it; pictures in folders below it count too.
 * @throws one line if there are no such folders or no pictures in them
 */
export async function openClassFolders(folder: string, options: HashOptions = {}): Promise<LabelledImages> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  const classNames = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  if (classNames.length === 0) throw new Error(`${folder}: expected a folder of pictures for each class, got none`);
  const paths: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classNames.entries())
    for await (const path of picturesBelow(join(folder, name))) {
      paths.push(path);
      labels.push(label);
    }
  if (paths.length === 0) throw new Error(`${folder}: expected pictures in its ${classNames.length} folders, got none`);
  const hash = await contentHash("files", paths, options);
  return pathSource(folder, { paths, labels, classNames, hash });
}

/** In the order of their names; links to folders are not followed. */
async function* picturesBelow(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* picturesBelow(path);
    else if (isPictureName(entry.name)) yield path;
  }
}
