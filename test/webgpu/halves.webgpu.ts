/** Products in float16 beside float32's, where the device has it; where it has not, how that is said. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import * as g from "../../src/graph/index.ts";
import { type HostTensor, hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import { initialise } from "../../src/model/index.ts";
import { createTowers } from "../../src/towers.ts";
import { cosine } from "../clip/structured.ts";
import { uniform } from "../graph/random.ts";
import { MODELS } from "./models.ts";

const NO_HALVES = "onnx: float16 was asked for, and this device's shaders have none (shader-f16)";

const x: HostTensor = hostTensor("f32", [2, 3], [1, 2, 3, 4, 5, 6]);
const negated = trace({ x }, (inputs) => ({ y: g.neg(inputs.x) }));

/** Whether the device has float16. */
async function hasHalves(): Promise<boolean> {
  const engine = await createOnnxEngine({ executionProvider: "webgpu" });
  try {
    await engine.compile(negated, { precision: "float16" });
    return true;
  } catch (error) {
    if (error instanceof Error && error.message === NO_HALVES) return false;
    throw error;
  } finally {
    await engine.close();
  }
}

const HALVES = await hasHalves();
if (!HALVES) console.warn("This device has no float16 (shader-f16): only that it says so is tested.");

const real = (...shape: number[]): g.TensorType => ({ dtype: "f32", shape });

interface Case {
  readonly inputs: Readonly<Record<string, g.TensorType>>;
  /** Those that are baked in. */
  readonly baked: readonly string[];
  build(inputs: Readonly<Record<string, Tensor>>): Tensor;
}

const at = (inputs: Readonly<Record<string, Tensor>>, name: string): Tensor => inputs[name] as Tensor;

const CASES: Readonly<Record<string, Case>> = {
  "a linear layer": {
    inputs: { x: real(2, 17, 64), w: real(96, 64), b: real(96) },
    baked: ["w", "b"],
    build: (t) => g.linear(at(t, "x"), at(t, "w"), at(t, "b")),
  },
  "an MLP": {
    inputs: { x: real(9, 64), w: real(128, 64), v: real(64, 128) },
    baked: ["w", "v"],
    build: (t) => g.linear(g.gelu(g.linear(at(t, "x"), at(t, "w"))), at(t, "v")),
  },
  "a product of batches": {
    inputs: { x: real(3, 10, 32), y: real(3, 12, 32) },
    baked: [],
    build: (t) => g.dot(at(t, "x"), at(t, "y"), { batch: [[0], [0]], contract: [[2], [2]] }),
  },
  attention: {
    inputs: { q: real(2, 20, 128), k: real(2, 20, 128), v: real(2, 20, 128) },
    baked: [],
    build: (t) => g.attention(at(t, "q"), at(t, "k"), at(t, "v"), { heads: 2, causal: false }),
  },
  "attention to what came before": {
    inputs: { q: real(2, 9, 64), k: real(2, 9, 64), v: real(2, 9, 64) },
    baked: [],
    build: (t) => g.attention(at(t, "q"), at(t, "k"), at(t, "v"), { heads: 1, causal: true }),
  },
  "a table": {
    inputs: { t: real(40, 32), i: { dtype: "i32", shape: [2, 5] } },
    baked: ["t"],
    build: (t) => g.gather(at(t, "t"), at(t, "i")),
  },
};

function filled({ dtype, shape }: g.TensorType, next: () => number): HostTensor {
  const count = g.elements(shape);
  return hostTensor(
    dtype,
    shape,
    Array.from({ length: count }, () => (dtype === "i32" ? Math.floor(next() * 40) : 2 * next() - 1)),
  );
}

/** Largest difference, of the largest magnitude. */
function difference(found: HostTensor | undefined, wanted: HostTensor | undefined): number {
  let [largest, apart] = [0, 0];
  for (const [i, value] of (wanted?.data ?? []).entries()) {
    largest = Math.max(largest, Math.abs(value));
    apart = Math.max(apart, Math.abs(value - (found?.data[i] ?? Number.NaN)));
  }
  return apart / largest;
}

describe("float16", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOnnxEngine({ executionProvider: "webgpu" });
  });
  afterAll(() => engine.close());

  if (!HALVES)
    it("is refused, and float32 goes on", async () => {
      await expect(engine.compile(negated, { precision: "float16" })).rejects.toThrow(NO_HALVES);
      const { y } = await (await engine.compile(negated)).run({ x });
      expect(Array.from(y?.data ?? [])).toEqual([-1, -2, -3, -4, -5, -6]);
    });

  for (const [name, { inputs, baked, build }] of Object.entries(HALVES ? CASES : {}))
    it(`has ${name} near float32's`, async () => {
      const next = uniform(7);
      const values: HostTensors = Object.fromEntries(
        Object.entries(inputs).map(([input, type]) => [input, filled(type, next)]),
      );
      const graph = trace(inputs, (tensors) => ({ y: build(tensors) }));
      const isBaked = ([input]: readonly [string, unknown]): boolean => baked.includes(input);
      const constants = Object.fromEntries(Object.entries(values).filter(isBaked));
      const given = Object.fromEntries(Object.entries(values).filter((entry) => !isBaked(entry)));
      const halves = await (await engine.compile(graph, { constants, precision: "float16" })).run(given);
      const floats = await (await engine.compile(graph, { constants })).run(given);
      expect(difference(halves.y, floats.y)).toBeLessThan(5e-3);
      expect(halves.y).not.toEqual(floats.y);
    });

  for (const [name, config] of Object.entries(HALVES ? MODELS : {}))
    it(`encodes with ${name} nearly as float32 does`, async () => {
      const weights = initialise(config, 3);
      const statistics = { mean: [0.5, 0.5, 0.5], deviation: [0.3, 0.3, 0.3] };
      const floats = createTowers(engine, config, weights, statistics);
      const halves = createTowers(engine, config, weights, statistics, { precision: "float16" });
      const next = uniform(5);
      const pixels = Uint8Array.from({ length: 2 * config.imageSize ** 2 * 3 }, () => next() * 256);
      const images = [await halves.encodeImages(pixels, 2), await floats.encodeImages(pixels, 2)] as const;
      expect(cosine(images[0].features, images[1].features)).toBeGreaterThanOrEqual(0.999);
      const tokens = Int32Array.from([94, 3, 4, 5, 95, 94, 9, 95, 0, 0]);
      const texts = [await halves.encodeTexts(tokens, 2, 5), await floats.encodeTexts(tokens, 2, 5)] as const;
      expect(cosine(...texts)).toBeGreaterThanOrEqual(0.999);
      await halves.close();
      await floats.close();
    });
});
