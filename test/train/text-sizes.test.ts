/** One program for texts of any sizes computes what a program made for those sizes does. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, initialise } from "../../src/model/index.ts";
import { forAnyTexts, type StatefulGraph, stateOf, stepGraph } from "../../src/train/graphs.ts";
import { initialMoments, updateScalars } from "../../src/train/optimizer.ts";
import { packTexts, ROW_BLOCK } from "../../src/train/text-packing.ts";
import { MICRO_VIT } from "./micro.ts";

const ADAM = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 };
const CONTEXT = 77;

/** Widths on both sides of what kernels over rows take as wide; batches with and without factors of two. */
const CASES = [
  { width: 32, batch: 128, lengths: [2, 12, 77] },
  { width: 128, batch: 12, lengths: [3, 20] },
  { width: 768, batch: 7, lengths: [9] },
];

let engine: Engine;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});
afterAll(() => engine.close());

it.each(CASES)("width $width, batch $batch: texts of up to $lengths tokens", async ({ width, batch, lengths }) => {
  const config: ClipConfig = {
    ...MICRO_VIT,
    text: { contextLength: CONTEXT, vocabSize: 50, width, layers: width < 768 ? 2 : 1, heads: width / 32 },
  };
  const shape = { config, adam: ADAM, batch, length: CONTEXT };
  const { groups } = stateOf(shape);
  const first = { ...initialise(config, 1), ...initialMoments(groups) };
  const stepped = async ({ graph, state: names }: StatefulGraph, inputs: readonly HostTensors[]) => {
    const program = await engine.compile(graph, { state: names });
    const results: HostTensors[] = [];
    for (const given of inputs) {
      const state = await engine.createState(first);
      const { loss } = await program.run(given, state);
      results.push({ ...(await state.read()), loss: loss as HostTensor });
      await state.close();
    }
    await program.close();
    return results;
  };
  const inputs = lengths.map((longest) => inputsOf(config, batch, longest));
  const free = await stepped(forAnyTexts(stepGraph, shape), inputs);
  for (const [i, given] of inputs.entries()) {
    const sized = { length: given.tokens?.shape[1] ?? 0, textBlocks: given.rows?.shape[1] ?? 0 };
    const [expected = {}] = await stepped(stepGraph({ ...shape, ...sized }), [given]);
    const found = free[i] ?? {};
    expect(Math.abs((found.loss?.data[0] ?? Number.NaN) - (expected.loss?.data[0] ?? 0))).toBeLessThan(1e-5);
    // The first moments are the gradients.
    for (const [name, { data }] of Object.entries(expected)) {
      if (!name.startsWith("moment1.")) continue;
      const others = found[name]?.data ?? [];
      const [largest, difference] = [furthest(data, () => 0), furthest(data, (at) => others[at] ?? Number.NaN)];
      expect(difference, `${name} at ${sized.length} positions, ${sized.textBlocks} blocks`).toBeLessThanOrEqual(
        2e-5 * largest + 1e-9,
      );
    }
  }
});

function furthest(data: HostTensor["data"], from: (at: number) => number): number {
  let most = 0;
  for (const [at, value] of data.entries()) most = Math.max(most, Math.abs(value - from(at)));
  return most;
}

function inputsOf(config: ClipConfig, batch: number, longest: number): HostTensors {
  const { imageSize: size, text } = config;
  const images = new Uint8Array(batch * size * size * 3).map((_, i) => (i * 7 + (i >> 5) * 31) % 251);
  const tokens = new Int32Array(batch * CONTEXT);
  for (let row = 0; row < batch; row++) {
    const end = row === 0 ? longest - 1 : 1 + ((row * 13) % (longest - 1));
    for (let t = 0; t < end; t++) tokens[row * CONTEXT + t] = 1 + ((row * 17 + t * 5) % 47);
    tokens[row * CONTEXT + end] = text.vocabSize - 1;
  }
  const { rows, places, length, tokens: cut } = packTexts(tokens, batch, CONTEXT);
  const scalars = Object.entries(updateScalars(ADAM, 1e-3, 0));
  return {
    images: hostTensor("u8", [batch, size, size, 3], images),
    tokens: hostTensor("i32", [batch, length], cut),
    rows: hostTensor("i32", [1, rows.length / ROW_BLOCK, ROW_BLOCK], rows),
    places: hostTensor("i32", [batch, length], places),
    ...Object.fromEntries(scalars.map(([name, value]) => [name, hostTensor("f32", [], [value])])),
  };
}
