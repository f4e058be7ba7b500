import { beforeAll, describe, expect, it } from "vitest";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { criterionOf } from "../../../src/eval/probe/criteria.ts";
import { onEngine } from "../../../src/eval/probe/engine-loss.ts";
import { type LabelledRows, pickedRows, stacked, stackedRows } from "../../../src/eval/probe/feature-rows.ts";
import { LAMBDAS, searchLambda } from "../../../src/eval/probe/lambda-search.ts";
import { linearProbe } from "../../../src/eval/probe/linear-probe.ts";
import { IN_DOUBLE_PRECISION } from "../../../src/eval/probe/softmax-loss.ts";
import { fitSoftmax } from "../../../src/eval/probe/softmax-regression.ts";
import { memoryMatrix } from "../../../src/eval/tasks/features.ts";
import type { HostTensor } from "../../../src/graph/index.ts";
import { goldenJson, goldenTensors, split } from "./golden.ts";

const CLASSES = 10;
const official = goldenJson("linear_probe.json") as {
  readonly chosen_index: number;
  readonly val_correct_at_exact_optimum: readonly number[];
  readonly final: { readonly test_correct: number };
  readonly fixed: { readonly C: number; readonly objective_exact: number; readonly test_correct: number };
};

let tensor: (name: string) => HostTensor;
let train: LabelledRows;
let validation: LabelledRows;
let test: LabelledRows;
beforeAll(async () => {
  tensor = await goldenTensors("linear_probe.safetensors.gz");
  [train, validation, test] = [split(tensor, "train"), split(tensor, "val"), split(tensor, "test")];
});

async function fitted(data: LabelledRows, lambda: number, start?: Float64Array) {
  const loss = await IN_DOUBLE_PRECISION.loss(data, CLASSES);
  return fitSoftmax(loss, { lambda, ...(start ? { start } : {}) });
}

async function correct(data: LabelledRows, weights: Float64Array): Promise<number> {
  const scores = await IN_DOUBLE_PRECISION.scores(data.rows, weights, CLASSES);
  return [...data.labels].filter((label, i) => {
    const row = scores.subarray(i * CLASSES, (i + 1) * CLASSES);
    return row.indexOf(Math.max(...row)) === label;
  }).length;
}

describe("softmax regression", () => {
  it("has scikit-learn's weights and objective", async () => {
    const found = await fitted(train, 1 / official.fixed.C);
    const width = train.rows.width;
    const coef = tensor("fixed.coef").data;
    for (const [i, expected] of coef.entries()) expect(Math.abs((found.weights[i] ?? 9) - expected)).toBeLessThan(1e-3);
    const biases = found.weights.subarray(CLASSES * width);
    const mean = biases.reduce((sum, b) => sum + b, 0) / CLASSES;
    for (const [c, expected] of tensor("fixed.intercept").data.entries())
      expect(Math.abs((biases[c] ?? 9) - mean - expected)).toBeLessThan(1e-3);
    expect(Math.abs(found.value / official.fixed.objective_exact - 1)).toBeLessThan(1e-7);
    expect(await correct(test, found.weights)).toBe(official.fixed.test_correct);
  });

  it("has scikit-learn's penalty where there are two classes", async () => {
    const both = [...train.labels.keys()].filter((i) => (train.labels[i] ?? 9) < 2);
    const width = train.rows.width;
    const data = new Float32Array(both.length * width);
    for (const [i, row] of both.entries()) data.set(await train.rows.read(row, row + 1), i * width);
    const rows = { rows: memoryMatrix(data, width), labels: Int32Array.from(both, (i) => train.labels[i] ?? 9) };
    const loss = await IN_DOUBLE_PRECISION.loss(rows, 2);
    const { weights } = await fitSoftmax(loss, { lambda: 1 / 0.5, gradientTolerance: 1e-9 });
    for (const [i, expected] of tensor("two.coef").data.entries())
      expect(Math.abs((weights[width + i] ?? 9) - (weights[i] ?? 9) - expected)).toBeLessThan(1e-5);
    const [intercept = 9] = tensor("two.intercept").data;
    expect(Math.abs((weights[2 * width + 1] ?? 9) - (weights[2 * width] ?? 9) - intercept)).toBeLessThan(1e-5);
  });

  it("is drawn to its prior: all the way by an endless penalty, not at all without one", async () => {
    const loss = await IN_DOUBLE_PRECISION.loss(train, CLASSES);
    const prior = Float64Array.from({ length: CLASSES * train.rows.width }, (_, i) => Math.sin(i));
    const near = await fitSoftmax(loss, { lambda: 1e4, prior });
    for (const [i, p] of prior.entries()) expect(Math.abs((near.weights[i] ?? 9) - p)).toBeLessThan(0.03);
    // A prior of zeros is none.
    const plain = await fitSoftmax(loss, { lambda: 10 });
    const zeros = await fitSoftmax(loss, { lambda: 10, prior: new Float64Array(prior.length) });
    expect(zeros.weights).toEqual(plain.weights);
  });

  it("refuses what does not fit", async () => {
    await expect(IN_DOUBLE_PRECISION.loss(train, 3)).rejects.toThrow(/row \d+ has label \d, expected one of 0 \.\. 2/);
    const loss = await IN_DOUBLE_PRECISION.loss(train, CLASSES);
    await expect(fitSoftmax(loss, { lambda: -1 })).rejects.toThrow("a lambda of at least 0, got -1");
    await expect(fitSoftmax(loss, { lambda: 1, prior: new Float64Array(3) })).rejects.toThrow("10 x 64 numbers, got 3");
    await expect(fitSoftmax(loss, { lambda: 1, start: new Float64Array(3) })).rejects.toThrow("650 numbers, got 3");
  });
});

