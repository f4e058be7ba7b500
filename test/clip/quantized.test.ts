/** Towers in 8 bits beside the same in float32. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import * as g from "../../src/graph/index.ts";
import { hostTensor, trace } from "../../src/graph/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";
import { createTowers, type Towers } from "../../src/towers.ts";
import { GOLDEN_CONFIGS, golden } from "../model/goldens.ts";
import { cosine, picture } from "./structured.ts";

const statistics = { mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };

let engine: Engine;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});
afterAll(() => engine.close());

describe.each(["tiny-vit", "tiny-rn"] as const)("%s in 8 bits", (name) => {
  const config = GOLDEN_CONFIGS[name];
  let floats: Towers;
  let bytes: Towers;
  beforeAll(async () => {
    const { get, names } = await golden(`models/${name}/model_f16.safetensors`);
    const weights: HostTensors = Object.fromEntries(names.map((tensor) => [tensor, get(tensor)]));
    floats = createTowers(engine, config, weights, statistics);
    bytes = createTowers(engine, config, weights, statistics, { quantize: "int8" });
  });

  it("has nearly the features of float32, and not the same", async () => {
    const size = config.imageSize;
    for (const picked of ["a", "b", "c"]) {
      const pixels = picture(picked, size);
      const [{ features: found }, { features: wanted }] = [
        await bytes.encodeImages(pixels, 1),
        await floats.encodeImages(pixels, 1),
      ];
      expect(cosine(found, wanted)).toBeGreaterThan(0.995);
      expect(found).not.toEqual(wanted);
    }
    const tokens = Int32Array.from([998, 17, 320, 5, 999]);
    const [found, wanted] = [await bytes.encodeTexts(tokens, 1, 5), await floats.encodeTexts(tokens, 1, 5)];
    expect(cosine(found, wanted)).toBeGreaterThan(0.995);
    expect(found).not.toEqual(wanted);
  });

  it("does not depend on what else is in the batch", async () => {
    const tokens = Int32Array.from([998, 17, 320, 5, 999, 998, 3, 999, 0, 0, 998, 700, 701, 999, 0]);
    const together = await bytes.encodeTexts(tokens, 3, 5);
    for (let row = 0; row < 3; row++) {
      const alone = await bytes.encodeTexts(tokens.slice(row * 5, row * 5 + 5), 1, 5);
      for (const [i, x] of alone.entries())
        expect(Math.abs(x - (together[row * config.embedDim + i] ?? Number.NaN))).toBeLessThan(1e-5);
    }
  });
});

it("a large table in 8 bits keeps each row to 1 in 127 of its largest", async () => {
  const [rows, width] = [3000, 96] as const;
  const data = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i) * (1 + (Math.floor(i / width) % 7)));
  const table = hostTensor("f32", [rows, width], data);
  const graph = trace({ table, at: { dtype: "i32", shape: [2, 3] } }, (t) => ({ y: g.gather(t.table, t.at) }));
  const program = await engine.compile(graph, { constants: { table }, quantize: "int8" });
  const at = [0, 2999, 17, 17, 500, 6];
  const { y } = await program.run({ at: hostTensor("i32", [2, 3], at) });
  expect(y?.shape).toEqual([2, 3, width]);
  let rounded = 0;
  for (const [i, row] of at.entries())
    for (let j = 0; j < width; j++) {
      const error = Math.abs((y?.data[i * width + j] ?? Number.NaN) - (data[row * width + j] ?? 0));
      expect(error).toBeLessThan((1 + (row % 7)) / 250);
      rounded = Math.max(rounded, error);
    }
  expect(rounded).toBeGreaterThan(1e-4);
});

describe("a linear layer in 8 bits", () => {
  const [rows, into, out] = [5, 128, 96] as const;
  const values = (n: number, f: (i: number) => number): Float32Array =>
    Float32Array.from({ length: n }, (_, i) => f(i));
  const weight = hostTensor(
    "f32",
    [out, into],
    values(out * into, (i) => Math.sin(i * 1.7) * 10 ** ((i / into) % 4)),
  );
  const bias = hostTensor(
    "f32",
    [out],
    values(out, (i) => i),
  );

  async function run(x: Float32Array): Promise<ArrayLike<number>> {
    const constants = { weight, bias };
    const graph = trace({ ...constants, x: { dtype: "f32", shape: [rows, into] } }, (t) => ({
      y: g.linear(t.x, t.weight, t.bias),
    }));
    const program = await engine.compile(graph, { constants, quantize: "int8" });
    const { y } = await program.run({ x: hostTensor("f32", [rows, into], x) });
    return y?.data ?? [];
  }

  it("rounds weights by channel and activations by row, to 1 in 127 of the largest", async () => {
    // Rows of very different sizes: one scale for all would leave nothing of the small ones.
    const x = values(rows * into, (i) => Math.cos(i * 0.37) * 10 ** Math.floor(i / into));
    const found = await run(x);
    for (let row = 0; row < rows; row++) {
      const line = x.subarray(row * into, (row + 1) * into);
      const a = Math.max(...line.map(Math.abs)) / 127;
      for (let column = 0; column < out; column++) {
        const w = weight.data.subarray(column * into, (column + 1) * into);
        const b = Math.max(...Array.from(w, Math.abs)) / 127;
        let sum = 0;
        for (let i = 0; i < into; i++) sum += Math.round((line[i] ?? 0) / a) * Math.round((w[i] ?? 0) / b);
        const wanted = sum * a * b + column;
        // A value halfway between two bytes may go either way.
        expect(Math.abs((found[row * out + column] ?? Number.NaN) - wanted)).toBeLessThan(
          1e-5 * Math.abs(wanted) + 130 * a * b,
        );
      }
    }
  });

  it("takes the largest values without overflow, and rows of zeros", async () => {
    const x = values(rows * into, (i) => (i < into ? 0 : i < 2 * into ? 3 : -3));
    const found = await run(x);
    for (let column = 0; column < out; column++) {
      expect(found[column]).toBe(column);
      const w = Array.from(weight.data.subarray(column * into, (column + 1) * into));
      const scale = Math.max(...w.map(Math.abs)) / 127;
      const sum = 3 * scale * w.reduce((total, x) => total + Math.round(x / scale), 0);
      expect(Math.abs((found[out + column] ?? Number.NaN) - sum - column)).toBeLessThan(3 * scale);
      expect(Math.abs((found[2 * out + column] ?? Number.NaN) + sum - column)).toBeLessThan(3 * scale);
    }
  });
});
