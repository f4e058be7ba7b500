/** Sources beside what Pillow, numpy, Hugging Face's datasets and webdataset wrote (../../golden/make/tasks.py). */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pixelsOf, subset } from "../../../src/eval/tasks/labelled-images.ts";
import { layoutOf } from "../../../src/eval/tasks/layout.ts";
import { openImages } from "../../../src/eval/tasks/open-images.ts";
import type { LabelledImages } from "../../../src/eval/tasks/task.ts";
import { encodePng } from "../../../src/image/index.ts";

const GOLDEN = fileURLToPath(new URL("../../golden/tasks/", import.meta.url));
let official: {
  readonly names: readonly string[];
  readonly labels: readonly number[];
  readonly pixels: readonly number[][];
};
let place: string;
beforeAll(async () => {
  official = JSON.parse(await readFile(join(GOLDEN, "pixels.json"), "utf8"));
  place = await mkdtemp(join(tmpdir(), "clip-ts-sources-"));
});
afterAll(() => rm(place, { recursive: true }));

/** The twelve pictures in the order given, whatever file they are from. */
async function holdsAll(images: LabelledImages, order = [...official.labels.keys()]): Promise<void> {
  expect(images.count).toBe(12);
  for (const [at, number] of order.entries()) {
    expect([...(await pixelsOf(images, at)).data]).toEqual(official.pixels[number]);
    expect(images.classNames[images.labels[at] ?? -1]).toBe(official.names[official.labels[number] ?? -1]);
  }
  expect(() => images.describe(0)).not.toThrow();
  await expect(images.image(12)).rejects.toThrow(/picture must be in 0 \.\. 11, got 12/);
}

const picture = (number: number): Promise<Uint8Array> =>
  encodePng({ width: 6, height: 4, data: Uint8Array.from(official.pixels[number] ?? []) });

describe("Parquet", () => {
  it("as Hugging Face writes it, with the names of the classes", async () => {
    const images = await openImages({ kind: "parquet", path: join(GOLDEN, "hub.parquet") });
    expect(images.classNames).toEqual(official.names);
    await holdsAll(images);
    expect(images.describe(3)).toMatch(/hub\.parquet row 3$/);
  });

  it("with plain bytes, texts for labels and several row groups, in any order", async () => {
    const images = await openImages({
      ...{ kind: "parquet", path: join(GOLDEN, "words.parquet") },
      ...{ imageColumn: "picture", labelColumn: "animal" },
    });
    expect(images.classNames).toEqual([...official.names].sort());
    await holdsAll(images);
    for (const at of [11, 0, 7, 3, 9]) expect([...(await pixelsOf(images, at)).data]).toEqual(official.pixels[at]);
  });

  it("names the columns where one is missing", async () => {
    const path = join(GOLDEN, "words.parquet");
    await expect(openImages({ kind: "parquet", path })).rejects.toThrow(
      `${path}: expected a column "image", got picture, animal`,
    );
  });
});

describe("WebDataset", () => {
  it("in CLIP_benchmark's layout, with its names and templates", async () => {
    const splits = await layoutOf(join(GOLDEN, "wds"));
    expect(splits).toEqual({ test: { kind: "wds", folder: join(GOLDEN, "wds", "test") } });
    const images = await openImages({ kind: "wds", folder: join(GOLDEN, "wds", "test") });
    expect(images.classNames).toEqual(official.names);
    expect(images.templates).toEqual(["a photo of a {}.", "a drawing of the {}."]);
    await holdsAll(images);
    expect(images.describe(7)).toMatch(/1\.tar: s0000007$/);
  });

  it("opens from its kept index as from the shards, and sees a shard that changed", async () => {
    const [folder, cache] = [join(place, "wds"), join(place, "cache")];
    await cp(join(GOLDEN, "wds"), folder, { recursive: true });
    const spec = { kind: "wds", folder: join(folder, "test") } as const;
    const first = await openImages(spec, { cache });
    const again = await openImages(spec, { cache });
    expect([...again.labels]).toEqual([...first.labels]);
    expect(again.contentHash).toBe(first.contentHash);
    await holdsAll(again);
    await cp(join(folder, "test", "0.tar"), join(folder, "test", "1.tar"));
    const changed = await openImages(spec, { cache });
    expect(changed.contentHash).not.toBe(first.contentHash);
    expect([...(await pixelsOf(changed, 6)).data]).toEqual(official.pixels[0]);
  });

  it("with several labels a picture, as numpy arrays", async () => {
    const folder = join(place, "several");
    await mkdir(folder, { recursive: true });
    await cp(join(GOLDEN, "several.tar"), join(folder, "0.tar"));
    await cp(join(GOLDEN, "wds", "classnames.txt"), join(folder, "classnames.txt"));
    const images = await openImages({ kind: "wds", folder });
    expect([...(images.several ?? [])]).toEqual([1, 0, 0, 1, 1, 0, 1, 0, 0]);
    expect([...images.labels]).toEqual([0, 0, 0]);
    expect([...(subset(images, [1]).several ?? [])]).toEqual([1, 1, 0]);
  });
});

