import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIP } from "../../src/clip.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { evaluateFineTuning } from "../../src/eval/fine-tuning/evaluate.ts";
import { drawnPrompts, ensemble, interpolated, promptsOf, TUNING_NAMES } from "../../src/eval/fine-tuning/tunings.ts";
import { evaluateSupervised } from "../../src/eval/learning/evaluate-supervised.ts";
import { trainTowers } from "../../src/eval/learning/tower-training.ts";
import { evaluateLinearProbe } from "../../src/eval/probe/evaluate.ts";
import { hostTensor } from "../../src/graph/index.ts";
import { createTowers } from "../../src/towers.ts";
import { MICRO_RESNET, MICRO_VIT } from "../train/micro.ts";
import { COLOUR_NAMES, microClip, microContext } from "./micro-context.ts";

let engine: Engine;
let micro: Awaited<ReturnType<typeof microClip>>;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1, cache: false });
  micro = await microClip(engine);
});
afterAll(async () => {
  await micro.close();
  await engine.close();
});

describe("weights between two models", () => {
  const tensor = (...data: number[]) => hostTensor("f32", [data.length], data);
  it("are linear in the share, and the model's own where nothing was tuned", () => {
    const model = { a: tensor(1, 2), b: tensor(5) };
    const tuned = { a: tensor(3, -2) };
    expect(interpolated(model, tuned, 0)).toEqual(model);
    expect(interpolated(model, tuned, 1)).toEqual({ ...tuned, b: model.b });
    expect([...(interpolated(model, tuned, 0.25).a?.data ?? [])]).toEqual([1.5, 1]);
  });
});

describe("the prompts' classifier", () => {
  it("is the model's own", async () => {
    const { clip } = micro;
    const templates = ["a {} square", "{}", "the picture of a {} square, drawn"];
    const prompts = promptsOf(clip, COLOUR_NAMES, templates);
    const towers = createTowers(engine, clip.config, await clip.readWeights(), clip.preprocess);
    const found = await ensemble(towers.encodeTexts, prompts, clip.config.embedDim);
    const { weights } = await clip.classifier(COLOUR_NAMES, templates, "truncate");
    for (const [c, row] of weights.entries())
      for (const [i, x] of row.entries()) expect(Math.abs((found[c * row.length + i] ?? 9) - x)).toBeLessThan(1e-5);
    const drawn = drawnPrompts(prompts, 1);
    expect(new Set(Array.from({ length: 40 }, (_, step) => drawn(step))).size).toBe(3);
    expect(drawn(7)).toBe(drawn(7));
    await towers.close();
  });
});

describe("fine-tuning", () => {
  it("learns whatever is tuned; weights between begin at zero-shot and end at the tuned model", async () => {
    const options = { epochs: 8, rates: "3e-3" };
    const [result] = await evaluateFineTuning(microContext(micro.clip, micro.folder, { options }));
    const lines = result?.details?.curves?.[0]?.lines ?? [];
    expect(lines.map(({ name }) => name)).toEqual(TUNING_NAMES);
    const zeroShot = lines[0]?.points[0]?.y ?? 1;
    for (const { name, points } of lines) {
      expect(points.map(({ x }) => x)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
      expect(points[0]?.y, name).toBe(zeroShot);
      // Where random features stay, texts have little to go by.
      expect(points.at(-1)?.y, name).toBeGreaterThan(zeroShot + (name === "image locked" ? 0 : 0.2));
      expect(result?.figures.find((figure) => figure.name === `top-1, ${name}`)?.value).toBe(points.at(-1)?.y);
    }
    expect(lines[0]?.points.at(-1)?.y).toBeGreaterThan(0.8);
  });

  it("moves what it says and nothing else", async () => {
    const { clip } = micro;
    const weights = await clip.readWeights();
    const prompts = promptsOf(clip, COLOUR_NAMES, ["{}"]);
    const base = {
      ...{ engine, config: clip.config, pixels: clip.preprocess, weights, classes: 6, seed: 1 },
      labels: Int32Array.of(0, 1, 2, 3, 4, 5),
      adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      ...{ rate: 1e-3, epochs: 1, prompts: drawnPrompts(prompts, 1) },
    };
    const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 251);
    const both = await trainTowers({
      ...base,
      tuning: { kind: "texts", trainsImages: true, scale: 10 },
      pictures: async () => hostTensor("u8", [1, 16, 16, 3], pixels),
    });
    const texts = await trainTowers({
      ...base,
      tuning: { kind: "texts", trainsImages: false, scale: 10 },
      pictures: async () =>
        hostTensor(
          "f32",
          [1, 16],
          Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)),
        ),
    });
    const names = Object.keys(weights).filter((name) => name !== "logit_scale");
    expect(Object.keys(both).sort()).toEqual([...names].sort());
    expect(Object.keys(texts).sort()).toEqual(names.filter((name) => !name.startsWith("visual.")).sort());
    const moved = (name: string, data: ArrayLike<number>): number =>
      Math.max(...Array.from(data, (x, i) => Math.abs(x - (weights[name]?.data[i] ?? 9))));
    for (const [name, { data }] of Object.entries(both)) expect(moved(name, data), name).toBeGreaterThan(5e-4);
  });

  it("refuses rates and ways that there are not", async () => {
    const having = (options: Record<string, string>) =>
      evaluateFineTuning(microContext(micro.clip, micro.folder, { options }));
    await expect(having({ rates: "1e-3,fast" })).rejects.toThrow(
      "--rates: expected numbers above 0 with commas between, got fast",
    );
    await expect(having({ methods: "all" })).rejects.toThrow("--methods: expected some of end to end,text locked");
    await expect(having({ epochs: "0" })).rejects.toThrow("--epochs: expected a whole number above 0, got 0");
  });
});

describe.each([
  ["a transformer", MICRO_VIT, "1e-9,5e-3", 0.9],
  ["a ResNet", MICRO_RESNET, "5e-3", 0.6],
] as const)("the supervised baseline: %s", (_, model, rates, least) => {
  it("tells colours apart, and its tower can be kept and probed", async () => {
    const own = await microClip(engine, model);
    const path = join(own.folder, "supervised.safetensors");
    const options = { epochs: 10, rates, save: path };
    const [result] = await evaluateSupervised(microContext(own.clip, own.folder, { options }));
    expect(result?.settings).toMatchObject({ rate: 5e-3, trainingPictures: 120 });
    expect(result?.figures[0]?.value).toBeGreaterThan(least);
    const kept = await CLIP.load(path, { engine, tokenizer: own.clip.tokenizer, warn: () => {} });
    const [before, after] = [await own.clip.readWeights(), await kept.readWeights()];
    expect(after["visual.conv1.weight"]?.data).not.toEqual(before["visual.conv1.weight"]?.data);
    const [probe] = await evaluateLinearProbe(microContext(kept, own.folder));
    expect(probe?.figures[0]?.value).toBeGreaterThan(least);
    await kept.close();
    await own.close();
  });
});
