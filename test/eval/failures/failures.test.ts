import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/data/index.ts";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { evaluateBias } from "../../../src/eval/failures/bias-evaluator.ts";
import { canvas, counted } from "../../../src/eval/failures/counting.ts";
import { countThings } from "../../../src/eval/failures/counting-evaluator.ts";
import { evaluateFineGrained, nearPairs } from "../../../src/eval/failures/fine-grained-evaluator.ts";
import { addPair, corrected, correctionSums, linearCorrection } from "../../../src/eval/failures/linear-correction.ts";
import { lettering, wrapped, writable } from "../../../src/eval/failures/stroke-font.ts";
import { evaluateTypographic } from "../../../src/eval/failures/typographic-evaluator.ts";
import { nonsense, writeWord } from "../../../src/eval/failures/written-word.ts";
import { evaluateRetrieval } from "../../../src/eval/retrieval-evaluator.ts";
import { memoryMatrix } from "../../../src/eval/tasks/features.ts";
import type { LabelledImages } from "../../../src/eval/tasks/task.ts";
import { encodePng, type RgbImage } from "../../../src/image/index.ts";
import { COLOUR_NAMES, microClip, microContext, squares } from "../micro-context.ts";

const gray = (width: number, height: number): RgbImage => ({
  ...{ width, height },
  data: new Uint8Array(width * height * 3).fill(100),
});

describe("written words", () => {
  it("have every letter and digit, each its own", () => {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#*-.,'"];
    const paths = letters.map((letter) => lettering([letter]).path);
    expect(new Set(paths).size).toBe(letters.length);
    for (const path of paths)
      for (const [, x, y] of path.matchAll(/[ML](\S+) (\d+)/g)) {
        expect(Number(x)).toBeLessThanOrEqual(4);
        expect(Number(y)).toBeLessThanOrEqual(6);
      }
    expect(writable("Crème brûlée 日本!")).toBe("CREME BRULEE ");
  });

  it("break into lines that keep all words", () => {
    for (const text of ["DOG", "FACE WITH TEARS OF JOY", "A B C D E F G H I J", "SUPERCALIFRAGILISTIC X", ""]) {
      const lines = wrapped(text, 3);
      expect(lines.length).toBeLessThanOrEqual(3);
      expect(lines.join(" ")).toBe(text);
    }
    expect(wrapped("FACE WITH TEARS OF JOY", 3).length).toBe(3);
  });

  it("stand whole in the picture, white and black, and leave the rest alone", async () => {
    for (const [word, width, height] of [
      ["dog", 64, 64],
      ["flag of papua new guinea", 224, 224],
      ["a cat", 96, 40],
    ] as const) {
      const image = gray(width, height);
      const { data } = await writeWord(image, word, new Random(3));
      const at = (x: number, y: number): number => data[(y * width + x) * 3] ?? 0;
      const changed = Array.from({ length: width * height }, (_, i) => i).filter((i) => data[i * 3] !== 100);
      const share = changed.length / (width * height);
      expect(share).toBeGreaterThan(0.02);
      expect(share).toBeLessThan(0.34);
      expect(changed.some((i) => (data[i * 3] ?? 0) > 180) && changed.some((i) => (data[i * 3] ?? 0) < 40)).toBe(true);
      // Nothing is cut off: no letter reaches the border.
      for (let x = 0; x < width; x++) expect([at(x, 0), at(x, height - 1)].every((v) => v > 60 && v < 140)).toBe(true);
    }
  });

  it("are the same for a seed, elsewhere for another, and cover as much without sense", async () => {
    const written = async (word: string, seed: number) => (await writeWord(gray(64, 64), word, new Random(seed))).data;
    expect(await written("cow", 1)).toEqual(await written("cow", 1));
    expect(await written("cow", 1)).not.toEqual(await written("cow", 2));
    const scrambled = nonsense("red fox", new Random(5));
    expect(scrambled).toMatch(/^[A-Z]{3} [A-Z]{3}$/);
    const covered = (data: Uint8Array): number => data.filter((x) => x !== 100).length;
    const ratio = covered(await written(scrambled, 1)) / covered(await written("red fox", 1));
    expect(ratio).toBeGreaterThan(0.7);
    expect(ratio).toBeLessThan(1.4);
    await expect(written("日本", 1)).rejects.toThrow('there is no letter for "日本"');
  });
});