describe("the search for lambda", () => {
  it("finds the official strength by the paper's search, and the refit counts as scikit-learn's", async () => {
    const loss = await IN_DOUBLE_PRECISION.loss(train, CLASSES);
    let start: Float64Array | undefined;
    const counts = new Map<number, number>();
    const { best, tried } = await searchLambda(LAMBDAS, async (lambda, index) => {
      const { weights } = await fitSoftmax(loss, { lambda, ...(start ? { start } : {}) });
      start = weights;
      const right = await correct(validation, weights);
      counts.set(index, right);
      return right;
    });
    expect(best.index).toBe(official.chosen_index);
    expect(tried.length).toBeLessThan(20);
    // Where the penalty is next to nothing, weights far from each other are as good: scikit-learn's own counts are up to 6 off there.
    for (const [index, right] of counts) {
      const off = Math.abs(right - (official.val_correct_at_exact_optimum[index] ?? 999));
      expect(off).toBeLessThanOrEqual(index < 32 ? 6 : 1);
    }
    const final = await fitted(stacked([train, validation]), best.lambda);
    expect(Math.abs((await correct(test, final.weights)) - official.final.test_correct)).toBeLessThanOrEqual(1);
  });

  it("ends at the best of any single peak, without trying all", async () => {
    for (let peak = 0; peak < LAMBDAS.length; peak++) {
      const { best, tried } = await searchLambda(LAMBDAS, async (_, index) => -Math.abs(index - peak));
      expect(best.index).toBe(peak);
      expect(tried.length).toBeLessThanOrEqual(15);
    }
  });

  it("prefers the simpler of equally good classifiers", async () => {
    const { best } = await searchLambda(LAMBDAS, async () => 1);
    expect(best.index).toBe(LAMBDAS.length - 1);
  });

  it("spans the paper's range", () => {
    expect(LAMBDAS).toHaveLength(96);
    expect(LAMBDAS[0]).toBeCloseTo(1e-6, 18);
    expect(LAMBDAS.at(-1)).toBeCloseTo(1e6, 4);
  });
});

describe.each([
  ["resident", {}],
  ["read again each time", { residentBytes: 0 }],
  ["in blocks of 64", { block: 64 }],
])("on an engine, %s", (_, options) => {
  it("has the same loss, gradient and scores", async () => {
    const engine = createReferenceEngine();
    const arithmetic = onEngine(engine, options);
    const weights = Float64Array.from({ length: CLASSES * 65 }, (_, i) => Math.fround(0.3 * Math.sin(i)));
    const [exact, computed] = [new Float64Array(weights.length), new Float64Array(weights.length)];
    const [one, other] = [await IN_DOUBLE_PRECISION.loss(train, CLASSES), await arithmetic.loss(train, CLASSES)];
    const [expected, found] = [await one.evaluate(weights, exact), await other.evaluate(weights, computed)];
    expect(Math.abs(found / expected - 1)).toBeLessThan(1e-6);
    const largest = Math.max(...exact.map(Math.abs));
    for (const [i, g] of exact.entries()) expect(Math.abs((computed[i] ?? 9e9) - g) / largest).toBeLessThan(1e-5);
    const [all, same] = [
      await IN_DOUBLE_PRECISION.scores(test.rows, weights, CLASSES),
      await arithmetic.scores(test.rows, weights, CLASSES),
    ];
    expect(same.length).toBe(all.length);
    for (const [i, s] of all.entries()) expect(Math.abs((same[i] ?? 9e9) - s)).toBeLessThan(1e-4);
    await other.close();
    await arithmetic.close();
    await engine.close();
  });
});