describe("folders and tables", () => {
  it("a folder for each class", async () => {
    const folder = join(place, "folders");
    for (const [i, label] of official.labels.entries()) {
      const own = join(folder, official.names[label] ?? "", i % 2 ? "more" : "");
      await mkdir(own, { recursive: true });
      await writeFile(join(own, `${String(i).padStart(2, "0")}.png`), await picture(i));
    }
    await writeFile(join(folder, "read-me.txt"), "no class");
    const images = await openImages({ kind: "folder", folder });
    const names = [...official.names].sort();
    expect(images.classNames).toEqual(names);
    // Files before folders whose names come later in the alphabet.
    const order = [...official.labels.keys()].sort(
      (a, b) =>
        names.indexOf(official.names[official.labels[a] ?? 0] ?? "") -
          names.indexOf(official.names[official.labels[b] ?? 0] ?? "") ||
        (a % 2) - (b % 2) ||
        a - b,
    );
    await holdsAll(images, order);
    expect(await layoutOf(folder)).toEqual({ test: { kind: "folder", folder } });
  });

  it("a table, whose hash does not depend on the labels", async () => {
    const folder = join(place, "table");
    await mkdir(folder, { recursive: true });
    for (const i of official.labels.keys()) await writeFile(join(folder, `${i}.png`), await picture(i));
    const rows = official.labels.map((label, i) => `${i}.png,"${official.names[label]}"`);
    await writeFile(join(folder, "test.csv"), `image,label\n${rows.join("\n")}\n`);
    const images = await openImages({ kind: "table", table: join(folder, "test.csv") });
    await holdsAll(images);
    await writeFile(
      join(folder, "other.jsonl"),
      official.labels.map((_, i) => `${JSON.stringify({ file: `${i}.png`, class: "one" })}\n`).join(""),
    );
    const other = await openImages({
      ...{ kind: "table", table: join(folder, "other.jsonl") },
      ...{ imageColumn: "file", labelColumn: "class" },
    });
    expect(other.contentHash).toBe(images.contentHash);
    expect(other.classNames).toEqual(["one"]);
    await writeFile(join(folder, "3.png"), await picture(4));
    expect((await openImages({ kind: "table", table: join(folder, "test.csv") })).contentHash).not.toBe(
      images.contentHash,
    );
    expect(await layoutOf(folder)).toEqual({ test: { kind: "table", table: join(folder, "test.csv") } });
  });
});

