import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";

const PICTURES = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif"]);

/** Paths of the pictures that arguments name; folders stand for the pictures in them. @throws one line */
export async function picturesIn(inputs: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const input of inputs) {
    const found = await stat(input).catch(() => undefined);
    if (!found) throw new Error(`${input}: there is no such file`);
    if (!found.isDirectory()) {
      paths.push(input);
      continue;
    }
    const names = (await readdir(input)).filter((name) => PICTURES.has(extname(name).toLowerCase())).sort();
    if (names.length === 0) throw new Error(`${input}: there are no pictures in this folder`);
    paths.push(...names.map((name) => join(input, name)));
  }
  return paths;
}
