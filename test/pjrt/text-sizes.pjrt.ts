/** XLA compiles for each size of texts: before they come where they are foreseen, and the time is known. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import { initialise } from "../../src/model/index.ts";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { createTrainer } from "../../src/train/trainer.ts";
import { MICRO_VIT } from "../train/micro.ts";
import { pluginPath } from "./plugin.ts";

const BATCH = 8;
const { imageSize, text } = MICRO_VIT;
const adam = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 };

/** Texts of `length` tokens. */
function pairs(length: number): PairBatch {
  const row = Array.from({ length: text.contextLength }, (_, t) => (t < length ? t + 1 : 0));
  row[length - 1] = text.vocabSize - 1;
  return {
    images: new Uint8Array(BATCH * imageSize * imageSize * 3).map((_, i) => (i * 37) % 256),
    tokens: Int32Array.from(Array.from({ length: BATCH }, () => row).flat()),
  };
}

let engine: Engine;
beforeAll(async () => {
  engine = await createPjrtEngine({ plugin: pluginPath(), cache: false });
});
afterAll(() => engine.close());

it.each([BATCH, BATCH / 2])("micro-batches of %i", async (microBatch) => {
  const options = { config: MICRO_VIT, adam, batch: BATCH, microBatch };
  const trainer = await createTrainer(engine, options, initialise(MICRO_VIT, 1));
  const split = ({ images, tokens }: PairBatch): PairBatch[] =>
    Array.from({ length: BATCH / microBatch }, (_, i) => ({
      images: images.subarray((i * images.length * microBatch) / BATCH, ((i + 1) * images.length * microBatch) / BATCH),
      tokens: tokens.subarray(i * microBatch * text.contextLength, (i + 1) * microBatch * text.contextLength),
    }));
  const [short, long] = [split(pairs(5)), split(pairs(12))];
  await trainer.step(short, 1e-3, 0);
  const first = trainer.compileSeconds();
  expect(first).toBeGreaterThan(0.05);
  await trainer.step(short, 1e-3, 1);
  expect(trainer.compileSeconds()).toBe(first);

  for (const { tokens } of [...long, ...long]) await trainer.prepare?.(tokens);
  const prepared = trainer.compileSeconds();
  expect(prepared).toBeGreaterThan(first);
  const { loss } = await trainer.step(long, 1e-3, 2);
  expect(trainer.compileSeconds()).toBe(prepared);
  expect(loss).toBeGreaterThan(0);
  await trainer.close();
});

it("ends what it prepares for before it closes", async () => {
  const trainer = await createTrainer(engine, { config: MICRO_VIT, adam, batch: BATCH }, initialise(MICRO_VIT, 1));
  const [first, second] = [5, 12].map((length) => trainer.prepare?.(pairs(length).tokens));
  await new Promise((resolve) => setTimeout(resolve, 100));
  await trainer.close();
  const seconds = trainer.compileSeconds();
  await Promise.all([first, second]);
  expect(trainer.compileSeconds()).toBe(seconds);
});
