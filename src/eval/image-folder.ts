import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import type { LabelledSource } from "../data/index.ts";
import { decodeImage } from "../image/index.ts";

const PICTURES = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif"]);

/**
 * A folder with a folder of pictures for each class, named like it.
 * @throws one line if there are no such folders or no pictures in them
 */
export async function openClassFolders(folder: string): Promise<LabelledSource> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw new Error(`${folder}: cannot be read: ${error instanceof Error ? error.message : error}`);
  });
  const classNames = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  if (classNames.length === 0) throw new Error(`${folder}: expected a folder of pictures for each class, got none`);
  const paths: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classNames.entries())
    for (const file of (await readdir(join(folder, name))).sort())
      if (PICTURES.has(extname(file).toLowerCase())) {
        paths.push(join(folder, name, file));
        labels.push(label);
      }
  if (paths.length === 0) throw new Error(`${folder}: expected pictures in its ${classNames.length} folders, got none`);
  const pathOf = (index: number): string => {
    const path = paths[index];
    if (path === undefined) throw new Error(`${folder}: picture must be in 0 .. ${paths.length - 1}, got ${index}`);
    return path;
  };
  return {
    name: folder,
    length: paths.length,
    classNames,
    labels: Int32Array.from(labels),
    image: (index) => decodeImage(pathOf(index)),
    describe: pathOf,
  };
}
