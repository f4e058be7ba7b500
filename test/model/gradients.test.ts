/** Loss, every gradient and the running statistics of one training step against the official code's. */
import { beforeAll, describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { convert, type DType, gradients, type HostTensor, type Tensor, transpose } from "../../src/graph/index.ts";
import { contrastiveLoss, encodeImage, encodeText, normalizePixels, parameterShapes } from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "./engines.ts";
import { GOLDEN_CONFIGS, type Golden, golden, inPrecision, maxOverMax, relativeL2 } from "./goldens.ts";

const RUNS = [
  // float32: ten times the official code's own distance to its float64 run, and room for another order of summing.
  ...engines().map((engine) => ({ engine, dtype: "f32" as DType, of: engine.name, tolerance: 1e-4 })),
  // The golden gradients are stored in float32.
  { engine: REFERENCE, dtype: "f64" as DType, of: "reference in float64", tolerance: 1e-6 },
];

for (const model of ["tiny-vit", "tiny-rn"] as const)
  describe.each(RUNS)(`one step of ${model} on $of`, ({ engine, dtype, tolerance }) => {
    const config = GOLDEN_CONFIGS[model];
    const names = Object.keys(parameterShapes(config));
    const compute = running(engine);
    let out: Readonly<Record<string, HostTensor>>;
    let forward: Golden;
    const result = (name: string): HostTensor => {
      const tensor = out[name];
      if (!tensor) throw new Error(`no output ${name}`);
      return tensor;
    };

    beforeAll(async () => {
      forward = (await golden(`training/${model}/forward_f64.safetensors`)).get;
      const file = await golden(`models/${model}/model_f16.safetensors`);
      const { get } = await golden(`training/${model}/batch0.safetensors`);
      const weights: HostTensors = Object.fromEntries(
        file.names
          .filter((n) => !n.endsWith("num_batches_tracked"))
          .map((name) => [name, inPrecision(file.get(name), dtype)]),
      );
      out = await compute({ ...weights, images: get("images"), tokens: trimmed(get("tokens")) }, (x) => {
        const pixels = normalizePixels(transpose(x.images as Tensor, [0, 2, 3, 1]));
        const image = encodeImage(x, convert(pixels, dtype), config, { train: true });
        const text = encodeText(x, x.tokens as Tensor, config).features;
        const { loss } = contrastiveLoss(image.features, text, x.logit_scale as Tensor);
        const found = gradients(
          loss,
          names.map((name) => x[name] as Tensor),
        );
        return {
          loss,
          image_features: image.features,
          text_features: text,
          ...image.statistics,
          ...Object.fromEntries(found.map((g, i) => [`grad.${names[i]}`, g])),
        };
      });
    });

    it("gives the official loss and features", () => {
      const small = dtype === "f64" ? 1e-12 : 1e-5;
      expect(Math.abs((result("loss").data[0] ?? 0) - (forward("loss").data[0] ?? 1))).toBeLessThan(
        dtype === "f64" ? 1e-12 : 1e-5,
      );
      expect(maxOverMax(result("image_features"), forward("image_features"))).toBeLessThan(small);
      expect(maxOverMax(result("text_features"), forward("text_features"))).toBeLessThan(small);
    });

    it("gives every official gradient", async () => {
      const { get, names: stored } = await golden(`training/${model}/gradients.safetensors.gz`);
      expect([...stored].sort()).toEqual([...names].sort());
      for (const name of names) {
        const distance = relativeL2(result(`grad.${name}`), get(name), 1e-12);
        expect(distance, name).toBeLessThan(tolerance);
      }
      if (dtype === "f64")
        for (const name of names.filter((n) => get(n).shape.length < 2))
          expect(relativeL2(result(`grad.${name}`), forward(gradName(name)), 1e-12), name).toBeLessThan(1e-10);
    });

    if (config.vision.kind !== "resnet") return;
    it("gives the official running statistics", async () => {
      const { get, names: stored } = await golden(`training/${model}/batchnorm_after_batch0.safetensors`);
      const running = stored.filter((name) => !name.endsWith("num_batches_tracked"));
      expect(running.length).toBeGreaterThan(30);
      for (const name of running) expect(maxOverMax(result(name), get(name)), name).toBeLessThan(1e-6);
    });
  });

const gradName = (name: string): string => (name === "logit_scale" ? "logit_scale_grad" : `grad.${name}`);

/** Without the columns that are padding in all rows: neither features nor gradients depend on them. */
function trimmed(tokens: HostTensor): HostTensor {
  const [rows = 0, length = 0] = tokens.shape;
  let longest = 0;
  for (const [i, id] of tokens.data.entries()) if (id !== 0) longest = Math.max(longest, (i % length) + 1);
  const data = tokens.data.filter((_, i) => i % length < longest);
  return { ...tokens, shape: [rows, longest], data };
}
