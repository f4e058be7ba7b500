/** Features, intermediate results and logits of the small models against the official code's. */
import { beforeAll, describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { type HostTensor, hostTensor, reshape, type Tensor, transpose } from "../../src/graph/index.ts";
import { type ClipConfig, encodeImage, encodeText, similarityLogits } from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "./engines.ts";
import { GOLDEN_CONFIGS, type Golden, type GoldenModel, golden, inPrecision, maxOverMax, rows } from "./goldens.ts";

/** Ten times what the official code's own float32 run differs from its float64 run. */
const FLOAT32 = 1e-5;

async function weights(file: string): Promise<HostTensors> {
  const { get, names } = await golden(file);
  return Object.fromEntries(names.filter((n) => !n.endsWith("num_batches_tracked")).map((name) => [name, get(name)]));
}

/** Activations in the layout of the golden files: the official code's is channels first, and its patches lie on a grid. */
function official(name: string, x: Tensor, { imageSize, vision }: ClipConfig): Tensor {
  if (vision.kind === "resnet" && x.shape.length === 4) return transpose(x, [0, 3, 1, 2]);
  if (vision.kind !== "vit" || name !== "visual.conv1") return x;
  const grid = imageSize / vision.patchSize;
  return reshape(transpose(x, [0, 2, 1]), [x.shape[0] ?? 0, vision.width, grid, grid]);
}

for (const model of Object.keys(GOLDEN_CONFIGS) as GoldenModel[])
  for (const engine of engines())
    describe(`${model} on ${engine.name}`, () => {
      const config = GOLDEN_CONFIGS[model];
      const count = engine.slow && model !== "micro" ? 2 : 6;
      const compute = running(engine);
      let parameters: HostTensors;
      let expected: Golden;
      beforeAll(async () => {
        parameters = await weights(`models/${model}/model_f16.safetensors`);
        expected = (await golden(`models/${model}/expected.safetensors`)).get;
      });

      it("gives the official features and logits", async () => {
        const inputs = { images: rows(expected("images"), count), tokens: rows(expected("tokens"), count) };
        const out = await compute({ ...parameters, ...inputs }, (x) => {
          const [images, texts] = [x.images, x.tokens] as [Tensor, Tensor];
          const image = encodeImage(x, images, config).features;
          const text = encodeText(x, texts, config).features;
          return { image, text, logits: similarityLogits(image, text, x.logit_scale as Tensor) };
        });
        expect(maxOverMax(out.image, rows(expected("f64.image_features"), count))).toBeLessThan(FLOAT32);
        expect(maxOverMax(out.text, rows(expected("f64.text_features"), count))).toBeLessThan(FLOAT32);
        if (count === 6) expect(maxOverMax(out.logits, expected("f64.logits_per_image"))).toBeLessThan(FLOAT32);
      });

      it("gives the official intermediate results", async () => {
        const { get, names } = await golden(`models/${model}/activations.safetensors`);
        const inputs = { images: rows(expected("images"), 2), tokens: rows(expected("tokens"), 2) };
        // Inside a bottleneck nothing is kept.
        const kept = names.filter((name) => !name.endsWith(".0.conv1"));
        const out = await compute({ ...parameters, ...inputs }, (x) => {
          const { activations: image } = encodeImage(x, x.images as Tensor, config);
          const { activations: text } = encodeText(x, x.tokens as Tensor, config);
          const all: Record<string, Tensor> = { ...image, ...text };
          return Object.fromEntries(kept.map((name) => [name, official(name, all[name] as Tensor, config)]));
        });
        for (const name of kept) expect(maxOverMax(out[name] ?? get("none"), get(name)), name).toBeLessThan(FLOAT32);
      });

      it("does not depend on padding behind the longest text", async () => {
        const tokens = rows(expected("tokens"), 1); // the empty text: start and end
        const short = { ...tokens, shape: [1, 3], data: tokens.data.subarray(0, 3) };
        const out = await compute({ ...parameters, tokens, short }, (x) => ({
          whole: encodeText(x, x.tokens as Tensor, config).features,
          short: encodeText(x, x.short as Tensor, config).features,
        }));
        expect(maxOverMax(out.short, out.whole)).toBeLessThan(1e-6);
      });
    });

describe("the reference engine in float64", () => {
  const compute = running(REFERENCE);
  for (const model of Object.keys(GOLDEN_CONFIGS) as GoldenModel[])
    it(`gives the features of ${model} to the last digits`, async () => {
      const { get } = await golden(`models/${model}/expected.safetensors`);
      const parameters = await weights(`models/${model}/model_f16.safetensors`);
      const inputs = { ...parameters, images: rows(get("images"), 1), tokens: rows(get("tokens"), 1) };
      const wide = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, inPrecision(x, "f64")]));
      const out = await compute(wide, (x) => ({
        image: encodeImage(x, x.images as Tensor, GOLDEN_CONFIGS[model]).features,
        text: encodeText(x, x.tokens as Tensor, GOLDEN_CONFIGS[model]).features,
      }));
      expect(maxOverMax(out.image, rows(get("f64.image_features"), 1))).toBeLessThan(1e-12);
      expect(maxOverMax(out.text, rows(get("f64.text_features"), 1))).toBeLessThan(1e-12);
    });
});

