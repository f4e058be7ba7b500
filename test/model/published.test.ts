/** The table of published architectures against what open_clip builds (`test/golden/make/variants.py`). */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { elements } from "../../src/graph/index.ts";
import {
  type ClipConfig,
  checkConfig,
  OPEN_CLIP_CONFIGS,
  parameterShapes,
  wholeText,
  wholeVision,
} from "../../src/model/index.ts";
import { siglipTrunk } from "../../src/pretrained/timm-trunk.ts";
import { goldenJson } from "./goldens.ts";

interface Built {
  readonly parameters: number;
  /** SHA-256 of a line for each tensor, in order of their names. */
  readonly shapes: string;
  readonly heads: readonly [vision: number, text: number];
  readonly activations: readonly [vision: string, text: string];
  readonly epsilon: readonly [vision: number, text: number];
  readonly text: readonly [causal: boolean, pool: string, endOfText: number | null];
  readonly image: readonly [size: number, pool: string, normAfterPool: boolean];
}

/** open_clip calls the class token tok. */
const POOLS: Readonly<Record<string, string>> = { class: "tok", average: "avg", map: "map" };

describe.each(Object.entries<ClipConfig>(OPEN_CLIP_CONFIGS))("%s", (name, config) => {
  it("is what open_clip builds", async () => {
    checkConfig(config);
    const expected = (await goldenJson<Record<string, Built>>("variants/open_clip_configs.json"))[name];
    if (config.vision.kind !== "vit" || !expected) throw new Error(`${name} is not of open_clip's`);
    const shapes = Object.entries(parameterShapes(config));
    expect(shapes.reduce((sum, [, shape]) => sum + elements(shape), 0)).toBe(expected.parameters);
    const lines = shapes.map(([key, shape]) => `${key} [${shape}]\n`).sort();
    expect(createHash("sha256").update(lines.join("")).digest("hex")).toBe(expected.shapes);
    const [vision, text] = [wholeVision(config.vision, config), wholeText(config)];
    const got: Omit<Built, "parameters" | "shapes"> = {
      heads: [vision.heads, text.heads],
      activations: [vision.activation, text.activation],
      epsilon: [vision.epsilon, text.epsilon],
      text: [text.causal, text.pool, text.pool === "eos" ? text.endOfText : null],
      image: [config.imageSize, POOLS[vision.pool] ?? vision.pool, vision.normAfterPool],
    };
    const { parameters: _, shapes: __, ...rest } = expected;
    expect(got).toEqual(rest);
  });
});

it("SigLIP's towers go by timm's names", () => {
  const names = Object.entries<ClipConfig>(OPEN_CLIP_CONFIGS).filter(([name]) => name.includes("SigLIP"));
  expect(names.length).toBe(26);
  for (const [name, { vision, imageSize }] of names) {
    const [, size = "", patch] = /^ViT-(\w+)-(\d+)-/.exec(name) ?? [];
    const timm = { B: "base", L: "large", SO400M: "so400m", gopt: "giantopt" }[size];
    expect(siglipTrunk(`vit_${timm}_patch${patch}_siglip_${imageSize}`), name).toEqual(vision);
  }
});
