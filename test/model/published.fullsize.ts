/** The published architectures that are too large for every run of the tests, with generated weights (`test/golden/make/fullsize.py`). */
import { afterEach, describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { type HostTensor, hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import {
  bufferShapes,
  type ClipConfig,
  CONFIGS,
  encodeImage,
  encodeText,
  parameterShapes,
} from "../../src/model/index.ts";
import { bitsum, generated, generatedImages, moments } from "./generated.ts";
import { golden, goldenJson, maxOverMax } from "./goldens.ts";

interface FullSize {
  readonly images: readonly string[];
  readonly image_bitsum: readonly number[];
  readonly tokens: readonly (readonly number[])[];
  readonly parameters: number;
  /** Of all tensors together. */
  readonly bitsum: number;
  readonly blocks: readonly { readonly name: string; readonly rms: number; readonly mean: number }[];
}

const MODELS = [
  ["RN101", CONFIGS.RN101],
  ["ViT-B-16", CONFIGS["ViT-B/16"]],
  ["RN50x4", CONFIGS.RN50x4],
  ["ViT-L-14-336", CONFIGS["ViT-L/14@336px"]],
  ["RN50x16", CONFIGS.RN50x16],
  ["RN50x64", CONFIGS.RN50x64],
] as const satisfies [string, ClipConfig][];

const IMAGE = 1e-4;
const TEXT = 1e-5;

describe.each(MODELS)("%s", (file, config) => {
  afterEach(() => {
    const gigabytes = process.resourceUsage().maxRSS / 2 ** 20;
    console.log(`${file}: at most ${gigabytes.toFixed(1)} GiB of memory so far`);
  });

  it("gives the features of the official classes", async () => {
    const expected = await goldenJson<FullSize>(`fullsize/${file}.json`);
    const { get } = await golden(`fullsize/${file}.safetensors`);
    const shapes = { ...parameterShapes(config), ...bufferShapes(config) };
    let [sum, parameters] = [0, 0];
    const towers: Record<"image" | "text", Record<string, HostTensor>> = { image: {}, text: {} };
    for (const [name, shape] of Object.entries(shapes)) {
      const tensor = generated(name, shape);
      sum = (sum + bitsum(tensor.data as Float32Array)) >>> 0;
      if (!/running_(mean|var)$/.test(name)) parameters += tensor.data.length;
      if (name !== "logit_scale") towers[name.startsWith("visual.") ? "image" : "text"][name] = tensor;
    }
    expect(parameters).toBe(expected.parameters);
    expect(sum).toBe(expected.bitsum);

    const inputs: Readonly<Record<"image" | "text", HostTensors>> = {
      image: { images: generatedImages(expected.images, expected.image_bitsum, config.imageSize) },
      text: { tokens: hostTensor("i32", [expected.tokens.length, 77], expected.tokens.flat()) },
    };
    const engine = await createOnnxEngine({ threads: 2 });
    try {
      for (const tower of ["image", "text"] as const) {
        const begun = performance.now();
        const blocks = expected.blocks.filter(({ name }) => name.startsWith("text.") === (tower === "text"));
        const weights: HostTensors = towers[tower];
        const graph = trace({ ...weights, ...inputs[tower] }, (x) => {
          const { features, activations } =
            tower === "image" ? encodeImage(x, x.images as Tensor, config) : encodeText(x, x.tokens as Tensor, config);
          return {
            features,
            ...Object.fromEntries(blocks.map(({ name }) => [name, activations[name] as Tensor])),
          };
        });
        const program = await engine.compile(graph, { constants: weights });
        towers[tower] = {};
        const loaded = performance.now();
        const out: Readonly<Record<string, HostTensor>> = await program.run(inputs[tower]);
        const seconds = ((performance.now() - loaded) / 1000).toFixed(1);
        console.log(`${file}, ${tower}s: compiled in ${((loaded - begun) / 1000).toFixed(1)} s, ran in ${seconds} s`);
        await program.close();
        const result = (name: string): HostTensor => out[name] as HostTensor;
        const error = maxOverMax(result("features"), get(`f64.${tower}_features`));
        console.log(`${file}, ${tower}s: differ by ${error.toExponential(1)}`);
        expect(error).toBeLessThan(tower === "text" ? TEXT : IMAGE);
        for (const { name, rms, mean } of blocks) {
          const [ownRms, ownMean] = moments(result(name));
          expect(Math.abs(ownRms / rms - 1), name).toBeLessThan(1e-5);
          expect(Math.abs(ownMean - mean) / rms, name).toBeLessThan(1e-5);
        }
      }
    } finally {
      await engine.close();
    }
  });
});
