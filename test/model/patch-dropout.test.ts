/** Patch dropout against open_clip's and timm's own (`test/golden/make/patch_dropout.py`). */
import { describe, expect, it } from "vitest";
import { gradients, type HostTensor, hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import {
  type ClipConfig,
  CONFIGS,
  contrastiveLoss,
  encodeImage,
  encodeText,
  parameterShapes,
  sigmoidLoss,
} from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "./engines.ts";
import { golden, goldenJson, inPrecision, maxOverMax } from "./goldens.ts";

interface Dropped {
  readonly patches: readonly (readonly number[])[];
  readonly imageFeatures: readonly (readonly number[])[];
  readonly loss: number;
  /** Norm of each gradient, and its product with cos(0), cos(1), ... */
  readonly gradients: Readonly<Record<string, readonly [norm: number, along: number]>>;
}

const RUNS = [
  { engine: REFERENCE, dtype: "f64" as const, tolerance: 1e-12 },
  ...engines().map((engine) => ({ engine, dtype: "f32" as const, tolerance: 1e-5 })),
];

// With a class token and without one.
describe.each(["open-clip-wide", "siglip-open-clip"])("patch dropout of %s", (name) => {
  for (const { engine, dtype, tolerance } of RUNS) {
    const compute = running(engine);
    it(`gives the library's features, loss and gradients on ${engine.name} in ${dtype}`, async () => {
      const { get, names } = await golden(`variants/${name}.safetensors`);
      const { config } = await goldenJson<{ config: ClipConfig }>(`variants/${name}.json`);
      const expected = (await goldenJson<Record<string, Dropped>>("variants/patch-dropout.json"))[name] as Dropped;
      const keys = Object.keys(parameterShapes(config));
      expect(names.filter((key) => key.startsWith("weights.")).length).toBe(keys.length);
      const stored = { ...Object.fromEntries(keys.map((key) => [key, get(`weights.${key}`)])), images: get("images") };
      const floats = Object.entries(stored).map(([key, value]) => [key, inPrecision(value, dtype)] as const);
      const patches = hostTensor("i32", [expected.patches.length, 4], expected.patches.flat());
      const out = await compute({ ...Object.fromEntries(floats), tokens: get("tokens"), patches }, (x) => {
        const image = encodeImage(x, x.images as Tensor, config, { patches: x.patches as Tensor }).features;
        const text = encodeText(x, x.tokens as Tensor, config).features;
        const { loss } = x.logit_bias
          ? sigmoidLoss(image, text, x.logit_scale as Tensor, x.logit_bias)
          : contrastiveLoss(image, text, x.logit_scale as Tensor);
        const slopes = gradients(
          loss,
          keys.map((key) => x[key] as Tensor),
        );
        return { image, loss, ...Object.fromEntries(keys.map((key, i) => [`d ${key}`, slopes[i] as Tensor])) };
      });
      const features = hostTensor("f64", out.image.shape, expected.imageFeatures.flat());
      expect(maxOverMax(out.image, features)).toBeLessThan(tolerance);
      expect(Math.abs((out.loss.data[0] ?? Number.NaN) - expected.loss)).toBeLessThan(tolerance);
      expect(Object.keys(expected.gradients).sort()).toEqual([...keys].sort());
      const largest = Math.max(...Object.values(expected.gradients).map(([norm]) => norm));
      for (const [key, [norm, along]] of Object.entries(expected.gradients)) {
        const { data } = (out as Readonly<Record<string, HostTensor>>)[`d ${key}`] as HostTensor;
        let [squares, product] = [0, 0];
        for (const [i, value] of data.entries()) {
          squares += value ** 2;
          product += value * Math.cos(i);
        }
        expect(Math.abs(Math.sqrt(squares) - norm) / largest, key).toBeLessThan(tolerance);
        expect(Math.abs(product - along) / largest, key).toBeLessThan(10 * tolerance);
      }
    });
  }
});

describe("patches", () => {
  const traced = (config: ClipConfig, batch: number, patches: readonly number[], dtype: "i32" | "f32" = "i32") => {
    const shapes = Object.entries(parameterShapes(config)).map(
      ([key, shape]) => [key, { dtype: "f32", shape }] as const,
    );
    const images = { dtype: "f32", shape: [batch, 3, config.imageSize, config.imageSize] } as const;
    return trace({ ...Object.fromEntries(shapes), images, patches: { dtype, shape: patches } }, (x) => {
      const given = { patches: x.patches as Tensor, train: true };
      return { y: encodeImage(x, x.images as Tensor, config, given).features };
    });
  };
  const VIT = CONFIGS["emoji-vit"];

  it("that do not fit are refused", () => {
    expect(() => traced(VIT, 2, [2, 65])).toThrow("expected patches i32[2, 1 to 64], got i32[2,65]");
    expect(() => traced(VIT, 2, [3, 8])).toThrow("expected patches i32[2, 1 to 64], got i32[3,8]");
    expect(() => traced(VIT, 2, [16])).toThrow("got i32[16]");
    expect(() => traced(VIT, 2, [2, 8], "f32")).toThrow("got f32[2,8]");
    expect(() => traced(CONFIGS["emoji-rn"], 2, [2, 4])).toThrow("this is a ResNet");
  });

  it("are all that is computed behind the embedding", () => {
    const rows = traced(VIT, 2, [2, 16]).nodes.flatMap(({ op, shape }) => (op === "layerNorm" ? [shape[1]] : []));
    expect(new Set(rows.filter((count) => count !== VIT.vision.width))).toEqual(new Set([17]));
  });
});
