import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { classWeights } from "../../../src/eval/class-weights.ts";
import { writeResults } from "../../../src/eval/result.ts";
import {
  ALEXNET_ERRORS,
  meanCorruptionError,
  meanError,
  relativeCorruptionError,
} from "../../../src/eval/shift/corruption-error.ts";
import { CORRUPTIONS, corrupt } from "../../../src/eval/shift/corruptions.ts";
import { evaluateCorruptions } from "../../../src/eval/shift/corruptions-evaluator.ts";
import {
  effectiveRobustness,
  fitLogitLine,
  logit,
  logitShare,
  sigmoid,
} from "../../../src/eval/shift/effective-robustness.ts";
import { nearest } from "../../../src/eval/shift/evaluation-parts.ts";
import { shiftResult } from "../../../src/eval/shift/natural-shift.ts";
import { evaluateNaturalShift } from "../../../src/eval/shift/natural-shift-evaluator.ts";
import { pixelClassifiers } from "../../../src/eval/shift/pixel-classifiers.ts";
import { addRow, ridgeSums, solveRidge } from "../../../src/eval/shift/ridge.ts";
import { tableFor } from "../../../src/eval/shift/severity-tables.ts";
import { imageFeatures, memoryMatrix } from "../../../src/eval/tasks/features.ts";
import type { LabelledImages } from "../../../src/eval/tasks/task.ts";
import { encodePng, type PreprocessConfig, preprocess } from "../../../src/image/index.ts";
import { microClip, microContext, squares } from "../micro-context.ts";

describe("errors under corruption", () => {
  const five = (error: number) => [1, 2, 3, 4, 5].map((severity) => error * (0.8 + severity / 15));

  it("are 1 for the reference itself, and proportional", () => {
    const alexnet = (name: (typeof CORRUPTIONS)[number]): number[] => five(ALEXNET_ERRORS[name]);
    const half = (name: (typeof CORRUPTIONS)[number]): number[] => alexnet(name).map((error) => error / 2);
    expect(meanCorruptionError(alexnet, alexnet)).toBeCloseTo(1, 12);
    expect(meanCorruptionError(half, alexnet)).toBeCloseTo(0.5, 12);
    expect(relativeCorruptionError(alexnet, 0.43, alexnet, 0.43)).toBeCloseTo(1, 12);
    expect(relativeCorruptionError(half, 0.215, alexnet, 0.43)).toBeCloseTo(0.5, 12);
    // A model that is no worse under corruption has lost nothing.
    expect(relativeCorruptionError(() => five(0.3), five(0.3).reduce((a, b) => a + b) / 5, alexnet, 0.43)).toBeCloseTo(
      0,
      12,
    );
    expect(meanError(() => [0.1, 0.2, 0.3, 0.4, 0.5])).toBeCloseTo(0.3, 12);
  });

  it("of AlexNet have the published mean", () => {
    // Table 1 of the paper: noise 88.6 89.4 92.3, blur 82.0 82.6 78.6 79.8, weather 86.7 82.7 81.9 56.5, digital 85.3 64.6 71.8 60.7.
    const published = [88.6, 89.4, 92.3, 82.0, 82.6, 78.6, 79.8, 86.7, 82.7, 81.9, 56.5, 85.3, 64.6, 71.8, 60.7];
    for (const [i, name] of CORRUPTIONS.entries())
      expect(Math.abs(100 * ALEXNET_ERRORS[name] - (published[i] ?? 0))).toBeLessThan(0.06);
  });
});

describe("effective robustness", () => {
  it("finds the line that models were made from, and what one is above it", () => {
    const [slope, intercept] = [0.9, -0.6];
    const models = [0.1, 0.3, 0.62, 0.9].map((base) => ({ base, shifted: sigmoid(intercept + slope * logit(base)) }));
    const line = fitLogitLine(models);
    expect([line.slope, line.intercept, line.explained]).toEqual(
      [slope, intercept, 1].map((x) => expect.closeTo(x, 10)),
    );
    for (const model of models) expect(effectiveRobustness(line, model)).toBeCloseTo(0, 10);
    const on = sigmoid(intercept + slope * logit(0.5));
    expect(effectiveRobustness(line, { base: 0.5, shifted: on + 0.07 })).toBeCloseTo(0.07, 10);
  });

  it("has a logit for every count, and needs models that differ", () => {
    expect(Number.isFinite(logit(logitShare(0, 10)))).toBe(true);
    expect(logit(logitShare(0, 10))).toBeCloseTo(-logit(logitShare(10, 10)), 12);
    expect(() => fitLogitLine([{ base: 0.5, shifted: 0.5 }])).toThrow(
      /^effective robustness: expected models with different/,
    );
    expect(() =>
      fitLogitLine([
        { base: 1, shifted: 0.5 },
        { base: 0.5, shifted: 0.5 },
      ]),
    ).toThrow("between 0 and 1");
  });
});

