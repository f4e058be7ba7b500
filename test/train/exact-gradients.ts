/**
 * Gradients of a training step are the official ones, however the memory for them is saved: micro-batches whose features are cached
 * (GradCache), blocks that are computed again, both.
 */
import { expect, it } from "vitest";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { createTrainer, type TrainerOptions } from "../../src/train/trainer.ts";
import type { EngineUnderTest } from "../engine/conformance/engines.ts";
import { golden, relativeL2 } from "../model/goldens.ts";
import { ADAM, BATCH, OFFICIAL, type OfficialModel, readBatches, readInitial } from "./golden.ts";

type Ways = readonly (readonly [name: string, options: Partial<TrainerOptions>])[];
const WAYS: Readonly<Record<OfficialModel, Ways>> = {
  "tiny-vit": [
    ["blocks computed again", { checkpointActivations: true }],
    ["micro-batches of 4", { microBatch: 4 }],
    ["micro-batches of 4, blocks computed again", { microBatch: 4, checkpointActivations: true }],
  ],
  // Its batch normalisation has the statistics of a micro-batch: another function, whose gradients are not these.
  "tiny-rn": [["blocks computed again", { checkpointActivations: true }]],
};

export function testExactGradients({ create }: Pick<EngineUnderTest, "create">): void {
  for (const model of Object.keys(WAYS) as OfficialModel[])
    for (const [way, options] of WAYS[model])
      it(`${model}: ${way}`, async () => {
        const engine = await create();
        const { microBatch = BATCH } = options;
        const config = OFFICIAL[model];
        const trainer = await createTrainer(
          engine,
          { config, adam: ADAM, batch: BATCH, ...options },
          await readInitial(model),
        );
        const batch = (await readBatches(model))(0);
        await trainer.step(piecesOf(batch, microBatch, config.imageSize, config.text.contextLength), 0, 0);
        const state = await trainer.read();
        const { get, names } = await golden(`training/${model}/gradients.safetensors.gz`);
        // Moments are sums of gradients: after one step, the gradients.
        for (const parameter of names) {
          const moment = state[`moment1.${parameter}`];
          expect(moment, parameter).toBeDefined();
          if (moment) expect(relativeL2(moment, get(parameter), 1e-12), parameter).toBeLessThan(1e-4);
        }
        await trainer.close();
        await engine.close();
      });
}

function piecesOf({ images, tokens }: PairBatch, size: number, side: number, context: number): PairBatch[] {
  const pixels = side * side * 3;
  return Array.from({ length: BATCH / size }, (_, i) => ({
    images: images.subarray(i * size * pixels, (i + 1) * size * pixels),
    tokens: tokens.subarray(i * size * context, (i + 1) * size * context),
  }));
}
