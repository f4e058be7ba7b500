/**
 * Models that open_clip, transformers and torch saved, each with choices that OpenAI's do not have, give what those libraries compute
 * (`golden/make/pretrained.py`): the configuration is read as they mean it.
 */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openModel, openTensors } from "../../src/checkpoint/index.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { type HostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import { type ClipConfig, encodeImage, encodeText, resizePositions } from "../../src/model/index.ts";
import { loadPretrained } from "../../src/pretrained/index.ts";
import { golden, maxOverMax } from "../model/goldens.ts";

const FLOAT32 = 1e-5;
const place = (name: string): string => fileURLToPath(new URL(`../golden/pretrained/${name}`, import.meta.url));

let engine: Engine;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});
afterAll(() => engine.close());

interface Loaded {
  readonly config: ClipConfig;
  readonly weights: Readonly<Record<string, HostTensor>>;
}

async function expectFeatures({ config, weights }: Loaded, name: string): Promise<void> {
  const { get } = await golden("pretrained/expected.safetensors");
  const inputs = { ...weights, images: get(`${name}.images`), tokens: get(`${name}.tokens`) };
  const graph = trace(inputs, (x) => ({
    image: encodeImage(x, x.images as Tensor, config).features,
    text: encodeText(x, x.tokens as Tensor, config).features,
  }));
  const program = await engine.compile(graph);
  const { image, text } = await program.run(inputs);
  await program.close();
  expect(maxOverMax(image as HostTensor, get(`${name}.image`))).toBeLessThan(FLOAT32);
  expect(maxOverMax(text as HostTensor, get(`${name}.text`))).toBeLessThan(FLOAT32);
}

describe("open_clip", () => {
  it.each(["open-clip-average", "open-clip-attentional", "open-clip-no-projection"])("%s", async (name) => {
    const model = await loadPretrained(place(name));
    expect(model.preprocess).toEqual({
      size: model.config.imageSize,
      resize: "squash",
      interpolation: "bilinear",
      mean: [0.5, 0.4, 0.3],
      deviation: [0.3, 0.2, 0.25],
      fill: 0,
    });
    await expectFeatures(model, name);
  });

  it("SigLIP's names, over timm", async () => {
    const vision = {
      kind: "vit",
      width: 32,
      layers: 2,
      heads: 2,
      patchSize: 8,
      patchBias: true,
      classToken: false,
      preNorm: false,
      pool: "map",
      projection: "none",
      epsilon: 1e-6,
    } as const;
    const config: ClipConfig = {
      embedDim: 32,
      imageSize: 24,
      vision,
      text: {
        contextLength: 9,
        vocabSize: 60,
        width: 24,
        layers: 2,
        heads: 2,
        causal: false,
        pool: "last",
        projection: "linear",
        epsilon: 1e-6,
      },
      activation: "gelu",
      logitBias: true,
    };
    const file = await openTensors(place("open-clip-siglip/open_clip_pytorch_model.bin"));
    const model = await openModel(file, { config });
    expect(model.tensors.naming).toBe("openClipSiglip");
    await expectFeatures({ config, weights: await model.readWeights() }, "open-clip-siglip");
    await expect(openModel(file)).rejects.toThrow("SigLIP's pooling head, which needs its configuration");
    await file.close();
  });
});

describe("Hugging Face", () => {
  it.each(["hugging-face-clip", "hugging-face-clip-bin"])(
    "%s: shards, activations of each tower, an end-of-text inside the vocabulary",
    async (name) => {
      const model = await loadPretrained(place(name));
      expect(model.config.text).toMatchObject({ pool: "eos", endOfText: 51 });
      expect(model.guesses.map(({ what }) => what)).toEqual(name.endsWith("bin") ? ["preprocessing"] : []);
      await expectFeatures(model, "hugging-face-clip");
    },
  );

  it("SiglipModel", async () => {
    const model = await loadPretrained(place("hugging-face-siglip"));
    expect(model.format).toBe("Hugging Face SigLIP folder");
    expect(model.preprocess).toMatchObject({ resize: "squash", mean: [0.5, 0.5, 0.5] });
    await expectFeatures(model, "hugging-face-siglip");
  });
});

it("another image size interpolates the positions as the model's library does", async () => {
  const [small, large] = [24, 40];
  const model = await loadPretrained(place("open-clip-average"));
  const resized = await loadPretrained(place("open-clip-average"), { imageSize: large });
  expect([model.config.imageSize, resized.config.imageSize, resized.preprocess.size]).toEqual([small, large, large]);
  const name = "visual.positional_embedding";
  expect(resized.weights[name]).toEqual(resizePositions(model.weights, model.config, large).tensors[name]);
  expect(resized.weights[name]?.shape).toEqual([26, 32]);
  expect(resized.fingerprint).not.toBe(model.fingerprint);
  await expect(loadPretrained(place("open-clip-average"), { imageSize: 4 })).rejects.toThrow("patchSize");
});