describe("linear correction", () => {
  it("undoes a map that is one, and does nothing where nothing is wrong", () => {
    const unit = (x: number, y: number) => Float32Array.of(x / Math.hypot(x, y), y / Math.hypot(x, y));
    const [turned, same] = [correctionSums(2), correctionSums(2)];
    for (let i = 0; i < 20; i++) {
      const right = unit(Math.sin(i), Math.cos(i));
      addPair(turned, Float32Array.of(-(right[1] ?? 0), right[0] ?? 0), right);
      addPair(same, right, right);
    }
    const back = corrected(Float32Array.of(0, 1), linearCorrection(turned, 1e-9));
    expect([...back]).toEqual([expect.closeTo(1, 5), expect.closeTo(0, 5)]);
    expect(Math.max(...linearCorrection(same, 1e-3).map(Math.abs))).toBeLessThan(1e-9);
  });
});

describe("counted things", () => {
  it("are said in English", () => {
    expect([counted("dog", 1), counted("dog", 3), counted("cactus", 2), counted("bus", 10)]).toEqual([
      "one dog",
      "three dogs",
      "two cacti",
      "ten buses",
    ]);
    expect(() => counted("dog", 13)).toThrow("expected a number from 1 to 12, got 13");
  });

  it("stand each in a cell of its own, all of one size", () => {
    const item: RgbImage = { width: 5, height: 4, data: new Uint8Array(60).fill(7) };
    for (let count = 1; count <= 9; count++) {
      const { width, height, data } = canvas(item, count, 3, new Random(count));
      expect([width, height]).toEqual([15, 12]);
      expect(data.filter((x) => x === 7).length).toBe(60 * count);
      expect(data.filter((x) => x === 255).length).toBe(60 * (9 - count));
    }
    expect(canvas(item, 2, 3, new Random(1)).data).not.toEqual(canvas(item, 2, 3, new Random(2)).data);
    expect(() => canvas(item, 10, 3, new Random(1))).toThrow("expected 1 to 9 things, got 10");
  });
});

describe("near pairs", () => {
  it("are each class's nearest other, once, the nearest first, without namesakes", () => {
    const at = (degrees: number) =>
      Float32Array.of(Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180));
    const weights = [at(0), at(4), at(30), at(33), at(90), at(90)];
    const pairs = nearPairs(weights, [0, 1, 2, 3, 4, 5], ["a", "b", "c", "d", "e", "e"]);
    expect(pairs.map(({ first, second }) => [first, second])).toEqual([
      [2, 3],
      [0, 1],
      [3, 4],
      [3, 5],
    ]);
    expect(pairs[0]?.similarity).toBeCloseTo(Math.cos((3 * Math.PI) / 180), 5);
  });
});