describe.each(engines())("the exact GELU on $name", (engine) => {
  const compute = running(engine);
  it("gives the features of open_clip's models without quick_gelu", async () => {
    const { get } = await golden("models/micro/expected.safetensors");
    const parameters = await weights("models/micro/model_f16.safetensors");
    const config = { ...GOLDEN_CONFIGS.micro, activation: "gelu" } as const;
    const out = await compute({ ...parameters, images: get("images"), tokens: get("tokens") }, (x) => ({
      image: encodeImage(x, x.images as Tensor, config).features,
      text: encodeText(x, x.tokens as Tensor, config).features,
    }));
    expect(maxOverMax(out.image, get("gelu.image_features"))).toBeLessThan(FLOAT32);
    expect(maxOverMax(out.text, get("gelu.text_features"))).toBeLessThan(FLOAT32);
    expect(maxOverMax(out.text, get("text_features"))).toBeGreaterThan(1e-3);
  });
});

describe("attention pooling of tokens that have nearly everything in common", () => {
  const [inFloat32, inFloat64] = [
    running({ name: "onnx", slow: false, create: () => createOnnxEngine({ threads: 2 }) }),
    running(REFERENCE),
  ];

  it("rounds what they differ in, not what they share", async () => {
    const { get } = await golden("models/tiny-rn/expected.safetensors");
    const parameters = await weights("models/tiny-rn/model_f16.safetensors");
    const changed = (name: string, change: (value: number, channel: number) => number): HostTensors => {
      const { shape, data } = parameters[name] as HostTensor;
      return {
        [name]: hostTensor(
          "f32",
          shape,
          Array.from(data, (value, i) => change(value, i % (shape.at(-1) ?? 1))),
        ),
      };
    };
    // Half of the channels are large and say nothing but in the scores.
    const inputs = {
      ...parameters,
      ...changed("visual.layer4.0.bn3.bias", (value, channel) => (channel < 128 ? value + 1000 : value)),
      ...changed("visual.attnpool.q_proj.weight", (value, channel) => (channel < 128 ? 0 : value)),
      ...changed("visual.attnpool.v_proj.weight", (value, channel) => (channel < 128 ? 0 : value)),
      images: rows(get("images"), 1),
    };
    const wide = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, inPrecision(x, "f64")]));
    const encode = (x: Readonly<Record<string, Tensor>>) => ({
      image: encodeImage(x, x.images as Tensor, GOLDEN_CONFIGS["tiny-rn"]).activations[
        "visual.pre_projection"
      ] as Tensor,
    });
    const [single, double] = [await inFloat32(inputs, encode), await inFloat64(wide, encode)];
    expect(maxOverMax(single.image, double.image)).toBeLessThan(2e-5);
  });
});
