import { basename, dirname } from "node:path";
import { openFolder, readRows } from "../../../data/index.ts";
import { contentHash, type HashOptions } from "../content-hash.ts";
import type { ImagesSpec } from "../images-spec.ts";
import type { LabelledImages } from "../task.ts";
import { numbered, pathSource } from "./path-source.ts";

/**
 * A `.csv`, `.tsv` or `.jsonl` file with a row for each picture: its path and the name of its class. Classes are numbered in the order
 * of their names.
 * @throws one line with the file, the line, what was expected and what came
 */
export async function openLabelTable(
  { table, folder = dirname(table), imageColumn = "image", labelColumn = "label" }: ImagesSpec & { kind: "table" },
  options: HashOptions = {},
): Promise<LabelledImages> {
  const find = openFolder(folder);
  const paths: string[] = [];
  const names: string[] = [];
  const lines: number[] = [];
  for await (const { line, image, captions } of readRows(table, { image: imageColumn, caption: labelColumn })) {
    const [name, second] = captions;
    if (name === undefined || second !== undefined)
      throw new Error(`${table}: line ${line}: expected one class, got ${captions.length}`);
    try {
      paths.push(find(image));
    } catch (error) {
      throw new Error(`${table}: line ${line}: ${error instanceof Error ? error.message : error}`);
    }
    names.push(name);
    lines.push(line);
  }
  if (paths.length === 0) throw new Error(`${table}: expected at least one row, got none`);
  const hash = await contentHash("files", paths, options);
  const describe = (index: number): string => `${paths[index] ?? ""} (${basename(table)} line ${lines[index] ?? 0})`;
  return pathSource(table, { ...numbered(names), paths, hash, describe });
}