describe("evaluations", () => {
  const engine = createReferenceEngine();
  let micro: Awaited<ReturnType<typeof microClip>>;
  let folder: string;
  beforeAll(async () => {
    micro = await microClip(engine);
    folder = await mkdtemp(join(tmpdir(), "failures-"));
  });
  afterAll(async () => {
    await micro.close();
    await engine.close();
    await rm(folder, { recursive: true });
  });

  /** A context whose model says `answer` of every picture, so that figures are known. */
  async function knowing(
    images: LabelledImages,
    answer: (image: RgbImage, index: number) => number,
    names: readonly string[] = images.classNames,
  ) {
    const context = microContext(micro.clip, micro.folder);
    const { weights } = await micro.clip.classifier(names, context.templates, "truncate");
    const featuresOf = async (set: LabelledImages) => {
      const rows: number[] = [];
      for (let i = 0; i < set.count; i++) {
        const image = await set.image(i);
        if (typeof image === "string" || image instanceof Uint8Array) throw new Error("expected pixels");
        rows.push(...(weights[answer(image, i)] ?? []));
      }
      const projected = memoryMatrix(Float32Array.from(rows), weights[0]?.length ?? 0);
      const indices = Int32Array.from({ length: set.count }, (_, i) => i);
      return { count: set.count, labels: set.labels, indices, unreadable: [], projected, pooled: projected };
    };
    return {
      ...context,
      classNames: names,
      images: async () => images,
      featuresOf,
      features: () => featuresOf(images),
    };
  }

  const flat = (count: number, classNames: readonly string[]): LabelledImages => ({
    ...{ name: "flat", count, classNames, contentHash: `flat ${count}` },
    labels: Int32Array.from({ length: count }, (_, i) => i % classNames.length),
    image: async () => gray(16, 16),
    describe: (i) => `flat ${i}`,
  });

  it("typographic: a model that a word confuses, by how much it does", async () => {
    const images = flat(60, COLOUR_NAMES);
    const isClean = ({ data }: RgbImage): boolean => data.every((x) => x === 100);
    // Right without letters; with some, always the class after the picture's.
    const context = await knowing(
      images,
      (image, i) => ((images.labels[i] ?? 0) + (isClean(image) ? 0 : 1)) % COLOUR_NAMES.length,
    );
    const [result] = await evaluateTypographic(context);
    const figure = (name: string) => result?.figures.find((one) => one.name === name);
    expect(figure("top-1 without a word")?.value).toBe(1);
    expect(figure("top-1 with another class's name")?.value).toBe(0);
    expect(figure("top-1 with random letters")?.value).toBe(0);
    expect(figure("right answers lost to the word")?.value).toBe(1);
    expect(figure("taken for that class without the word")?.value).toBe(0);
    // The written class is drawn from the other five.
    expect(Math.abs((figure("attack rate")?.value ?? 0) - 1 / 5)).toBeLessThan(0.2);
    expect(result?.settings.chosenOn).toMatch(/^a seeded half/);
    expect(result?.details?.worst?.[0]?.picture.thumbnail).toMatch(/^data:image\/png;base64,/);
    expect(result?.details?.worst?.every(({ label, predicted }) => label !== predicted)).toBe(true);
  });

  it("typographic: what shifts all features alike is undone by the correction", async () => {
    const images = flat(120, COLOUR_NAMES);
    const base = await knowing(images, (_, i) => images.labels[i] ?? 0);
    const width = micro.clip.config.embedDim;
    const shift = Float32Array.from({ length: width }, (_, i) => 0.5 * Math.sin(i + 1));
    const context = {
      ...base,
      featuresOf: async (set: LabelledImages) => {
        const found = await base.featuresOf(set);
        const rows = await found.projected.read(0, found.count);
        for (let i = 0; i < found.count; i++) {
          const image = await set.image(i);
          if (typeof image === "string" || image instanceof Uint8Array || image.data.every((x) => x === 100)) continue;
          for (let c = 0; c < width; c++) rows[i * width + c] = (rows[i * width + c] ?? 0) + (shift[c] ?? 0);
        }
        const projected = memoryMatrix(rows, width);
        return { ...found, projected, pooled: projected };
      },
    };
    const [result] = await evaluateTypographic(context);
    const value = (name: string): number => result?.figures.find((one) => one.name === name)?.value ?? -1;
    expect(value("top-1 with another class's name")).toBeLessThan(0.6);
    expect(value("top-1 with a name, linear correction")).toBeGreaterThan(0.9);
    expect(value("top-1 without a word, linear correction")).toBeGreaterThan(0.9);
  });

  it("typographic: fine-tuning on pictures with words names what a model without training does not", async () => {
    const splits = { train: squares("train", 6), validation: squares("validation", 2), test: squares("test", 4) };
    const context = microContext(micro.clip, micro.folder, {
      images: async (split) => splits[split],
      options: { epochs: "8", rates: "3e-3" },
    });
    const task = { ...context.task, train: context.task.test };
    const [result] = await evaluateTypographic({ ...context, task });
    const value = (name: string): number => result?.figures.find((one) => one.name === name)?.value ?? -1;
    expect(value("top-1 without a word")).toBeLessThan(0.4);
    expect(value("top-1 without a word, fine-tuned")).toBeGreaterThan(0.6);
    expect(value("top-1 with a name, fine-tuned")).toBeGreaterThan(value("top-1 with another class's name"));
    expect(result?.settings).toMatchObject({
      chosenOn: "validation",
      fineTuning: { trainingPictures: 36, rate: 3e-3 },
    });
    expect(result?.details?.tables?.[0]?.rows).toHaveLength(4);
  });

  it("fine-grained: a model that knows all is right of two, and so it says", async () => {
    const images = flat(24, COLOUR_NAMES);
    const [known] = await evaluateFineGrained(await knowing(images, (_, i) => images.labels[i] ?? 0));
    expect(known?.figures.slice(0, 2).map(({ value }) => value)).toEqual([1, 1]);
    const [wrong] = await evaluateFineGrained(
      await knowing(images, (_, i) => ((images.labels[i] ?? 0) + 1) % COLOUR_NAMES.length),
    );
    expect(wrong?.figures[0]?.value).toBeLessThan(1);
    expect(wrong?.details?.tables?.[0]?.rows.length).toBe(wrong?.settings.pairs);
  });

  it("bias: groups by class names, effect sizes with intervals, counts of the data set's own", async () => {
    const names = ["man", "woman", "old man", "girl", "dog", "man or woman"];
    const images = { ...flat(60, names), classNames: names };
    const [result] = await evaluateBias(await knowing(images, (_, i) => images.labels[i] ?? 0));
    const career = result?.figures.find(({ name }) => name === "effect size, gender: career and family, pictures");
    // Twice ten pictures of each; the pair is in neither group.
    expect(career?.samples).toBe(40);
    expect(Math.abs(career?.value ?? 9)).toBeLessThanOrEqual(2);
    const count = (what: string) =>
      result?.figures.find(({ name }) => name === `pictures by class name that say ${what}`)?.value;
    expect([count("gender: male"), count("gender: female"), count("age: old")]).toEqual([30, 30, 10]);
    expect(result?.details?.tables?.[1]?.rows.length).toBe(4);
  });

  it("counting: who always says three is right of a third of one to three, and off by what that is", async () => {
    const things = (["dog", "cat", "bus"] as const).map((noun, i) => ({
      noun,
      image: { width: 4, height: 4, data: new Uint8Array(48).fill(20 + i) },
    }));
    const texts = things.flatMap(({ noun }) => [1, 2, 3].map((number) => counted(noun, number)));
    // Knows the thing by its level, and says three.
    const context = await knowing(flat(1, ["x"]), ({ data }) => 3 * (Math.min(...data) - 20) + 2, texts);
    const result = await countThings(context, things, { most: 3, repeats: 2, seed: 1 }, "things");
    const value = (name: string): number | undefined => result.figures.find((one) => one.name === name)?.value;
    expect(value("right number")).toBeCloseTo(1 / 3, 12);
    expect(value("mean distance from the number")).toBeCloseTo((2 + 1 + 0) / 3, 12);
    expect(value("mean distance of guessing")).toBeCloseTo(8 / 9, 12);
    expect(value("right number by guessing")).toBeCloseTo(1 / 3, 12);
    expect(result.details?.tables?.[0]?.rows).toEqual([
      ["one", 0, 0, 6],
      ["two", 0, 0, 6],
      ["three", 0, 0, 6],
    ]);
    expect(result.data.pictures).toBe(18);
  });

  it("retrieval by class names: a model that knows all finds all, ties by number", async () => {
    const images = flat(18, COLOUR_NAMES);
    const [result] = await evaluateRetrieval(await knowing(images, (_, i) => images.labels[i] ?? 0));
    const value = (name: string): number | undefined => result?.figures.find((one) => one.name === name)?.value;
    expect(value("recall@1 pictures to names")).toBe(1);
    expect(value("recall@1 names to pictures")).toBe(1);
    expect(value("median rank names to pictures")).toBe(1);
  });

  it("retrieval of captions: several of a picture, those of pictures that cannot be read left out", async () => {
    const table = join(folder, "captions.csv");
    const { writeFile } = await import("node:fs/promises");
    for (const name of ["a", "b"]) await writeFile(join(folder, `${name}.png`), await encodePng(gray(16, 16)));
    await writeFile(join(folder, "broken.png"), "no picture");
    await writeFile(
      table,
      "image,caption\na.png,a red square\na.png,a blue square\nbroken.png,a green square\nb.png,a red square\n",
    );
    const context = microContext(micro.clip, micro.folder, { options: { captions: table, block: "1" } });
    const [result] = await evaluateRetrieval(context);
    expect(result?.settings).toMatchObject({ texts: 3, pictures: 2, block: 1 });
    expect(result?.data.unreadable).toBe(1);
    const of = (name: string) => result?.figures.find((one) => one.name === name);
    // Both pictures are the same to the model: the first comes first.
    expect(of("recall@1 texts to pictures")).toMatchObject({ value: 2 / 3, samples: 3 });
    expect(of("recall@5 pictures to texts")).toMatchObject({ value: 1, samples: 2 });
    expect(result?.details?.examples?.[0]?.rows.length).toBe(3);
    expect(result?.details?.notes?.some((note) => note.startsWith("1 of 3 texts"))).toBe(true);
    await expect(evaluateRetrieval({ ...context, options: { captions: table, block: "x" } })).rejects.toThrow(
      "--block: expected a whole number",
    );
  });
});
