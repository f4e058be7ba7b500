import { beforeAll, describe, expect, it } from "vitest";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { drawExamples } from "../../../src/eval/few-shot/sample.ts";
import {
  cacheLogits,
  type ExampleCache,
  exampleCosines,
  searchTip,
  tipLogits,
} from "../../../src/eval/few-shot/tip-adapter.ts";
import { trainKeys } from "../../../src/eval/few-shot/tip-training.ts";
import { criterionOf, predictedOf } from "../../../src/eval/probe/criteria.ts";
import { floats, goldenTensors } from "../probe/golden.ts";

const [WIDTH, CLASSES, SHOTS] = [48, 12, 4];
const accuracy = (scores: Float32Array, labels: Int32Array): number => criterionOf("accuracy")(scores, { labels });
let tensor: Awaited<ReturnType<typeof goldenTensors>>;
let cache: ExampleCache;
let zeroShot: Float32Array;
beforeAll(async () => {
  tensor = await goldenTensors("tip_adapter.safetensors.gz");
  const values = floats(tensor("values"));
  const labels = predictedOf(values, CLASSES);
  cache = { keys: floats(tensor("keys")), labels, width: WIDTH, classes: CLASSES };
  zeroShot = floats(tensor("zero_shot_logits"));
});

/** 100 cosines with the classifier. */
async function plainLogits(features: Float32Array): Promise<Float32Array> {
  const classifier = floats(tensor("classifier"));
  return (await exampleCosines(engine, features, { keys: classifier, width: WIDTH })).map((cosine) => 100 * cosine);
}

const engine = createReferenceEngine();

describe("Tip-Adapter", () => {
  it.each([
    ["logits_alpha1_beta5.5", 1, 5.5, 56],
    ["logits_alpha2.5_beta1", 2.5, 1, 57],
  ])("has the official %s", async (name, alpha, beta, correct) => {
    const cosines = await exampleCosines(engine, floats(tensor("features")), cache);
    const found = tipLogits(cosines, cache, zeroShot, { alpha, beta });
    for (const [i, expected] of tensor(name).data.entries())
      expect(Math.abs((found[i] ?? 999) - expected)).toBeLessThan(1e-4);
    const labels = Int32Array.from(tensor("labels").data);
    expect(Math.round(accuracy(found, labels) * labels.length)).toBe(correct);
  });

  it("makes zero-shot logits from the classifier", async () => {
    const found = await plainLogits(floats(tensor("features")));
    for (const [i, expected] of zeroShot.entries()) expect(Math.abs((found[i] ?? 999) - expected)).toBeLessThan(1e-4);
  });

  it("searches its strengths on what it is shown, and stays zero-shot where nothing helps", async () => {
    const labels = Int32Array.from(tensor("labels").data);
    const cosines = await exampleCosines(engine, floats(tensor("features")), cache);
    const plain = accuracy(zeroShot, labels);
    const found = searchTip(cosines, cache, zeroShot, (logits) => accuracy(logits, labels));
    expect(found.score).toBeGreaterThan(plain);
    const cached = cacheLogits(cosines, cache, found.beta);
    const logits = zeroShot.map((logit, i) => logit + found.alpha * (cached[i] ?? 0));
    expect(accuracy(logits, labels)).toBe(found.score);
    expect(searchTip(cosines, cache, zeroShot, () => 0.5).alpha).toBe(0);
  });
});

describe("Tip-Adapter-F", () => {
  it("moves the keys so that examples are told apart by the others", async () => {
    const plain = (await plainLogits(cache.keys)).map((logit) => logit / 20); // a weak zero-shot classifier leaves something to learn
    const lossWith = async (keys: Float32Array): Promise<number> => {
      // Each example's logits without itself; the mean of -log softmax.
      const cosines = await exampleCosines(engine, cache.keys, { keys, width: WIDTH });
      const count = cache.labels.length;
      let loss = 0;
      for (const [i, label] of cache.labels.entries()) {
        const logits = [...plain.subarray(i * CLASSES, (i + 1) * CLASSES)];
        for (const [j, other] of cache.labels.entries())
          if (j !== i) logits[other] = (logits[other] ?? 0) + Math.exp(-5.5 * (1 - (cosines[i * count + j] ?? 0)));
        loss += Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - (logits[label] ?? 0);
      }
      return loss / count;
    };
    const losses = [await lossWith(cache.keys)];
    await trainKeys(engine, cache, plain, {
      epochs: 8,
      rate: 5e-3,
      seed: 1,
      onEpoch: async (_, keys) => void losses.push(await lossWith(keys)),
    });
    expect(losses).toHaveLength(9);
    for (let i = 1; i < losses.length; i++) expect(losses[i]).toBeLessThan(losses[i - 1] ?? 0);
    expect(losses.at(-1)).toBeLessThan(0.95 * (losses[0] ?? 0));
    expect(cache.keys).toEqual(floats(tensor("keys")));
    await engine.close();
  });
});

describe("examples", () => {
  const labels = Int32Array.from({ length: 200 }, (_, i) => (i * i) % 7);
  const classes = 7;
  it("are as many of each class as asked for, or all", () => {
    const drawn = drawExamples(labels, classes, 5, 3, "examples");
    const counts = new Map<number, number>();
    for (const row of drawn) counts.set(labels[row] ?? -1, (counts.get(labels[row] ?? -1) ?? 0) + 1);
    for (const label of new Set(labels)) expect(counts.get(label)).toBe(5);
    expect(new Set(drawn).size).toBe(drawn.length);
    expect(drawExamples(labels, classes, 1000, 3, "examples")).toHaveLength(200);
  });

  it("are nested, depend on the seed and differ from those of validation", () => {
    const more = new Set(drawExamples(labels, classes, 8, 3, "examples"));
    for (const row of drawExamples(labels, classes, 2, 3, "examples")) expect(more.has(row)).toBe(true);
    expect(drawExamples(labels, classes, 4, 3, "examples")).toEqual(drawExamples(labels, classes, 4, 3, "examples"));
    expect(drawExamples(labels, classes, 4, 3, "examples")).not.toEqual(
      drawExamples(labels, classes, 4, 4, "examples"),
    );
    expect(drawExamples(labels, classes, 4, 3, "examples")).not.toEqual(
      drawExamples(labels, classes, 4, 3, "validation"),
    );
  });

  it("has as many shots as the official cache", () => expect(cache.labels).toHaveLength(CLASSES * SHOTS));
});
