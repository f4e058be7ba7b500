/** Whatever saves memory changes no gradient: with micro-batches, blocks computed again and patch dropout together, on every engine. */
import { describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import { hostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, initialise } from "../../src/model/index.ts";
import { stateOf, stepGraph } from "../../src/train/graphs.ts";
import { initialMoments, updateScalars } from "../../src/train/optimizer.ts";
import { drawPatches, keptPatches } from "../../src/train/patch-dropout.ts";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { createTrainer, type TrainerOptions } from "../../src/train/trainer.ts";
import type { EngineUnderTest } from "../engine/conformance/engines.ts";
import { relativeL2 } from "../model/goldens.ts";
import { normalised } from "./golden.ts";
import { MICRO_SIGLIP, MICRO_VIT } from "./micro.ts";

const ADAM = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 };
const BATCH = 8;
const RATE = 1e-3;
/** Patches of 4 pixels, so that there are enough of them. */
const VIT: ClipConfig = { ...MICRO_VIT, vision: { kind: "vit", width: 32, layers: 3, heads: 2, patchSize: 4 } };

type Options = Partial<TrainerOptions>;
const AGAIN: Options = { checkpointActivations: true };
const PIECES: Options = { microBatch: 2 };
const MODELS: readonly { name: string; config: ClipConfig; base: Options; ways: readonly Options[] }[] = [
  {
    name: "CLIP, half of the patches",
    config: VIT,
    base: { patchDropout: 0.5 },
    ways: [AGAIN, PIECES, { ...AGAIN, ...PIECES }],
  },
  { name: "SigLIP", config: MICRO_SIGLIP, base: {}, ways: [AGAIN, { ...AGAIN, ...PIECES }] },
  {
    name: "SigLIP, a quarter of the patches",
    config: MICRO_SIGLIP,
    base: { patchDropout: 0.75 },
    ways: [{ ...AGAIN, ...PIECES }],
  },
];
const SEED = 4;

function pairs({ imageSize, text }: ClipConfig): PairBatch {
  const images = new Uint8Array(BATCH * imageSize ** 2 * 3).map((_, i) => (i * 7 + (i >> 5) * 31) % 251);
  const tokens = new Int32Array(BATCH * text.contextLength);
  for (let row = 0; row < BATCH; row++) {
    const end = 2 + ((row * 5) % (text.contextLength - 3));
    for (let t = 0; t < end; t++) tokens[row * text.contextLength + t] = 1 + ((row * 17 + t * 5) % 97);
    tokens[row * text.contextLength + end] = text.vocabSize - 1;
  }
  return { images, tokens };
}

const piecesOf = ({ images, tokens }: PairBatch, size: number): PairBatch[] =>
  Array.from({ length: BATCH / size }, (_, i) => {
    const part = <T extends Uint8Array | Int32Array>(all: T): T =>
      all.subarray((i * size * all.length) / BATCH, ((i + 1) * size * all.length) / BATCH) as T;
    return { images: part(images), tokens: part(tokens) };
  });

/** Gradients of the first step, by parameter, in float64 by the interpreter, from all pairs at once. */
function expectedGradients(config: ClipConfig, { patchDropout = 0 }: Options): HostTensors {
  const { contextLength } = config.text;
  const kept = patchDropout > 0 ? keptPatches(config, patchDropout) : undefined;
  const shape = { config, adam: ADAM, batch: BATCH, length: contextLength, dtype: "f64" as const };
  const { graph } = stepGraph({ ...shape, ...(kept !== undefined && { patches: kept }) });
  const wide = Object.entries(initialise(config, SEED)).map(([name, { shape: sizes, data }]) => [
    name,
    hostTensor("f64", sizes, Array.from(data)),
  ]);
  const { images, tokens } = pairs(config);
  const { groups } = stateOf(shape);
  const scalars = Object.entries(updateScalars(ADAM, RATE, 0)).map(([name, x]) => [name, hostTensor("f64", [], [x])]);
  const patches = kept && drawPatches({ seed: SEED, step: 0, row: 0 }, BATCH, keptPatches(config, 0), kept);
  return interpret(graph, {
    ...Object.fromEntries(wide),
    ...initialMoments(groups, "f64"),
    ...Object.fromEntries(scalars),
    images: normalised(images, config.imageSize),
    tokens: hostTensor("i32", [BATCH, contextLength], tokens),
    ...(patches && { patches: hostTensor("i32", [BATCH, kept], patches) }),
  });
}

export function testWays(engines: readonly EngineUnderTest[]): void {
  describe.each(MODELS)("$name", ({ config, base, ways }) => {
    const expected = expectedGradients(config, base);
    describe.each(engines)("on $name", ({ create }) => {
      it.each([{}, ...ways])("%o", async (way) => {
        const engine = await create();
        const options = { config, adam: ADAM, batch: BATCH, seed: SEED, ...base, ...way };
        const trainer = await createTrainer(engine, options, initialise(config, SEED));
        const metrics = await trainer.step(piecesOf(pairs(config), way.microBatch ?? BATCH), RATE, 0);
        expect(Math.abs(metrics.loss / (expected.loss?.data[0] ?? 0) - 1)).toBeLessThan(1e-6);
        expect(metrics.accuracy).toBeCloseTo(expected.accuracy?.data[0] ?? Number.NaN, 6);
        expect(Math.abs(metrics.gradientNorm / (expected.gradientNorm?.data[0] ?? 0) - 1)).toBeLessThan(1e-5);
        const state = await trainer.read();
        const { groups, parameters } = stateOf({ ...options, length: config.text.contextLength });
        // The first moments are the gradients.
        for (const { name, members } of groups) {
          const moment = expected[`moment1.${name}`];
          for (const member of members) {
            const found = state[`moment1.${member.name}`];
            const size = found?.data.length ?? 0;
            const data = moment?.data.subarray(member.offset, member.offset + size);
            if (!found || !data) throw new Error(`no gradient of ${member.name}`);
            const distance = relativeL2(found, { dtype: "f64", shape: found.shape, data }, 1e-7);
            expect(distance, member.name).toBeLessThan(2e-4);
          }
        }
        expect(Object.keys(state)).toEqual(expect.arrayContaining(Object.keys(parameters)));
        await trainer.close();
        await engine.close();
      });
    });
  });
}
