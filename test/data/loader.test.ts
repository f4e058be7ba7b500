import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBatchMaker } from "../../src/data/batch.ts";
import { type Batch, createLoader, type LoaderOptions, type PairSource, Random } from "../../src/data/index.ts";
import { randomSquareCrop } from "../../src/image/index.ts";
import { createBpeTokenizer } from "../../src/tokenizer/index.ts";
import { noise } from "../image/noise.ts";

const folder = mkdtempSync(join(tmpdir(), "clip-ts-loader-"));
const pictures = 37;
const tokenizer = createBpeTokenizer([]);

/** Picture i is captioned by its number in letters and has a colour of its own. */
const captionOf = (i: number): string => `picture ${"x".repeat(1 + (i % 5))} ${i}`;

beforeAll(async () => {
  const rows: string[] = [];
  for (let i = 0; i < pictures; i++) {
    const { width, height, data } = noise(20 + i, 30, i);
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(join(folder, `${i}.png`));
    rows.push(`${i}.png,${captionOf(i)}`);
  }
  writeFileSync(join(folder, "good.csv"), `image,caption\n${rows.join("\n")}\n`);
  // Two captions each, of which one is drawn.
  const second = rows.map((row) => `${row} once more`);
  writeFileSync(join(folder, "several.csv"), `image,caption\n${[...rows, ...second].join("\n")}\n`);
  const broken = readFileSync(join(folder, "5.png"));
  broken.fill(0x55, 60, broken.length - 60);
  writeFileSync(join(folder, "broken.png"), broken);
  writeFileSync(join(folder, "empty.png"), "");
  const mixed = rows.with(3, "broken.png,a broken one").with(4, "empty.png,an empty one");
  writeFileSync(join(folder, "mixed.csv"), `image,caption\n${mixed.join("\n")}\n`);
  const bad = Array.from({ length: 12 }, (_, i) => `bad${i}.png,nothing`);
  for (let i = 0; i < 12; i++) writeFileSync(join(folder, `bad${i}.png`), `no picture ${i}`);
  writeFileSync(join(folder, "bad.csv"), `image,caption\n${bad.join("\n")}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const optionsFor = (table: string, more: Partial<LoaderOptions> = {}): LoaderOptions => ({
  source: { kind: "table", table: join(folder, table) },
  tokenizer: tokenizer.toJSON(),
  contextLength: 32,
  imageSize: 16,
  cropScale: [0.6, 1],
  batchSize: 5,
  seed: 11,
  workers: 0,
  ...more,
});

const digest = ({ step, epoch, images, tokens, maxLength, indices }: Batch): string =>
  createHash("sha256")
    .update(images)
    .update(new Uint8Array(tokens.buffer))
    .update(JSON.stringify([step, epoch, maxLength, [...indices]]))
    .digest("hex");

async function digests(options: LoaderOptions, steps: readonly number[]): Promise<string[]> {
  const loader = await createLoader(options);
  try {
    const found: string[] = [];
    for (const step of steps) found.push(digest(await loader.batch(step)));
    return found;
  } finally {
    await loader.close();
  }
}

describe("batches", () => {
  const steps = Array.from({ length: 18 }, (_, i) => i);

  test("the workers' file is built (npm run build)", () => {
    expect(existsSync(new URL("../../dist/src/data/loader-worker.js", import.meta.url))).toBe(true);
  });

  test("are the same with none, one and two workers, with and without prefetch", async () => {
    const wanted = await digests(optionsFor("mixed.csv"), steps);
    expect(new Set(wanted).size).toBe(steps.length);
    for (const more of [{ workers: 1 }, { workers: 2, prefetch: 7 }, { workers: 2, prefetch: 0 }]) {
      expect(await digests(optionsFor("mixed.csv", more), steps)).toEqual(wanted);
    }
  });

  test("are the same after resuming in the middle of an epoch, out of order, and asked for twice", async () => {
    const wanted = await digests(optionsFor("good.csv"), steps);
    const order = [10, 11, 12, 3, 17, 3, 0];
    const again = await digests(optionsFor("good.csv", { workers: 1 }), order);
    expect(again).toEqual(order.map((step) => wanted[step]));
  });

  test("show the background through transparent pictures, as if these were laid on it before", async () => {
    for (let i = 0; i < 5; i++) {
      const { width, height, data } = noise(24, 30, i);
      const holes = Uint8Array.from({ length: width * height }, (_, at) => (at % 7 < 3 ? 0 : 255));
      const clear = sharp(data, { raw: { width, height, channels: 3 } }).joinChannel(Buffer.from(holes), {
        raw: { width, height, channels: 1 },
      });
      const bytes = await clear.png().toBuffer();
      writeFileSync(join(folder, `clear${i}.png`), bytes);
      await sharp(bytes)
        .flatten({ background: "#fff" })
        .png()
        .toFile(join(folder, `laid${i}.png`));
    }
    for (const kind of ["clear", "laid"])
      writeFileSync(
        join(folder, `${kind}.csv`),
        `image,caption${[0, 1, 2, 3, 4].map((i) => `\n${kind}${i}.png,one`).join("")}`,
      );
    const wanted = await digests(optionsFor("laid.csv"), [0, 1]);
    for (const workers of [0, 1])
      expect(await digests(optionsFor("clear.csv", { background: 255, workers }), [0, 1])).toEqual(wanted);
    expect(await digests(optionsFor("clear.csv"), [0, 1])).not.toEqual(wanted);
  });

  test("have the tokens that are foreseen for them, where their pictures can be read; in parts, too", async () => {
    for (const part of [undefined, { index: 1, of: 5 }]) {
      const loader = await createLoader(optionsFor("several.csv", part && { part }));
      for (const step of [16, 0, 6, 7]) expect(loader.foreseenTokens(step)).toEqual((await loader.batch(step)).tokens);
      await loader.close();
    }
  });

  test.each([2, 3, 6])("in %i parts, each made by itself, are the whole ones, broken pictures and all", async (of) => {
    const batchSize = 6;
    const whole = await createLoader(optionsFor("mixed.csv", { batchSize }));
    const parts = await Promise.all(
      Array.from({ length: of }, (_, index) =>
        createLoader(optionsFor("mixed.csv", { batchSize, part: { index, of }, workers: index === 0 ? 1 : 0 })),
      ),
    );
    for (const step of [0, 1, 5, 6, 13]) {
      const wanted = await whole.batch(step);
      const found = await Promise.all(parts.map((part) => part.batch(step)));
      for (const field of ["images", "tokens", "indices"] as const)
        expect(found.flatMap((part) => [...part[field]])).toEqual([...wanted[field]]);
      expect(Math.max(...found.map(({ maxLength }) => maxLength))).toBe(wanted.maxLength);
    }
    expect(parts.reduce((sum, part) => sum + part.truncatedCaptions(), 0)).toBe(whole.truncatedCaptions());
    for (const loader of [whole, ...parts]) await loader.close();
  });

  test("do not come in parts that are none", async () => {
    const wrong = (part: { index: number; of: number }) => createLoader(optionsFor("good.csv", { part }));
    await expect(wrong({ index: 0, of: 2 })).rejects.toThrow("a batch of 5 does not divide into 2 equal parts");
    await expect(wrong({ index: 5, of: 5 })).rejects.toThrow("part: expected one of 0 to 4, got 5");
    await expect(wrong({ index: 0, of: 0 })).rejects.toThrow("part: expected one of 0 to -1, got 0");
  });

  test("differ with the seed", async () => {
    const [one] = await digests(optionsFor("good.csv"), [0]);
    const [other] = await digests(optionsFor("good.csv", { seed: 12 }), [0]);
    expect(one).not.toBe(other);
  });

  test("of an epoch take every pair at most once, leave out only the rest, and are shuffled anew each epoch", async () => {
    const loader = await createLoader(optionsFor("good.csv"));
    expect([loader.length, loader.batchesPerEpoch]).toEqual([37, 7]);
    const epochs: number[][] = [[], [], []];
    for (let step = 0; step < 21; step++) {
      const { epoch, indices } = await loader.batch(step);
      expect(epoch).toBe(Math.floor(step / 7));
      epochs[epoch]?.push(...indices);
    }
    for (const taken of epochs) {
      expect(new Set(taken).size).toBe(35);
      expect(Math.max(...taken)).toBeLessThan(37);
      expect(taken).not.toEqual(taken.toSorted((a, b) => a - b));
    }
    expect(epochs[0]).not.toEqual(epochs[1]);
    await loader.close();
  });

  test("pair each picture with its own caption, cropped as drawn", async () => {
    const loader = await createLoader(optionsFor("good.csv"));
    const { images, tokens, indices, maxLength } = await loader.batch(8);
    await loader.close();
    const rows = [...indices].map((index) => tokenizer.tokenize(captionOf(index), { contextLength: 32 }));
    expect([...tokens]).toEqual(rows.flatMap(({ ids }) => [...ids]));
    expect(maxLength).toBe(Math.max(...rows.map(({ lengths }) => lengths[0] ?? 0)));
    for (const [row, index] of [...indices].entries()) {
      const crop = randomSquareCrop(noise(20 + index, 30, index), 16, [0.6, 1], new Random(11, 1, index, 0));
      expect(images.subarray(row * 768, (row + 1) * 768)).toEqual(crop.data);
    }
  });

  test("count captions that are cut", async () => {
    const loader = await createLoader(optionsFor("good.csv", { contextLength: 6, workers: 1 }));
    const { tokens, maxLength } = await loader.batch(0);
    expect(maxLength).toBe(6);
    expect(loader.truncatedCaptions()).toBe(5);
    expect(Array.from({ length: 5 }, (_, i) => tokens[i * 6 + 5])).toEqual(new Array(5).fill(tokenizer.endOfText));
    await loader.close();
  });
});

describe("pictures that cannot be read", () => {
  test.each([0, 2])(
    "are counted once each, named, and replaced by the next good pair (%i workers)",
    async (workers) => {
      const loader = await createLoader(optionsFor("mixed.csv", { workers }));
      expect(loader.badImages()).toEqual({ count: 0, names: [] });
      let replaced = 0;
      for (let step = 0; step < 14; step++) {
        const { indices } = await loader.batch(step);
        expect([...indices]).not.toContain(3);
        expect([...indices]).not.toContain(4);
        replaced += indices.filter((index) => index === 5).length;
      }
      const { count, names } = loader.badImages();
      expect(count).toBe(2);
      expect(names.toSorted()[0]).toMatch(/^broken\.png \(mixed\.csv line 5\): cannot be decoded: [^\n]+$/);
      expect(names.toSorted()[1]).toBe("empty.png (mixed.csv line 6): cannot be decoded: the file is empty");
      expect(replaced).toBeGreaterThan(2);
      await loader.close();
    },
  );

  test.each([0, 1])("all of them: one clear error, and again when asked again (%i workers)", async (workers) => {
    const loader = await createLoader(optionsFor("bad.csv", { workers }));
    const message =
      /bad\.csv: none of its 12 pictures can be read; the first: bad\d+\.png \(bad\.csv line \d+\): cannot be decoded: [^\n]+$/;
    await expect(loader.batch(0)).rejects.toThrow(message);
    await expect(loader.batch(1)).rejects.toThrow(message);
    await loader.close();
  });

  test("a source of a billion missing pictures is not walked to its end", async () => {
    let asked = 0;
    const source: PairSource = {
      name: "nothing",
      length: 1e9,
      image: async (index) => {
        asked++;
        throw new Error(`no ${index}`);
      },
      caption: () => "",
      describe: String,
    };
    const make = createBatchMaker(source, tokenizer, optionsFor("good.csv"));
    await expect(make(0)).rejects.toThrow(/^nothing: none of 1000 pictures in a row can be read; the first: no \d+$/);
    expect(asked).toBeLessThanOrEqual(8000);
  });
});

describe("the loader itself", () => {
  test("refuses what cannot work, in one line", async () => {
    await expect(createLoader(optionsFor("good.csv", { batchSize: 38 }))).rejects.toThrow(
      /a batch of 38 needs at least as many pairs, got 37$/,
    );
    await expect(createLoader(optionsFor("good.csv", { batchSize: 0 }))).rejects.toThrow(
      "loader: batchSize must be a whole number of at least 1, got 0",
    );
    await expect(createLoader(optionsFor("good.csv", { seed: 0.5 }))).rejects.toThrow(
      "loader: seed must be a whole number, got 0.5",
    );
    await expect(createLoader(optionsFor("good.csv", { cropScale: [0.9, 0.5] }))).rejects.toThrow(
      /cropScale must be 0 < min <= max <= 1/,
    );
    await expect(createLoader(optionsFor("none.csv", { workers: 1 }))).rejects.toThrow(
      /none\.csv: there is no such file/,
    );
    const loader = await createLoader(optionsFor("good.csv"));
    await expect(loader.batch(-1)).rejects.toThrow(/step must be a whole number of at least 0, got -1/);
    await loader.close();
  });

  test("closes while batches are under way, twice, and gives nothing afterwards", async () => {
    const loader = await createLoader(optionsFor("good.csv", { workers: 2 }));
    const late = loader.batch(0).then(
      () => "made",
      (error: unknown) => String(error),
    );
    await loader.close();
    await loader.close();
    expect(["made", "Error: loader: closed"]).toContain(await late);
    await expect(loader.batch(1)).rejects.toThrow("loader: closed");
  });

  test("does not wait for a worker that never comes up: its failure is the batch's", async () => {
    const table = join(folder, "vanishing.csv");
    writeFileSync(table, readFileSync(join(folder, "good.csv")));
    const opening = createLoader(optionsFor("vanishing.csv", { workers: 1 }));
    const loader = await opening;
    rmSync(table);
    const outcome = await loader.batch(0).then(
      () => "made", // the worker was quicker than the removal
      (error: unknown) => String(error),
    );
    expect(outcome).toMatch(/^(made|Error: loader: worker 0 failed: .*vanishing\.csv: there is no such file)$/);
    await loader.close();
  });
});
