import { existsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type CaptionedFile, imageFilesSource } from "./image-files.ts";
import { NotThere, openFolder } from "./inside-folder.ts";
import type { PairSource } from "./source.ts";
import { readRows } from "./table-rows.ts";

export interface TableOptions {
  /** A `.csv`, `.tsv` (both with a header line) or `.jsonl` file. */
  readonly table: string;
  /** The pictures' paths are relative to it and stay inside it. @default the table's folder */
  readonly folder?: string;
  /** @default "image" */
  readonly imageColumn?: string;
  /** In JSON Lines a text or a list of texts; a list may also be called "captions". @default "caption" */
  readonly captionColumn?: string;
  /** Larger pictures count as unreadable. @default as `decodeImage` */
  readonly maxPixels?: number;
}

/**
 * Pairs from a table of pictures and captions. Rows of the same picture are one pair with several captions. Every
 * picture is looked for now; one that is not there counts as one that cannot be read, which shows when it is its turn.
 * @throws one line with the file, the line, what was expected and what came.
 */
export async function openTable(options: TableOptions): Promise<PairSource> {
  const { table, folder = dirname(table), imageColumn = "image", captionColumn = "caption", maxPixels } = options;
  if (!existsSync(table)) throw new Error(`${table}: there is no such file`);
  const find = openFolder(folder);
  const missing: string[] = [];
  const files = new Map<string, CaptionedFile & { captions: string[] }>();
  for await (const { line, image, captions } of readRows(table, { image: imageColumn, caption: captionColumn })) {
    const known = files.get(image);
    if (known) {
      known.captions.push(...captions);
      continue;
    }
    let path: string | undefined;
    try {
      path = find(image);
    } catch (error) {
      const message = `${table}: line ${line}: ${error instanceof Error ? error.message : error}`;
      if (!(error instanceof NotThere)) throw new Error(message);
      missing.push(message);
    }
    files.set(image, { path, label: `${image} (${basename(table)} line ${line})`, captions: [...captions] });
  }
  if (files.size === 0) throw new Error(`${table}: expected at least one row, got none`);
  // None of them: the folder is the wrong one.
  if (missing[0] !== undefined && missing.length === files.size) throw new Error(missing[0]);
  return imageFilesSource(table, [...files.values()], maxPixels);
}
