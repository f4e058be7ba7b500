/** The towers with weights baked in and free sizes give what the plain graph gives, whose features the golden numbers check. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import { encodeImage, encodeText, normalizePixels, PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";
import { createTowers, type Towers } from "../../src/towers.ts";
import { GOLDEN_CONFIGS, golden } from "../model/goldens.ts";

const statistics = { mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };
const pixels = (count: number, size: number): Uint8Array =>
  Uint8Array.from({ length: count * size * size * 3 }, (_, i) => (i * 131 + (i >> 7) * 17) % 256);

describe.each(["tiny-vit", "tiny-rn", "micro"] as const)("%s", (name) => {
  let engine: Engine;
  let towers: Towers;
  const config = GOLDEN_CONFIGS[name];
  let weights: HostTensors;
  beforeAll(async () => {
    engine = await createOnnxEngine({ threads: 2 });
    const { get, names } = await golden(`models/${name}/model_f16.safetensors`);
    weights = Object.fromEntries(names.map((tensor) => [tensor, get(tensor)]));
    towers = createTowers(engine, config, weights, statistics);
  });
  afterAll(async () => {
    await towers.close();
    await engine.close();
  });

  async function plainly(
    inputs: HostTensors,
    fn: (x: Readonly<Record<string, Tensor>>) => Tensor,
  ): Promise<ArrayLike<number>> {
    const all = { ...weights, ...inputs };
    const program = await engine.compile(trace(all, (x) => ({ features: fn(x) })));
    const { features } = await program.run(all);
    await program.close();
    return features?.data ?? [];
  }

  function near(found: Float32Array, wanted: ArrayLike<number>): void {
    expect(found.length).toBe(wanted.length);
    const largest = Math.max(...Array.from(wanted, Math.abs));
    for (const [i, x] of found.entries()) expect(Math.abs(x - (wanted[i] ?? Number.NaN)) / largest).toBeLessThan(2e-6);
  }

  it("encodes any number of pictures", async () => {
    const { imageSize: size } = config;
    for (const count of [1, 2, 5]) {
      const images = hostTensor("u8", [count, size, size, 3], pixels(count, size));
      const wanted = await plainly(
        { images },
        (x) => encodeImage(x, normalizePixels(x.images as Tensor), config).features,
      );
      near((await towers.encodeImages(images.data as Uint8Array, count)).features, wanted);
    }
  });

  it("encodes any number of texts of any length", async () => {
    const { contextLength, vocabSize } = config.text;
    for (const [count, length] of [
      [1, 2],
      [3, 7],
      [2, contextLength],
    ] as const) {
      const ids = Int32Array.from({ length: count * length }, (_, i) => (i * 7) % (vocabSize - 2));
      for (let row = 0; row < count; row++) ids[row * length + Math.max(1, length - 1 - row)] = vocabSize - 1;
      const tokens = hostTensor("i32", [count, length], ids);
      const wanted = await plainly({ tokens }, (x) => encodeText(x, x.tokens as Tensor, config).features);
      near(await towers.encodeTexts(ids, count, length), wanted);
    }
  });
});

it.each([5, 6, 7, 8])(
  "a context of %i, as short as the lengths that programs are traced with",
  async (contextLength) => {
    const { get, names } = await golden("models/micro/model_f16.safetensors");
    const weights = Object.fromEntries(names.map((tensor) => [tensor, get(tensor)]));
    const { shape, data } = get("positional_embedding");
    const [longest = 0, width = 0] = shape;
    const engine = await createOnnxEngine({ threads: 1 });
    const encoded = async (length: number): Promise<Float32Array> => {
      const config = { ...GOLDEN_CONFIGS.micro, text: { ...GOLDEN_CONFIGS.micro.text, contextLength: length } };
      const positions = hostTensor("f32", [length, width], data.slice(0, length * width));
      const towers = createTowers(engine, config, { ...weights, positional_embedding: positions }, statistics);
      const tokens = new Int32Array(length);
      tokens.set([62, 5, 17, 63]);
      try {
        return await towers.encodeTexts(tokens, 1, length);
      } finally {
        await towers.close();
      }
    };
    const [short, whole] = [await encoded(contextLength), await encoded(longest)];
    await engine.close();
    for (const [i, x] of short.entries()) expect(x).toBeCloseTo(whole[i] ?? Number.NaN, 5);
  },
);