describe("ridge regression", () => {
  it("is where the gradient is nothing, for any rows", () => {
    const number = fc.integer({ min: -20, max: 20 }).map((x) => x / 4);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.tuple(number, number, number), fc.tuple(number, number)), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(1e-3, 0.1, 5),
        (rows, ridge) => {
          const sums = ridgeSums(3, 2);
          for (const [x, y] of rows) addRow(sums, x, y);
          const w = solveRidge(sums, ridge);
          for (let i = 0; i < 3; i++)
            for (let t = 0; t < 2; t++) {
              const slope = rows.reduce((sum, [x, y]) => {
                const out = x.reduce((dot, value, k) => dot + value * (w[k * 2 + t] ?? 0), 0);
                return sum + (x[i] ?? 0) * (out - (y[t] ?? 0));
              }, 0);
              expect(slope / rows.length + ridge * (w[i * 2 + t] ?? 0)).toBeCloseTo(0, 6);
            }
        },
      ),
    );
    expect(() => solveRidge(ridgeSums(2, 1), 1)).toThrow("expected rows and a ridge above 0, got 0 and 1");
  });

  it("of pixels learns colours, better from more pictures", async () => {
    const [train, test] = [squares("train", 8), squares("test", 4)];
    const made = await pixelClassifiers(
      {
        count: train.count,
        label: (i) => train.labels[i] ?? -1,
        image: async (i) => preprocess(await pixels(train, i), SAME),
      },
      train.classNames.length,
      3,
    );
    expect(made.length).toBe(16);
    const accuracy = async (classifier: (typeof made)[number] | undefined): Promise<number> => {
      let right = 0;
      for (const [i, label] of test.labels.entries())
        if (classifier?.classify(preprocess(await pixels(test, i), SAME)) === label) right++;
      return right / test.count;
    };
    expect(await accuracy(made.at(-1))).toBeGreaterThan(0.95);
    expect(await accuracy(made[0])).toBeLessThan(0.7);
    expect(made.at(-1)?.name).toBe("16 x 16 pixels, 48 pictures");
  });
});

const SAME: PreprocessConfig = {
  ...{ size: 16, resize: "shortest", interpolation: "bicubic", fill: 0 },
  ...{ mean: [0, 0, 0], deviation: [1, 1, 1] },
};
async function pixels(images: ReturnType<typeof squares>, index: number) {
  const image = await images.image(index);
  if (typeof image === "string" || image instanceof Uint8Array) throw new Error("expected pixels");
  return image;
}

