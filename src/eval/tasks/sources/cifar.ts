/** CIFAR-10 and CIFAR-100 in their binary version: a label or two, then 32 x 32 pixels of red, green and blue, plane by plane. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { contentHash, type HashOptions, unreadable } from "../content-hash.ts";
import type { ImagesSpec } from "../images-spec.ts";
import type { LabelledImages } from "../task.ts";
import { filePart, shortLines } from "./file-part.ts";

const SIDE = 32;
const PLANE = SIDE * SIDE;

interface Layout {
  readonly folder: string;
  readonly names: string;
  readonly files: Readonly<Record<"train" | "test", readonly string[]>>;
  /** Bytes before the pixels; the last of them is the label. */
  readonly labelBytes: number;
}

const LAYOUTS = {
  10: {
    folder: "cifar-10-batches-bin",
    names: "batches.meta.txt",
    files: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), test: ["test_batch.bin"] },
    labelBytes: 1,
  },
  100: {
    folder: "cifar-100-binary",
    names: "fine_label_names.txt",
    files: { train: ["train.bin"], test: ["test.bin"] },
    labelBytes: 2,
  },
} as const satisfies Record<number, Layout>;

/** Where the files are: in the folder itself, or in the folder of the archive in it. Nothing if they are not there. */
export function cifarFolder(folder: string, classes: 10 | 100): string | undefined {
  const { folder: inner, names } = LAYOUTS[classes];
  return [folder, join(folder, inner)].find((place) => existsSync(join(place, names)));
}

/** @throws one line that names the file and what is wrong with it */
export async function openCifar(
  { folder, classes, part }: ImagesSpec & { kind: "cifar" },
  options: HashOptions = {},
): Promise<LabelledImages> {
  const layout: Layout = LAYOUTS[classes];
  const place = cifarFolder(folder, classes);
  if (place === undefined) throw new Error(`${folder}: has no ${layout.names} of CIFAR-${classes}'s binary version`);
  const classNames = (await shortLines(join(place, layout.names))).map((name) => name.replaceAll("_", " "));
  if (classNames.length !== classes)
    throw new Error(`${join(place, layout.names)}: expected ${classes} names, got ${classNames.length}`);
  const { labelBytes } = layout;
  const record = labelBytes + 3 * PLANE;
  const files: { readonly path: string; readonly first: number }[] = [];
  const labels: number[] = [];
  for (const path of layout.files[part].map((name) => join(place, name))) {
    files.push({ path, first: labels.length });
    labels.push(...(await labelsIn(path, record, labelBytes, classes)));
  }
  const count = labels.length;
  const name = `${place} ${part}`;
  return {
    name,
    count,
    classNames,
    labels: Int32Array.from(labels),
    contentHash: await contentHash(
      `cifar ${classes}`,
      files.map(({ path }) => path),
      options,
    ),
    image: async (index) => {
      const file = index >= 0 && index < count ? files.findLast(({ first }) => first <= index) : undefined;
      if (!file) throw new Error(`${name}: picture must be in 0 .. ${count - 1}, got ${index}`);
      const planes = await filePart(file.path, (index - file.first) * record + labelBytes, 3 * PLANE);
      const data = new Uint8Array(3 * PLANE);
      for (let i = 0; i < PLANE; i++)
        for (let channel = 0; channel < 3; channel++) data[3 * i + channel] = planes[channel * PLANE + i] ?? 0;
      return { width: SIDE, height: SIDE, data };
    },
    describe: (index) => {
      const file = files.findLast(({ first }) => first <= index);
      return `${file?.path ?? name} number ${index - (file?.first ?? 0)}`;
    },
  };
}

/** A file has 31 MB at most and is read once for its labels. */
async function labelsIn(path: string, record: number, labelBytes: number, classes: number): Promise<number[]> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (size === 0 || size % record !== 0 || size > 2 ** 30)
    throw new Error(`${path}: expected records of ${record} bytes, got a file of ${size}`);
  const bytes = await filePart(path, 0, size);
  return Array.from({ length: size / record }, (_, i) => {
    const label = bytes[i * record + labelBytes - 1] ?? 0;
    if (label >= classes) throw new Error(`${path}: record ${i}: expected a class below ${classes}, got ${label}`);
    return label;
  });
}
