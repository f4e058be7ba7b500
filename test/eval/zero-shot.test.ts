import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { beforeAll, expect, it } from "vitest";
import { memorySource, readSafetensors } from "../../src/checkpoint/index.ts";
import { dotProduct, meanDirection, rank } from "../../src/clip.ts";
import { meanPerClass, within } from "../../src/eval/metrics.ts";
import { allRows, classificationDetails, figuresOf } from "../../src/eval/outcome.ts";
import { scoredBy } from "../../src/eval/scoring.ts";
import { type FeatureSet, memoryMatrix } from "../../src/eval/tasks/features.ts";
import type { HostTensor } from "../../src/graph/index.ts";

const golden = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../golden/evaluation/${name}`, import.meta.url)));
const official = JSON.parse(new TextDecoder().decode(golden("zero_shot.json"))) as {
  readonly top1_correct: number;
  readonly top5_correct: number;
  readonly top1: number;
  readonly top5: number;
  readonly mean_per_class: number;
  readonly per_class_accuracy: readonly number[];
  readonly top1_without_first_normalisation: number;
};

let tensors: Map<string, HostTensor>;
beforeAll(async () => {
  const bytes = new Uint8Array(gunzipSync(golden("zero_shot.safetensors.gz")));
  tensors = await readSafetensors(memorySource("zero_shot", bytes));
});

function tensor(name: string): HostTensor {
  const found = tensors.get(name);
  if (!found) throw new Error(`the golden file has no ${name}`);
  return found;
}

function rows({ data, shape }: HostTensor): Float32Array[] {
  const width = shape.at(-1) ?? 1;
  return Array.from({ length: data.length / width }, (_, i) =>
    Float32Array.from(data.subarray(i * width, (i + 1) * width)),
  );
}

const unit = (row: Float32Array): Float32Array => meanDirection([row]);

function classifier(normalise: boolean): Float32Array[] {
  const [classes = 0, templates = 0] = tensor("text_features").shape;
  const prompts = rows(tensor("text_features")).map((row) => (normalise ? unit(row) : row));
  return Array.from({ length: classes }, (_, i) => meanDirection(prompts.slice(i * templates, (i + 1) * templates)));
}

it("makes the official classifier and logits", () => {
  const images = rows(tensor("image_features")).map(unit);
  const weights = classifier(true);
  for (const [i, row] of rows(tensor("classifier")).entries())
    for (const [j, expected] of row.entries())
      expect(Math.abs((weights[i]?.[j] ?? Number.NaN) - expected)).toBeLessThan(1e-6);
  const logits = tensor("logits");
  for (const [i, image] of images.entries())
    for (const [j, weight] of weights.entries())
      expect(
        Math.abs(100 * dotProduct(image, weight) - (logits.data[i * weights.length + j] ?? Number.NaN)),
      ).toBeLessThan(1e-4);
});

function featureSet(): FeatureSet {
  const { data, shape } = tensor("image_features");
  const matrix = memoryMatrix(Float32Array.from(data), shape[1] ?? 1);
  const labels = Int32Array.from(tensor("labels").data);
  const indices = labels.map((_, i) => i);
  return { count: labels.length, labels, indices, unreadable: [], projected: matrix, pooled: matrix };
}

const OPTIONS = { metric: "accuracy", probability: { logitScale: 100, logitBias: undefined } } as const;

it("counts as the official evaluation", async () => {
  const scored = await scoredBy(featureSet(), classifier(true), OPTIONS);
  const rows = allRows(scored.labels.length);
  expect(scored.ranks.filter((rank) => rank === 0).length).toBe(official.top1_correct);
  expect(scored.ranks.filter((rank) => rank < 5).length).toBe(official.top5_correct);
  expect(within(scored.ranks, 1)(rows)).toBe(official.top1);
  expect(within(scored.ranks, 5)(rows)).toBe(official.top5);
  expect(meanPerClass(scored)(rows)).toBeCloseTo(official.mean_per_class, 12);
  const probabilities = tensor("probs").data;
  for (const [row, predicted] of scored.predicted.entries())
    expect(
      Math.abs((scored.confidence[row] ?? 0) - (probabilities[row * scored.classes + predicted] ?? 0)),
    ).toBeLessThan(1e-5);
});

it("returns the official figures, each inside its interval, and details that agree with them", async () => {
  const features = featureSet();
  const scored = await scoredBy(features, classifier(true), OPTIONS);
  const figures = figuresOf("accuracy", scored, 1);
  expect(figures.map(({ name }) => name)).toEqual(["top-1", "top-5", "mean per class"]);
  expect(figures.map(({ value }) => value)).toEqual([
    official.top1,
    official.top5,
    expect.closeTo(official.mean_per_class, 12),
  ]);
  for (const { low = 1, value, high = 0, samples } of figures) {
    expect([low <= value, value <= high, samples]).toEqual([true, true, scored.labels.length]);
    expect(high - low).toBeGreaterThan(0.02);
  }
  const classNames = Array.from({ length: scored.classes }, (_, i) => `class ${i}`);
  const white = { width: 8, height: 8, data: new Uint8Array(192).fill(255) };
  const details = await classificationDetails(
    { classNames },
    {
      name: "golden",
      classNames,
      contentHash: "",
      count: 224,
      labels: scored.labels,
      image: async () => white,
      describe: String,
    },
    features,
    scored,
  );
  expect(details.perClass?.map(({ value }) => value)).toEqual(
    official.per_class_accuracy.map((x) => expect.closeTo(x, 12)),
  );
  const { actual = [], predicted = [], counts = [] } = details.confusion ?? {};
  const right = counts.filter((_, i) => actual[i] === predicted[i]).reduce((sum, x) => sum + x, 0);
  expect(right).toBe(official.top1_correct);
  expect(counts.reduce((sum, x) => sum + x, 0)).toBe(224);
  const worst = details.worst ?? [];
  expect(worst.length).toBe(Math.min(24, 224 - official.top1_correct));
  for (const [i, { label, predicted: answer, confidence, picture }] of worst.entries()) {
    expect(label).not.toBe(answer);
    expect(confidence).toBeLessThanOrEqual(worst[i - 1]?.confidence ?? 1);
    expect(picture.thumbnail).toMatch(/^data:image\/png;base64,/);
  }
});

it("would count otherwise without the first normalisation", async () => {
  const { ranks } = await scoredBy(featureSet(), classifier(false), OPTIONS);
  expect(within(ranks, 1)(allRows(ranks.length))).toBe(official.top1_without_first_normalisation);
});

it("ranks as the official softmax and finds the official five", () => {
  const images = rows(tensor("image_features")).map(unit);
  const weights = classifier(true);
  const labels = weights.map((_, i) => String(i));
  const probabilities = tensor("probs").data;
  const five = tensor("top5").data;
  for (const [i, image] of images.entries()) {
    const ranked = rank(image, labels, weights, 100);
    expect(ranked.slice(0, 5).map(({ label }) => Number(label))).toEqual([...five.subarray(i * 5, i * 5 + 5)]);
    for (const { label, probability } of ranked)
      expect(Math.abs(probability - (probabilities[i * labels.length + Number(label)] ?? Number.NaN))).toBeLessThan(
        1e-5,
      );
  }
});

it("puts none of these first exactly where no label reaches the threshold", () => {
  const axes = [Float32Array.of(1, 0), Float32Array.of(0, 1)];
  const between = Float32Array.of(0.6, 0.8);
  const below = rank(between, ["x", "y"], axes, 10, 0.79);
  expect(below.map(({ label }) => label)).toEqual(["y", "none of these", "x"]);
  const above = rank(between, ["x", "y"], axes, 10, 0.81);
  expect(above.map(({ label }) => label)).toEqual(["none of these", "y", "x"]);
  const odds = [0.81, 0.8, 0.6].map((cosine) => Math.exp(10 * cosine));
  const total = odds.reduce((a, b) => a + b);
  for (const [i, { probability }] of above.entries()) expect(probability).toBeCloseTo((odds[i] ?? 0) / total, 6);
});

it("gives every label a sigmoid of its own where the model has a bias", () => {
  const axes = [Float32Array.of(1, 0), Float32Array.of(0, 1)];
  // transformers: torch.sigmoid(logits_per_image), logits = scale * cosine + bias.
  const ranked = rank(Float32Array.of(0.6, 0.8), ["x", "y"], axes, 10, 0.7, -7);
  const expected = [0.8, 0.7, 0.6].map((cosine) => 1 / (1 + Math.exp(-(10 * cosine - 7))));
  expect(ranked.map(({ label }) => label)).toEqual(["y", "none of these", "x"]);
  for (const [i, { probability }] of ranked.entries()) expect(probability).toBeCloseTo(expected[i] ?? 0, 6);
});
