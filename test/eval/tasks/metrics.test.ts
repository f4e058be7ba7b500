/** The paper's metrics beside scikit-learn's and the VOC 2007 development kit's. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { memorySource, readSafetensors } from "../../../src/checkpoint/index.ts";
import {
  averagePrecision,
  averagePrecision11,
  meanOverClasses,
  type RankedFigure,
  ranking,
  rocAuc,
  type Scored,
  statisticOf,
} from "../../../src/eval/metrics.ts";
import { allRows } from "../../../src/eval/outcome.ts";

const golden = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../golden/evaluation/${name}`, import.meta.url)));
const official = JSON.parse(new TextDecoder().decode(golden("multilabel.json"))) as {
  readonly samples: number;
  readonly classes: number;
  readonly ap_11_point: readonly number[];
  readonly map_11_point: number;
  readonly average_precision_sklearn: readonly number[];
  readonly mean_average_precision_sklearn: number;
  readonly roc_auc: readonly number[];
  readonly mean_roc_auc: number;
  readonly tied: { readonly roc_auc: number; readonly average_precision_sklearn: number };
};

let scored: Scored;
let tied: { readonly scores: Float32Array; readonly labels: Int32Array };
beforeAll(async () => {
  const tensors = await readSafetensors(
    memorySource("multilabel", new Uint8Array(gunzipSync(golden("multilabel.safetensors.gz")))),
  );
  const numbers = (name: string): number[] => Array.from(tensors.get(name)?.data ?? []);
  const { samples: count, classes } = official;
  scored = {
    classes,
    labels: new Int32Array(count),
    several: Int8Array.from(numbers("labels")),
    predicted: new Int32Array(count),
    ranks: new Int32Array(count),
    confidence: new Float32Array(count),
    scores: Float32Array.from(numbers("scores")),
  };
  tied = { scores: Float32Array.from(numbers("tied.scores")), labels: Int32Array.from(numbers("tied.labels")) };
});

const once = (count: number): Uint8Array => new Uint8Array(count).fill(1);
const column = (c: number): Float32Array =>
  Float32Array.from(
    { length: official.samples },
    (_, row) => scored.scores?.[row * official.classes + c] ?? Number.NaN,
  );
const relevant = (c: number): Int8Array =>
  Int8Array.from({ length: official.samples }, (_, row) => scored.several?.[row * official.classes + c] ?? -1);

describe("multi-label figures", () => {
  it.each([
    ["11-point mAP", averagePrecision11, official.ap_11_point, official.map_11_point],
    [
      "average precision",
      averagePrecision,
      official.average_precision_sklearn,
      official.mean_average_precision_sklearn,
    ],
    ["ROC AUC", rocAuc, official.roc_auc, official.mean_roc_auc],
  ] as const)("%s of each class and their mean", (_, figure: RankedFigure, each, mean) => {
    for (const [c, expected] of each.entries())
      expect(figure(ranking(column(c)), relevant(c), once(official.samples))).toBeCloseTo(expected, 9);
    expect(meanOverClasses(scored, figure)(allRows(official.samples))).toBeCloseTo(mean, 9);
  });

  it("are those that tasks are judged by", () => {
    expect(statisticOf("11-point mAP", scored)(allRows(official.samples))).toBeCloseTo(official.map_11_point, 9);
    expect(statisticOf("ROC AUC", scored)(allRows(official.samples))).toBeCloseTo(official.mean_roc_auc, 9);
  });

  it("take equal scores for one threshold", () => {
    const ranked = ranking(tied.scores);
    expect(rocAuc(ranked, tied.labels, once(tied.labels.length))).toBeCloseTo(official.tied.roc_auc, 9);
    const found = averagePrecision(ranked, tied.labels, once(tied.labels.length));
    expect(found).toBeCloseTo(official.tied.average_precision_sklearn, 9);
  });

  it("of a binary task look for the second class", () => {
    const { labels } = tied;
    const scores = Float32Array.from({ length: 2 * labels.length }, (_, i) =>
      i % 2 === 1 ? (tied.scores[i >> 1] ?? 0) : 0,
    );
    const binary = { ...scored, several: undefined, classes: 2, labels, scores };
    const { several: _, ...single } = binary;
    expect(statisticOf("ROC AUC", single)(allRows(labels.length))).toBeCloseTo(official.tied.roc_auc, 9);
  });
});

describe("any figure", () => {
  const items = fc.array(
    fc.record({
      score: fc.integer({ min: 0, max: 6 }),
      label: fc.constantFrom(0, 1),
      times: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 2, maxLength: 30 },
  );

  it("counts a picture that was drawn three times as three pictures", () => {
    fc.assert(
      fc.property(items, (drawn) => {
        const written = drawn.flatMap(({ score, label, times }) =>
          Array.from({ length: times }, () => ({ score, label })),
        );
        for (const figure of [averagePrecision11, averagePrecision, rocAuc]) {
          const [counted, repeated] = [
            figure(
              ranking(drawn.map(({ score }) => score)),
              drawn.map(({ label }) => label),
              drawn.map(({ times }) => times),
            ),
            figure(
              ranking(written.map(({ score }) => score)),
              written.map(({ label }) => label),
              once(written.length),
            ),
          ];
          expect(counted).toEqual(Number.isNaN(repeated) ? Number.NaN : expect.closeTo(repeated, 12));
        }
      }),
    );
  });

  it("is not moved by pictures that do not count", () => {
    fc.assert(
      fc.property(items, fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 10 }), (drawn, difficult) => {
        const scores = drawn.map(({ score }) => score);
        const labels = drawn.map(({ label }) => label);
        for (const figure of [averagePrecision11, averagePrecision, rocAuc])
          expect(figure(ranking([...scores, ...difficult]), [...labels, ...difficult.map(() => -1)], once(60))).toEqual(
            figure(ranking(scores), labels, once(60)),
          );
      }),
    );
  });

  it("ROC AUC is the share of pairs in order", () => {
    fc.assert(
      fc.property(items, (drawn) => {
        const [positives, negatives] = [1, 0].map((wanted) => drawn.filter(({ label }) => label === wanted));
        const pairs = (positives ?? []).flatMap((p) =>
          (negatives ?? []).map((n) => (p.score > n.score ? 1 : p.score === n.score ? 0.5 : 0)),
        );
        const expected = pairs.reduce((sum: number, x) => sum + x, 0) / pairs.length;
        const found = rocAuc(
          ranking(drawn.map(({ score }) => score)),
          drawn.map(({ label }) => label),
          once(drawn.length),
        );
        expect(found).toEqual(Number.isNaN(expected) ? Number.NaN : expect.closeTo(expected, 12));
      }),
    );
  });

  it("means per class and means of top-1 and top-5 are what they say", () => {
    const labels = Int32Array.of(0, 0, 0, 1, 2);
    const ranks = Int32Array.of(0, 0, 4, 0, 7);
    const one = { ...scored, classes: 4, labels, ranks };
    expect(statisticOf("mean per class", one)(allRows(5))).toBeCloseTo((2 / 3 + 1 + 0) / 3, 12);
    expect(statisticOf("mean of two", one)(allRows(5))).toBeCloseTo((3 / 5 + 4 / 5) / 2, 12);
    expect(statisticOf("accuracy", one)(Uint32Array.of(0, 0, 4))).toBeCloseTo(2 / 3, 12);
  });
});
