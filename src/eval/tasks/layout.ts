/** Which of the known layouts a folder has, and where its splits are. */
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ImagesSpec } from "./images-spec.ts";
import { cifarFolder } from "./sources/cifar.ts";
import { parquetFiles } from "./sources/parquet.ts";
import { shardsIn } from "./sources/webdataset.ts";
import type { Split, Task } from "./task.ts";

export type Splits = Pick<Task, "test" | "train" | "validation">;

/** How splits are called on disk; where there is no test, validation is what is measured on. */
const NAMES = {
  train: ["train"],
  validation: ["validation", "valid", "val"],
  test: ["test"],
} as const satisfies Record<Split, readonly string[]>;

/** Layouts by the word before the colon of `folder:PATH`. */
export const LAYOUTS = {
  wds: (path) =>
    bySplit(path, async (folder) => ((await shardsIn(folder)).length > 0 ? { kind: "wds", folder } : undefined)),
  parquet: parquetSplits,
  idx: async (path) => idxSplits(path),
  cifar10: async (path) => cifarSplits(path, 10),
  cifar100: async (path) => cifarSplits(path, 100),
  table: tableSplits,
  folder: (path) =>
    bySplit(path, async (folder) => ((await hasFolders(folder)) ? { kind: "folder", folder } : undefined)),
} as const satisfies Record<string, (path: string) => Promise<Splits | undefined>>;

export type LayoutName = keyof typeof LAYOUTS;
export const isLayoutName = (name: string): name is LayoutName => Object.hasOwn(LAYOUTS, name);

/** The layout that a folder has, if any. */
export async function layoutOf(path: string): Promise<Splits | undefined> {
  if (!existsSync(path)) return undefined;
  for (const layout of Object.values(LAYOUTS)) {
    const splits = await layout(path);
    if (splits) return splits;
  }
  return undefined;
}

type Found = Partial<Record<Split, ImagesSpec>>;

/** What is measured on must be there; validation stands in for a test that is not. */
function splitsOf({ train, validation, test }: Found): Splits | undefined {
  const measured = test ?? validation;
  if (!measured) return undefined;
  return { test: measured, ...(train && { train }), ...(test && validation && { validation }) };
}

/** A folder for each split, or all that is there as the test. */
async function bySplit(
  path: string,
  specOf: (folder: string) => Promise<ImagesSpec | undefined>,
): Promise<Splits | undefined> {
  const found: Found = {};
  for (const [split, names] of Object.entries(NAMES))
    for (const name of names) {
      const spec = isFolder(join(path, name)) ? await specOf(join(path, name)) : undefined;
      if (spec && isSplit(split)) found[split] ??= spec;
    }
  const whole = Object.keys(found).length === 0 ? await specOf(path) : undefined;
  return splitsOf(whole ? { test: whole } : found);
}

const isSplit = (name: string): name is Split => Object.hasOwn(NAMES, name);
const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

async function hasFolders(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.some((entry) => entry.isDirectory() && !entry.name.startsWith("."));
}

async function tableSplits(path: string): Promise<Splits | undefined> {
  if (existsSync(path) && !isFolder(path)) return { test: { kind: "table", table: path } };
  const found: Found = {};
  for (const [split, names] of Object.entries(NAMES))
    for (const name of names)
      for (const extension of ["csv", "tsv", "jsonl"]) {
        const table = join(path, `${name}.${extension}`);
        if (isSplit(split) && existsSync(table)) found[split] ??= { kind: "table", table };
      }
  return splitsOf(found);
}

/** `test-00000-of-00001.parquet`... in the folder or in `data/` of it; a file, or files without such names, are the test. */
async function parquetSplits(path: string): Promise<Splits | undefined> {
  if (!existsSync(path)) return undefined;
  if (!isFolder(path)) return path.endsWith(".parquet") ? { test: { kind: "parquet", path } } : undefined;
  for (const folder of [path, join(path, "data")]) {
    if (!isFolder(folder)) continue;
    const found: Found = {};
    for (const [split, names] of Object.entries(NAMES))
      for (const name of names) {
        const files = await parquetFiles(folder, name);
        if (isSplit(split) && files.length > 0) found[split] ??= { kind: "parquet", path: folder, files };
      }
    const all = await parquetFiles(folder);
    const splits =
      splitsOf(found) ?? (all.length > 0 ? { test: { kind: "parquet", path: folder } as const } : undefined);
    if (splits) return splits;
  }
  return undefined;
}

function idxSplits(path: string): Splits | undefined {
  const part = (name: string): ImagesSpec | undefined => {
    const [images, labels] = [`${name}-images-idx3-ubyte`, `${name}-labels-idx1-ubyte`].map((file) =>
      [file, `${file}.gz`, file.replace("-idx", ".idx")].map((one) => join(path, one)).find((one) => existsSync(one)),
    );
    return images !== undefined && labels !== undefined ? { kind: "idx", images, labels } : undefined;
  };
  const [test, train] = [part("t10k"), part("train")];
  return splitsOf({ ...(test && { test }), ...(train && { train }) });
}

function cifarSplits(path: string, classes: 10 | 100): Splits | undefined {
  if (cifarFolder(path, classes) === undefined) return undefined;
  const part = (name: "train" | "test"): ImagesSpec => ({ kind: "cifar", folder: path, classes, part: name });
  return { test: part("test"), train: part("train") };
}