describe("layouts", () => {
  it("have a folder for each split; validation stands in for a test that is missing", async () => {
    const folder = join(place, "splits");
    for (const split of ["train", "val"]) {
      await mkdir(join(folder, split, "a"), { recursive: true });
      await writeFile(join(folder, split, "a", "0.png"), await picture(0));
    }
    const spec = (split: string) => ({ kind: "folder", folder: join(folder, split) });
    expect(await layoutOf(folder)).toEqual({ test: spec("val"), train: spec("train") });
    await mkdir(join(folder, "test", "a"), { recursive: true });
    expect(await layoutOf(folder)).toEqual({ test: spec("test"), validation: spec("val"), train: spec("train") });
  });

  it("of Parquet are told by the beginnings of names", async () => {
    const data = join(place, "hub", "data");
    await mkdir(data, { recursive: true });
    for (const name of ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"])
      await cp(join(GOLDEN, "hub.parquet"), join(data, `${name}.parquet`));
    const splits = await layoutOf(join(place, "hub"));
    expect(Object.keys(splits ?? {}).sort()).toEqual(["test", "train"]);
    if (!splits?.train) throw new Error("expected a split for training");
    const train = await openImages(splits.train);
    expect([train.count, (await openImages(splits.test)).count]).toEqual([24, 12]);
    expect([...(await pixelsOf(train, 23)).data]).toEqual(official.pixels[11]);
    expect(train.describe(12)).toMatch(/train-00001-of-00002\.parquet row 0$/);
  });

  it("of nothing are none", async () => {
    expect(await layoutOf(join(place, "nowhere"))).toBeUndefined();
    await mkdir(join(place, "empty"), { recursive: true });
    expect(await layoutOf(join(place, "empty"))).toBeUndefined();
  });
});

describe("formats of their own", () => {
  const idx = (sizes: readonly number[], data: Uint8Array): Uint8Array => {
    const head = new DataView(new ArrayBuffer(4 + 4 * sizes.length));
    head.setUint32(0, 0x0800 + sizes.length);
    for (const [i, size] of sizes.entries()) head.setUint32(4 + 4 * i, size);
    return Buffer.concat([new Uint8Array(head.buffer), data]);
  };

  it.each(["", ".gz"])("idx%s", async (extension) => {
    const folder = join(place, `idx${extension}`);
    await mkdir(folder, { recursive: true });
    const gray = Uint8Array.from({ length: 5 * 2 * 3 }, (_, i) => 8 * i);
    for (const [name, bytes] of [
      ["t10k-images-idx3-ubyte", idx([5, 2, 3], gray)],
      ["t10k-labels-idx1-ubyte", idx([5], Uint8Array.of(0, 2, 1, 1, 2))],
    ] as const)
      await writeFile(join(folder, name + extension), extension ? gzipSync(bytes) : bytes);
    const splits = await layoutOf(folder);
    if (!splits) throw new Error("expected idx files");
    const images = await openImages(splits.test);
    expect([images.count, images.classNames.length, [...images.labels]]).toEqual([5, 3, [0, 2, 1, 1, 2]]);
    const { width, height, data } = await pixelsOf(images, 1);
    expect([width, height, [...data]]).toEqual([3, 2, [...gray.subarray(6, 12)].flatMap((x) => [x, x, x])]);
  });

  it.each([10, 100] as const)("CIFAR-%d", async (classes) => {
    const folder = join(place, `cifar${classes}`);
    const inner = join(folder, classes === 10 ? "cifar-10-batches-bin" : "cifar-100-binary");
    await mkdir(inner, { recursive: true });
    const names = Array.from({ length: classes }, (_, i) => `class_${i}`);
    await writeFile(
      join(inner, classes === 10 ? "batches.meta.txt" : "fine_label_names.txt"),
      `${names.join("\n")}\n\n`,
    );
    const record = (label: number, seed: number): Uint8Array =>
      Uint8Array.from([
        ...(classes === 100 ? [99, label] : [label]),
        ...Array.from({ length: 3072 }, (_, i) => (i * seed) % 256),
      ]);
    const test = Buffer.concat([record(3, 5), record(classes - 1, 7)]);
    await writeFile(join(inner, classes === 10 ? "test_batch.bin" : "test.bin"), test);
    const images = await openImages({ kind: "cifar", folder, classes, part: "test" });
    expect([...images.labels]).toEqual([3, classes - 1]);
    expect(images.classNames[3]).toBe("class 3");
    const { data } = await pixelsOf(images, 1);
    // Red, green and blue of the pixel in row 2, column 9.
    const at = 2 * 32 + 9;
    expect([...data.subarray(3 * at, 3 * at + 3)]).toEqual([0, 1, 2].map((plane) => ((plane * 1024 + at) * 7) % 256));
    expect(await layoutOf(folder)).toMatchObject({ test: { kind: "cifar", classes, part: "test" } });
  });

  it("digits of the npm package: each in one part alone", async () => {
    const [train, test] = [
      await openImages({ kind: "digits", part: "train" }),
      await openImages({ kind: "digits", part: "test" }),
    ];
    expect(train.count + test.count).toBe(10000);
    expect(test.count).toBeGreaterThan(1990);
    expect(test.count).toBeLessThan(2010);
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) seen.add(String((await pixelsOf(train, i)).data));
    for (let i = 0; i < 50; i++) expect(seen.has(String((await pixelsOf(test, i)).data))).toBe(false);
    // MNIST's pictures are centred: ink in the middle, none at the border.
    const { data, width } = await pixelsOf(test, 0);
    expect(width).toBe(28);
    expect(data.subarray(0, 28 * 3).every((x) => x === 0)).toBe(true);
    expect(Math.max(...data)).toBe(255);
  });
});
