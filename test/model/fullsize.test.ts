/** Published architectures at full size: names and shapes of all tensors, and features with generated weights. */
import { describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { type HostTensor, hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import {
  bufferShapes,
  type ClipConfig,
  CONFIGS,
  encodeImage,
  encodeText,
  parameterShapes,
  similarityLogits,
} from "../../src/model/index.ts";
import { engines } from "./engines.ts";
import { bitsum, generated, generatedImages, moments, seedOf, uniform } from "./generated.ts";
import { golden, goldenJson, maxOverMax } from "./goldens.ts";

interface FullSize {
  readonly images: readonly string[];
  readonly image_bitsum: readonly number[];
  readonly tokens: readonly (readonly number[])[];
  readonly parameters: number;
  readonly tensors: readonly (readonly [
    name: string,
    shape: readonly number[],
    seed: number,
    bitsum: number,
    first: readonly number[],
  ])[];
  readonly blocks: readonly { readonly name: string; readonly rms: number; readonly mean: number }[];
}

const MODELS = [
  ["RN50", CONFIGS.RN50],
  ["ViT-B-32", CONFIGS["ViT-B/32"]],
  ["ViT-L-14", CONFIGS["ViT-L/14"]],
] as const satisfies [string, ClipConfig][];

/** Gigabytes of weights and a minute of computing: `npm run test:fullsize`. */
const LARGE = process.env.CLIP_TS_LARGE === "1";

it("the generator gives the numbers of its test vectors", async () => {
  const { test_vectors } = await goldenJson<{
    test_vectors: { name: string; seed: number; u: number[]; u_at_49407: number }[];
  }>("fullsize/generator.json");
  for (const { name, seed, u, u_at_49407 } of test_vectors) {
    expect(seedOf(name)).toBe(seed);
    const values = uniform(name, 49408);
    expect([...values.subarray(0, u.length)]).toEqual(u);
    expect(values[49407]).toBe(u_at_49407);
  }
});

describe.each(MODELS)("%s", (file, config) => {
  const shapes = { ...parameterShapes(config), ...bufferShapes(config) };

  it("has exactly the official tensors", async () => {
    const { tensors, parameters } = await goldenJson<FullSize>(`fullsize/${file}.json`);
    expect(Object.fromEntries(tensors)).toEqual(shapes);
    const count = Object.values(parameterShapes(config)).reduce((n, s) => n + s.reduce((a, b) => a * b, 1), 0);
    expect(count).toBe(parameters);
  });

  // The reference engine's plain loops would take an hour for one picture.
  for (const engine of engines().filter(({ slow }) => !slow))
    it.runIf(LARGE || file !== "ViT-L-14")(
      `gives the official features on ${engine.name}`,
      async () => {
        const expected = await goldenJson<FullSize>(`fullsize/${file}.json`);
        const { get } = await golden(`fullsize/${file}.safetensors`);
        const weights = generateAll(expected);
        const inputs: HostTensors = {
          images: generatedImages(expected.images, expected.image_bitsum, config.imageSize),
          tokens: hostTensor("i32", [expected.tokens.length, 77], expected.tokens.flat()),
        };
        const blocks = expected.blocks.map(({ name }) => official(name));
        const graph = trace({ ...weights, ...inputs }, (x) => {
          const image = encodeImage(x, x.images as Tensor, config);
          const text = encodeText(x, x.tokens as Tensor, config);
          const all: Record<string, Tensor> = { ...image.activations, ...text.activations };
          return {
            image: image.features,
            text: text.features,
            logits: similarityLogits(image.features, text.features, x.logit_scale as Tensor),
            ...Object.fromEntries(blocks.map((name) => [name, all[name] as Tensor])),
          };
        });
        const alive = await engine.create();
        try {
          const program = await alive.compile(graph, { constants: weights });
          const out = (await program.run(inputs)) as Readonly<Record<string, HostTensor>>;
          const result = (name: string): HostTensor => out[name] as HostTensor;
          expect(maxOverMax(result("image"), get("f64.image_features"))).toBeLessThan(1e-4);
          expect(maxOverMax(result("text"), get("f64.text_features"))).toBeLessThan(1e-5);
          const wanted = get("f64.logits_per_image").data;
          for (const [i, logit] of result("logits").data.entries())
            expect(Math.abs(logit - (wanted[i] ?? Number.NaN))).toBeLessThan(1e-4);
          for (const { name, rms, mean } of expected.blocks) {
            const [ownRms, ownMean] = moments(result(official(name)));
            expect(Math.abs(ownRms / rms - 1), name).toBeLessThan(1e-5);
            expect(Math.abs(ownMean - mean) / rms, name).toBeLessThan(1e-5);
          }
        } finally {
          await alive.close();
        }
      },
      600_000,
    );
});

/** The golden files call the pooled class token behind its layer norm by the layer's name. */
const official = (block: string): string => (block === "visual.ln_post" ? "visual.pre_projection" : block);

/** All weights, each compared with what the official run had. */
function generateAll({ tensors }: FullSize): Record<string, HostTensor> {
  return Object.fromEntries(
    tensors.map(([name, shape, , sum]) => {
      const tensor = generated(name, shape);
      if (bitsum(tensor.data as Float32Array) !== sum) throw new Error(`${name} is not what was generated before`);
      return [name, tensor];
    }),
  );
}
