/** Whole training steps of small CLIP models: the device arrives where the reference engine does. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { type ClipConfig, initialise } from "../../src/model/index.ts";
import type { AdamW } from "../../src/train/optimizer.ts";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { createTrainer } from "../../src/train/trainer.ts";
import { expectSame } from "../engine/conformance/case.ts";
import { uniform } from "../graph/random.ts";
import { CONTEXT, MODELS, SIDE } from "./models.ts";

const [BATCH, STEPS] = [4, 2];

// Moments near 0 divide differences of rounding: the floor keeps them small.
const ADAM: AdamW = { beta1: 0.9, beta2: 0.98, epsilon: 1e-3, weightDecay: 0.1 };

function batches(): PairBatch[] {
  const next = uniform(5);
  return Array.from({ length: STEPS }, () => {
    const images = Uint8Array.from({ length: BATCH * SIDE * SIDE * 3 }, () => next() * 256);
    const tokens = new Int32Array(BATCH * CONTEXT);
    for (let row = 0; row < BATCH; row++) {
      const words = 3 + Math.floor(next() * 6);
      tokens[row * CONTEXT] = 94;
      for (let i = 1; i <= words; i++) tokens[row * CONTEXT + i] = 1 + Math.floor(next() * 90);
      tokens[row * CONTEXT + words + 1] = 95;
    }
    return { images, tokens };
  });
}

async function train(engine: Engine, config: ClipConfig, microBatch: number) {
  const trainer = await createTrainer(engine, { config, adam: ADAM, batch: BATCH, microBatch }, initialise(config, 7));
  const metrics = [];
  for (const [step, { images, tokens }] of batches().entries()) {
    const pieces = Array.from({ length: BATCH / microBatch }, (_, i) => ({
      images: images.subarray(i * microBatch * SIDE * SIDE * 3, (i + 1) * microBatch * SIDE * SIDE * 3),
      tokens: tokens.subarray(i * microBatch * CONTEXT, (i + 1) * microBatch * CONTEXT),
    }));
    metrics.push(await trainer.step(pieces, 1e-3, step));
  }
  const state = await trainer.read();
  await trainer.close();
  return { metrics, state };
}

describe("training steps", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOnnxEngine({ executionProvider: "webgpu" });
  });
  afterAll(() => engine.close());

  // Batch normalisation over few pairs enlarges differences of rounding, on every engine; over two it leaves nothing but signs.
  const runs = [
    { name: "a vision transformer", microBatch: BATCH, tolerance: 1e-4 },
    { name: "a vision transformer", microBatch: BATCH / 2, tolerance: 1e-4 },
    { name: "a residual network", microBatch: BATCH, tolerance: 1e-2 },
  ] as const;
  for (const { name, microBatch, tolerance } of runs)
    it(`of ${name}, ${microBatch} of ${BATCH} pairs at once`, async () => {
      const expected = await train(createReferenceEngine(), MODELS[name], microBatch);
      const found = await train(engine, MODELS[name], microBatch);
      for (const [step, want] of expected.metrics.entries()) {
        const got = found.metrics[step];
        expect(Math.abs((got?.loss ?? Number.NaN) - want.loss)).toBeLessThan(tolerance);
        expect(Math.abs((got?.gradientNorm ?? Number.NaN) / want.gradientNorm - 1)).toBeLessThan(tolerance);
        expect(got?.accuracy).toBe(want.accuracy);
        expect(got?.notFinite).toEqual([]);
      }
      expect(Object.keys(found.state).sort()).toEqual(Object.keys(expected.state).sort());
      for (const [entry, value] of Object.entries(expected.state))
        expectSame(entry, found.state[entry], value, tolerance);
    });
});