describe("the evaluation of corruptions", () => {
  const engine = createReferenceEngine();
  let micro: Awaited<ReturnType<typeof microClip>>;
  let folder: string;
  beforeAll(async () => {
    micro = await microClip(engine);
    folder = await mkdtemp(join(tmpdir(), "corruptions-"));
  });
  afterAll(async () => {
    await micro.close();
    await engine.close();
    await rm(folder, { recursive: true });
  });

  it("has the accuracies of the pictures that it says, and 1 against itself", async () => {
    const images = squares("few", 1);
    // Features by what the pictures are said to depend on, as the command keeps them.
    const kept = new Map<string, ReturnType<typeof imageFeatures>>();
    const told: string[] = [];
    const context = microContext(micro.clip, micro.folder, {
      images: async () => images,
      featuresOf: (set) => {
        const found = kept.get(set.contentHash) ?? imageFeatures(micro.clip, set);
        kept.set(set.contentHash, found);
        return found;
      },
      progress: (what, done, total) => void told.push(`${what} ${done}/${total}`),
    });
    const [result] = await evaluateCorruptions(context);
    if (!result) throw new Error("no result");
    expect(told.at(-1)).toBe("corruptions 76/76");
    expect(result.details?.curves?.[0]?.lines.map(({ name }) => name)).toEqual(CORRUPTIONS);
    const weights = await classWeights(micro.clip, context.classNames, context.templates);
    const table = tableFor(32);
    for (const [name, severity] of [
      ["fog", 2],
      ["contrast", 5],
      ["glass blur", 4],
    ] as const) {
      let right = 0;
      for (const [i, label] of images.labels.entries()) {
        const enlarged = preprocess(await pixels(images, i), { ...SAME, size: 32 });
        const changed = await corrupt(enlarged, name, severity, { seed: [1, i], table });
        if (nearest(await micro.clip.encodeImage(changed, { normalize: true }), weights) === label) right++;
      }
      const line = result.details?.curves?.[0]?.lines.find((one) => one.name === name);
      expect(line?.points[severity]?.y).toBeCloseTo(right / images.count, 12);
    }
    const [mean, error] = result.figures;
    expect((mean?.value ?? 0) + (error?.value ?? 0)).toBeCloseTo(1, 12);
    expect(mean?.low).toBeLessThanOrEqual(mean?.value ?? 0);

    expect(kept.size).toBe(76);

    const path = join(folder, "results.json");
    await writeResults(path, [result]);
    const [again] = await evaluateCorruptions({ ...context, options: { reference: path } });
    expect(again?.figures.find(({ name }) => name === "mCE against micro")?.value).toBeCloseTo(1, 9);
    expect(again?.figures.slice(0, 3)).toEqual(result.figures);
    await expect(
      evaluateCorruptions({ ...context, options: { reference: path }, task: { ...context.task, name: "other" } }),
    ).rejects.toThrow(`${path}: has no result of corruptions on other`);
  });

  it("of a natural shift: a model that loses less than the pixels' classifiers is above their line", async () => {
    const base = squares("base", 8);
    // The same squares darker, under other names in capitals, and one class that the base lacks.
    const shifted: LabelledImages = {
      ...base,
      name: "dark",
      contentHash: "dark",
      classNames: [...base.classNames.slice(0, 5).map((name) => name.toUpperCase()), "another"],
      image: async (i) => {
        const { data, ...rest } = await pixels(base, i);
        return { ...rest, data: data.map((x, k) => Math.floor(x * (k % 3 === 0 ? 0.2 : 0.6))) };
      },
    };
    const context = microContext(micro.clip, micro.folder);
    const { weights } = await micro.clip.classifier(base.classNames.slice(0, 5), context.templates);
    const knows = async (set: LabelledImages) => {
      // Right of nine in ten, whatever the shift.
      const rows = [...set.labels].flatMap((label, i) => [...(weights[(label + (i % 10 === 3 ? 1 : 0)) % 5] ?? [])]);
      const projected = memoryMatrix(Float32Array.from(rows), weights[0]?.length ?? 0);
      const indices = Int32Array.from({ length: set.count }, (_, i) => i);
      return { count: set.count, labels: set.labels, indices, unreadable: [], projected, pooled: projected };
    };
    const knowing = { ...context, featuresOf: knows };
    const result = await shiftResult(knowing, { name: "darker", base, shifted, train: squares("train", 10) }, []);
    const value = (name: string): number => result.figures.find((one) => one.name === name)?.value ?? Number.NaN;
    expect(result.data).toMatchObject({ pictures: 80, classes: 5, unreadable: 0 });
    expect(result.settings.supervised).toHaveLength(16);
    expect(value("top-1 without shift")).toBe(0.9);
    expect(value("lost to the shift")).toBeCloseTo(0, 12);
    const [robustness] = result.figures;
    expect(robustness?.name).toBe("effective robustness");
    expect(robustness?.value).toBeGreaterThan(0.1);
    expect(robustness?.low).toBeGreaterThan(0);
    expect(robustness?.value).toBeCloseTo(logitShare(36, 40) - value("expected under shift"), 12);

    // The classifiers' accuracies are in the table and on the plot; another model's result adds a point.
    expect(result.details?.tables?.[0]?.rows).toHaveLength(17);
    expect(result.details?.curves?.[0]?.lines[1]?.points).toHaveLength(16);
    const alone = await shiftResult(knowing, { name: "darker", base, shifted }, [result, result]);
    expect(alone.settings.references).toEqual(["micro", "micro"]);
    expect(alone.details?.notes?.[0]).toMatch(/^There are fewer than three models/);
    const other = { ...shifted, classNames: ["q", "w", "e", "r", "t", "y"] };
    await expect(shiftResult(knowing, { name: "x", base, shifted: other }, [])).rejects.toThrow(
      "share 0 names of classes",
    );
  });

  it("of a natural shift finds the other set by what it is called", async () => {
    for (const [set, dark] of [
      ["bright", 1],
      ["dim", 0.5],
    ] as const)
      for (const [i, colour] of ["red", "blue", "green"].entries()) {
        await mkdir(join(folder, set, colour), { recursive: true });
        for (let n = 0; n < 2; n++) {
          const data = new Uint8Array(16 * 16 * 3).map((_, k) => (k % 3 === i ? (200 + 10 * n) * dark : 30));
          await writeFile(join(folder, set, colour, `${n}.png`), await encodePng({ width: 16, height: 16, data }));
        }
      }
    const context = microContext(micro.clip, folder, {
      task: { name: "bright", metric: "accuracy", test: { kind: "folder", folder: join(folder, "bright") } },
      options: { shift: `folder:${join(folder, "dim")}` },
    });
    const [result] = await evaluateNaturalShift(context);
    expect(result?.data).toMatchObject({ pictures: 12, classes: 3, unreadable: 0 });
    expect(result?.figures.map(({ name }) => name)).toEqual([
      "top-1 under shift",
      "top-1 without shift",
      "lost to the shift",
    ]);
    await expect(evaluateNaturalShift({ ...context, options: {} })).rejects.toThrow("no shift is known for bright");
    const nowhere = { ...context, options: { shift: "folder:nowhere" } };
    await expect(evaluateNaturalShift(nowhere)).rejects.toThrow("nowhere: there is no such file or folder");
  });
});
