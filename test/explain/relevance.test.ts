/** Heat maps against PyTorch's by the same formulas, and on a model whose right answer is known. */
import { beforeAll, describe, expect, it } from "vitest";
import type { HostTensors } from "../../src/engine/engine.ts";
import { relevance } from "../../src/explain/index.ts";
import { dot, exp, hostTensor, l2Normalize, mul, reshape, type Tensor } from "../../src/graph/index.ts";
import { type ClipConfig, encodeImage, parameterShapes } from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "../model/engines.ts";
import { GOLDEN_CONFIGS, golden, goldenJson, maxOverMax } from "../model/goldens.ts";

interface Case {
  readonly model: "tiny-vit" | "tiny-rn";
  readonly pool: "tok" | "avg" | null;
  readonly pair: number;
  readonly heat: readonly number[];
}

const inner = (a: Tensor, b: Tensor): Tensor => reshape(dot(a, b, { batch: [[], []], contract: [[1], [1]] }), []);

for (const engine of engines())
  describe(`relevance on ${engine.name}`, () => {
    const compute = running(engine);
    let cases: readonly Case[];
    beforeAll(async () => {
      cases = await goldenJson<Case[]>("explain/relevance.json");
    });

    it.each(["tiny-vit", "tiny-rn"] as const)("is PyTorch's: %s", async (model) => {
      const { get, names } = await golden(`models/${model}/model_f16.safetensors`);
      const expected = (await golden(`models/${model}/expected.safetensors`)).get;
      const weights: HostTensors = Object.fromEntries(
        names
          .filter((name) => (name.startsWith("visual.") || name === "logit_scale") && !name.endsWith("_tracked"))
          .map((name) => [name, get(name)]),
      );
      const row = (name: string, i: number): HostTensors[string] => {
        const { shape, data, dtype } = expected(name);
        const size = data.length / (shape[0] ?? 1);
        return { dtype, shape: [1, ...shape.slice(1)], data: data.slice(i * size, (i + 1) * size) };
      };
      const own = cases.filter((one) => one.model === model);
      expect(own.length).toBe(model === "tiny-vit" ? 6 : 3);
      for (const { pool, pair, heat } of engine.slow ? own.filter((one) => one.pair === 0) : own) {
        const base: ClipConfig = GOLDEN_CONFIGS[model];
        const config: ClipConfig =
          base.vision.kind === "vit" && pool === "avg"
            ? { ...base, vision: { ...base.vision, pool: "average" } }
            : base;
        const text = hostTensor("f32", [1, config.embedDim], Float32Array.from(row("f64.text_features", pair).data));
        const out = await compute({ ...weights, image: row("images", pair), text }, (x) => {
          const { image, text: other, logit_scale: scale } = x as Record<string, Tensor>;
          if (!image || !other || !scale) throw new Error("inputs");
          const encoded = encodeImage(x, image, config, { wholeBlocks: true });
          return {
            heat: relevance(encoded, config, (features) =>
              mul(exp(scale), inner(l2Normalize(features), l2Normalize(other))),
            ),
          };
        });
        const grid = Math.sqrt(heat.length);
        expect(maxOverMax(out.heat, hostTensor("f32", [grid, grid], [...heat]))).toBeLessThan(1e-4);
      }
    });
  });

/** A transformer that passes on what colours patches have: attention looks everywhere alike, values are the patches' own. */
function colourModel(): { readonly config: ClipConfig; readonly weights: HostTensors } {
  const config: ClipConfig = {
    embedDim: 4,
    imageSize: 32,
    vision: { kind: "vit", width: 64, layers: 2, heads: 2, patchSize: 8 },
    text: { contextLength: 8, vocabSize: 64, width: 64, layers: 1, heads: 1 },
    activation: "quickGelu",
  };
  const weights: Record<string, HostTensors[string]> = {};
  for (const [name, shape] of Object.entries(parameterShapes(config))) {
    if (!name.startsWith("visual.")) continue;
    const [rows = 1, columns = 1] = shape;
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (/ln_\w+\.weight$/.test(name)) data.fill(1);
    if (name === "visual.conv1.weight")
      for (let colour = 0; colour < 3; colour++)
        data.fill(1 / 64, (colour * 3 + colour) * 64, (colour * 3 + colour + 1) * 64);
    if (name.endsWith("in_proj_weight")) for (let i = 0; i < columns; i++) data[(128 + i) * columns + i] = 1;
    if (name.endsWith("out_proj.weight") || name === "visual.proj")
      for (let i = 0; i < Math.min(rows, columns); i++) data[i * columns + i] = 1;
    weights[name] = { dtype: "f32", shape, data };
  }
  return { config, weights };
}

describe("a model of colours", () => {
  const compute = running(REFERENCE);
  it("finds red where red is, wherever that is, and nothing elsewhere", async () => {
    const { config, weights } = colourModel();
    for (const [red, green] of [
      [5, 6],
      [0, 15],
      [14, 3],
    ] as const) {
      const pixels = new Float32Array(3 * 32 * 32);
      const paint = (channel: number, patch: number): void => {
        for (let i = 0; i < 64; i++) {
          const [y, x] = [Math.floor(patch / 4) * 8 + (i >> 3), (patch % 4) * 8 + (i & 7)];
          pixels[(channel * 32 + y) * 32 + x] = 1;
        }
      };
      paint(0, red);
      paint(1, green);
      const direction = hostTensor("f32", [1, 4], [1, 0, 0, 0]);
      const image = hostTensor("f32", [1, 3, 32, 32], pixels);
      const { heat } = await compute({ ...weights, image, direction }, (x) => {
        const { image: seen, direction: wanted } = x as Record<string, Tensor>;
        if (!seen || !wanted) throw new Error("inputs");
        return {
          heat: relevance(encodeImage(x, seen, config, { wholeBlocks: true }), config, (f) =>
            inner(l2Normalize(f), wanted),
          ),
        };
      });
      const values = [...heat.data];
      expect(values[red]).toBeGreaterThan(0.01);
      for (const [patch, value] of values.entries())
        if (patch !== red) expect(value).toBeLessThan((values[red] ?? 0) / 10);
    }
  });
});
