import { type Dirent, readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { type CaptionedFile, imageFilesSource } from "./image-files.ts";
import { openFolder } from "./inside-folder.ts";
import { isPictureName } from "./picture-names.ts";
import type { PairSource } from "./source.ts";

const maxCaptionBytes = 1 << 20;

/**
 * Pairs from a folder (and those in it) of pictures, each with its caption in a text file of the same name: `cat.jpg` and
 * `cat.txt`, as img2dataset writes them. In the order of their paths, so that every machine numbers them alike.
 * @throws one line that names the picture or the folder.
 */
export async function openSidecarFolder(
  folder: string,
  options: { readonly maxPixels?: number } = {},
): Promise<PairSource> {
  const find = openFolder(folder);
  const names = listFiles(folder);
  const texts = new Set(names.filter((name) => name.endsWith(".txt")));
  const pictures = names.filter(isPictureName).sort();
  if (pictures.length === 0) {
    throw new Error(
      `${folder}: expected pictures (jpg, png, webp, gif, bmp, tiff, avif), got none in ${names.length} files`,
    );
  }
  const files = pictures.map((picture): CaptionedFile => {
    const text = `${picture.slice(0, -extname(picture).length)}.txt`;
    if (!texts.has(text))
      throw new Error(`${join(folder, picture)}: expected its caption beside it in ${text}, got no such file`);
    const textPath = find(text);
    const { size } = statSync(textPath);
    if (size > maxCaptionBytes) throw new Error(`${join(folder, text)}: expected a caption, got ${size} bytes`);
    const caption = readFileSync(textPath, "utf8")
      .replace(/^\ufeff/, "")
      .trim();
    if (caption === "") throw new Error(`${join(folder, text)}: expected a caption, got an empty file`);
    return { path: find(picture), label: join(folder, picture), captions: [caption] };
  });
  return imageFilesSource(folder, files, options.maxPixels);
}

/** Paths relative to the folder; hidden files and folders behind links are left alone. */
function listFiles(folder: string, inside = "", names: string[] = []): string[] {
  const entries: Dirent[] = readdirSync(join(folder, inside), { withFileTypes: true });
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(inside, entry.name);
    if (entry.isDirectory()) listFiles(folder, path, names);
    else names.push(path);
  }
  return names;
}
