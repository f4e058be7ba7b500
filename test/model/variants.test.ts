/** Models that differ from OpenAI's, against open_clip, timm and transformers (`test/golden/make/variants.py`). */
import { describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { add, gradients, type HostTensor, type Tensor } from "../../src/graph/index.ts";
import {
  type ClipConfig,
  checkConfig,
  contrastiveLoss,
  encodeImage,
  encodeText,
  initialise,
  parameterShapes,
  shortensTexts,
  sigmoidLoss,
  similarityLogits,
} from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "./engines.ts";
import { type Golden, golden, goldenJson, inPrecision, maxOverMax } from "./goldens.ts";

const NAMES = [
  "open-clip-wide",
  "open-clip-clipa",
  "open-clip-average",
  "open-clip-attentional",
  "open-clip-attentional-same",
  "siglip-open-clip",
  "siglip-hugging-face",
] as const;

/** Ten times what the libraries' own float32 runs differ from their float64 runs. */
const FLOAT32 = 6e-6;

interface Variant {
  readonly config: ClipConfig;
  readonly loss: number;
  /** Norm of each gradient, and its product with cos(0), cos(1), ... */
  readonly gradients: Readonly<Record<string, readonly [norm: number, along: number]>>;
}

interface Loaded {
  readonly config: ClipConfig;
  readonly expected: Variant;
  readonly weights: HostTensors;
  /** The weights, images and tokens. */
  readonly inputs: HostTensors;
  readonly get: Golden;
}

async function variant(name: string): Promise<Loaded> {
  const { get, names } = await golden(`variants/${name}.safetensors`);
  const stored = names.filter((key) => key.startsWith("weights.")).map((key) => key.slice("weights.".length));
  const weights = Object.fromEntries(stored.map((key) => [key, get(`weights.${key}`)]));
  const expected = await goldenJson<Variant>(`variants/${name}.json`);
  const inputs = { ...weights, images: get("images"), tokens: get("tokens") };
  return { config: expected.config, expected, weights, inputs, get };
}

const features = (x: Readonly<Record<string, Tensor>>, config: ClipConfig) => ({
  image: encodeImage(x, x.images as Tensor, config).features,
  text: encodeText(x, x.tokens as Tensor, config).features,
});

const wide = (inputs: HostTensors): HostTensors =>
  Object.fromEntries(Object.entries(inputs).map(([key, tensor]) => [key, inPrecision(tensor, "f64")]));

describe.each(NAMES)("%s", (name) => {
  const loaded = variant(name);

  it("has exactly these tensors, and begins somewhere", async () => {
    const { config, weights } = await loaded;
    checkConfig(config);
    const shapes = Object.fromEntries(Object.entries(weights).map(([key, { shape }]) => [key, shape]));
    expect(parameterShapes(config)).toEqual(shapes);
    const drawn = initialise(config, 1);
    expect(Object.keys(drawn)).toEqual(Object.keys(parameterShapes(config)));
    for (const [key, { data }] of Object.entries(drawn)) expect([...data].every(Number.isFinite), key).toBe(true);
  });

  for (const engine of engines())
    describe(engine.name, () => {
      const compute = running(engine);
      it("gives the library's features and logits", async () => {
        const { config, inputs, get } = await loaded;
        const out = await compute(inputs, (x) => {
          const { image, text } = features(x, config);
          const logits = similarityLogits(image, text, x.logit_scale as Tensor);
          return { image, text, logits: x.logit_bias ? add(logits, x.logit_bias) : logits };
        });
        expect(maxOverMax(out.image, get("f64.image_features"))).toBeLessThan(FLOAT32);
        expect(maxOverMax(out.text, get("f64.text_features"))).toBeLessThan(FLOAT32);
        expect(maxOverMax(out.logits, get("f64.logits_per_image"))).toBeLessThan(FLOAT32);
      });
    });

  describe("in float64", () => {
    const compute = running(REFERENCE);
    it("gives the library's features, loss and gradients to the last digits", async () => {
      const { config, expected, weights, inputs, get } = await loaded;
      const out = await compute(wide(inputs), (x) => {
        const { image, text } = features(x, config);
        const scale = x.logit_scale as Tensor;
        const { loss } = x.logit_bias
          ? sigmoidLoss(image, text, scale, x.logit_bias)
          : contrastiveLoss(image, text, scale);
        const keys = Object.keys(weights);
        const slopes = gradients(
          loss,
          keys.map((key) => x[key] as Tensor),
        );
        return { image, text, loss, ...Object.fromEntries(keys.map((key, i) => [`d ${key}`, slopes[i] as Tensor])) };
      });
      expect(maxOverMax(out.image, get("f64.image_features"))).toBeLessThan(1e-12);
      expect(maxOverMax(out.text, get("f64.text_features"))).toBeLessThan(1e-12);
      expect(out.loss.data[0]).toBeCloseTo(expected.loss, 12);
      expect(Object.keys(expected.gradients).sort()).toEqual(Object.keys(weights).sort());
      const largest = Math.max(...Object.values(expected.gradients).map(([norm]) => norm));
      for (const [key, [norm, along]] of Object.entries(expected.gradients)) {
        const { data } = (out as Readonly<Record<string, HostTensor>>)[`d ${key}`] as HostTensor;
        let [squares, product] = [0, 0];
        for (const [i, value] of data.entries()) {
          squares += value ** 2;
          product += value * Math.cos(i);
        }
        expect(Math.abs(Math.sqrt(squares) - norm) / largest, key).toBeLessThan(1e-12);
        expect(Math.abs(product - along) / largest, key).toBeLessThan(1e-12);
      }
    });
  });

  it("knows whether padding counts", async () => {
    const { config } = await loaded;
    const { pool, causal } = config.text;
    expect(shortensTexts(config)).toBe(causal !== false && pool !== "last");
  });
});

describe("a text tower that pools at a token", () => {
  const compute = running(REFERENCE);
  it.each(["open-clip-wide", "open-clip-attentional-same"])("of %s needs no padding", async (name) => {
    const { config, weights, get } = await variant(name);
    const tokens = get("tokens");
    const [, context = 0] = tokens.shape;
    // Of the first text the end stands at 2.
    const short = { ...tokens, shape: [1, 3], data: tokens.data.subarray(0, 3) };
    const one = { ...tokens, shape: [1, context], data: tokens.data.subarray(0, context) };
    const out = await compute({ ...weights, one, short }, (x) => ({
      whole: encodeText(x, x.one as Tensor, config).features,
      short: encodeText(x, x.short as Tensor, config).features,
    }));
    expect(maxOverMax(out.short, out.whole)).toBeLessThan(1e-6);
  });

  it.each(["open-clip-clipa", "open-clip-attentional", "siglip-open-clip"])("but that of %s does", async (name) => {
    const { config, weights, get } = await variant(name);
    const tokens = get("tokens");
    const short = { ...tokens, shape: [1, 3], data: tokens.data.subarray(0, 3) };
    const refused = compute({ ...weights, short }, (x) => ({
      short: encodeText(x, x.short as Tensor, config).features,
    }));
    await expect(refused).rejects.toThrow("encodeText: expected tokens [batch, 9], got [1,3]");
  });
});