describe("the loss's gradient", () => {
  it("is that of finite differences", async () => {
    const loss = await IN_DOUBLE_PRECISION.loss(train, CLASSES);
    const at = Float64Array.from({ length: CLASSES * 65 }, (_, i) => 0.2 * Math.cos(3 * i));
    const [gradient, unused] = [new Float64Array(at.length), new Float64Array(at.length)];
    await loss.evaluate(at, gradient);
    for (const i of [0, 77, 320, 639, 640, 649]) {
      const moved = async (by: number): Promise<number> => {
        const there = at.slice();
        there[i] = (there[i] ?? 0) + by;
        return loss.evaluate(there, unused);
      };
      const slope = ((await moved(1e-5)) - (await moved(-1e-5))) / 2e-5;
      expect(Math.abs(slope - (gradient[i] ?? 9e9))).toBeLessThan(1e-5 * Math.max(1, Math.abs(slope)));
    }
  });

  it("does not overflow", async () => {
    const rows = memoryMatrix(Float32Array.of(1000, -1000), 1);
    const loss = await IN_DOUBLE_PRECISION.loss({ rows, labels: Int32Array.of(0, 1) }, 2);
    const gradient = new Float64Array(4);
    expect(await loss.evaluate(Float64Array.of(1, -1, 0, 0), gradient)).toBe(0);
    expect(await loss.evaluate(Float64Array.of(-1, 1, 0, 0), gradient)).toBe(4000);
  });
});

describe("one class against the rest", () => {
  /** Two questions: whether a row is of the first five classes, and whether it is of an even one. */
  const questions = ({ rows, labels }: LabelledRows): LabelledRows => ({
    ...{ rows, labels },
    several: Int8Array.from({ length: 2 * labels.length }, (_, i) => {
      const label = labels[i >> 1] ?? 0;
      if (label === 9) return -1;
      return i % 2 === 0 ? Number(label < 5) : Number(label % 2 === 0);
    }),
  });

  it("is two classes' softmax regression where there is one question", async () => {
    const kept = [...train.labels.keys()].filter((i) => (train.labels[i] ?? 9) < 2);
    const rows = memoryMatrix(await pickedRows(train.rows, kept), train.rows.width);
    const labels = Int32Array.from(kept, (i) => train.labels[i] ?? 9);
    const one = await IN_DOUBLE_PRECISION.loss({ rows, labels, several: Int8Array.from(labels) }, 1);
    const { weights } = await fitSoftmax(one, { lambda: 1 / 0.5, gradientTolerance: 1e-9 });
    for (const [i, expected] of tensor("two.coef").data.entries())
      expect(Math.abs((weights[i] ?? 9) - expected)).toBeLessThan(1e-5);
    expect(Math.abs((weights.at(-1) ?? 9) - (tensor("two.intercept").data[0] ?? 9))).toBeLessThan(1e-5);
  });

  it("is the same on an engine, leaves out what is not counted and does not overflow", async () => {
    const engine = createReferenceEngine();
    const data = questions(train);
    const weights = Float64Array.from({ length: 2 * 65 }, (_, i) => Math.fround(3 * Math.sin(i)));
    const [one, other] = [await IN_DOUBLE_PRECISION.loss(data, 2), await onEngine(engine).loss(data, 2)];
    const [exact, found] = [new Float64Array(130), new Float64Array(130)];
    const value = await one.evaluate(weights, exact);
    expect(Math.abs((await other.evaluate(weights, found)) / value - 1)).toBeLessThan(1e-6);
    const largest = Math.max(...exact.map(Math.abs));
    for (const [i, g] of exact.entries()) expect(Math.abs((found[i] ?? 9e9) - g) / largest).toBeLessThan(1e-5);
    const counted = [...train.labels.keys()].filter((i) => train.labels[i] !== 9);
    const some = await IN_DOUBLE_PRECISION.loss(
      questions({
        rows: memoryMatrix(await pickedRows(train.rows, counted), 64),
        labels: Int32Array.from(counted, (i) => train.labels[i] ?? 9),
      }),
      2,
    );
    expect((await some.evaluate(weights, found)) / value).toBeCloseTo(1, 12);
    const steep = await one.evaluate(
      weights.map((w) => 1e4 * w),
      found,
    );
    expect(Number.isFinite(steep)).toBe(true);
    await engine.close();
  });

  it("is searched and fitted as any probe, by mean average precision", async () => {
    const options = { criterion: criterionOf("11-point mAP"), lambdas: [1e-2, 1, 1e2, 1e4] };
    const { score, weights } = await linearProbe(questions(train), questions(validation), 2, options);
    expect(score).toBeGreaterThan(0.7);
    const scores = await IN_DOUBLE_PRECISION.scores(test.rows, weights, 2);
    expect(criterionOf("11-point mAP")(scores, questions(test))).toBeGreaterThan(0.7);
  });
});

describe("stacked rows", () => {
  it("are read across their seams", async () => {
    const all = Float32Array.from({ length: 14 }, (_, i) => i);
    const rows = stackedRows([memoryMatrix(all.subarray(0, 6), 2), memoryMatrix(all.subarray(6), 2)]);
    expect(rows.count).toBe(7);
    for (let start = 0; start < 7; start++)
      for (let end = start; end <= 7; end++)
        expect(await rows.read(start, end)).toEqual(all.subarray(2 * start, 2 * end));
    await expect(rows.read(5, 8)).rejects.toThrow("rows within 0 .. 7, got 5 .. 8");
    expect(() => stackedRows([memoryMatrix(all, 2), memoryMatrix(all, 7)])).toThrow("rows of 2 numbers, got 7");
  });
});
