import { describe, expect, it } from "vitest";
import { elements, type Mesh, partsOf, pieceOf } from "../../src/graph/index.ts";
import { type ClipConfig, CONFIGS, parameterShapes, placements } from "../../src/model/index.ts";

const configs: readonly (readonly [string, ClipConfig])[] = Object.entries(CONFIGS);

describe("placements", () => {
  it.each(configs)("of %s divide on the usual meshes, with and without fsdp", (_, config) => {
    for (const mesh of [{}, { data: 8 }, { data: 4, model: 2 }, { model: 2 }] satisfies Mesh[])
      for (const fsdp of [false, true]) {
        const heads = Math.min(config.vision.heads, config.text.heads);
        if (heads % 2 !== 0) continue;
        const placed = placements(config, mesh, { fsdp });
        for (const [name, shape] of Object.entries(parameterShapes(config))) {
          const { kept, used } = placed[name] ?? {};
          for (const sharding of [kept ?? [], used ?? []])
            expect(elements(pieceOf(shape, sharding, mesh, 0).shape)).toBe(
              elements(shape) / partsOf(mesh, sharding.flat()),
            );
        }
      }
  });

  it("keep a pair of layers split between them: the first by its outputs, the second by its inputs", () => {
    const placed = placements(CONFIGS["ViT-B/32"], { data: 4, model: 2 });
    const block = "visual.transformer.resblocks.3";
    expect(placed[`${block}.mlp.c_fc.weight`]).toEqual({ kept: [["model"]], used: [["model"]] });
    expect(placed[`${block}.mlp.c_proj.weight`]).toEqual({ kept: [[], ["model"]], used: [[], ["model"]] });
    expect(placed[`${block}.attn.out_proj.weight`]).toEqual({ kept: [[], ["model"]], used: [[], ["model"]] });
    expect(placed[`${block}.attn.in_proj_weight`]).toEqual({ kept: [["model"]], used: [] });
    expect(placed[`${block}.ln_1.weight`]).toEqual({ kept: [], used: [] });
  });

  it("with fsdp leave each of 8 devices an eighth of nearly everything", () => {
    const mesh = { data: 8 };
    for (const name of ["ViT-B/32", "RN50"] as const) {
      const shapes = parameterShapes(CONFIGS[name]);
      const placed = placements(CONFIGS[name], mesh, { fsdp: true });
      let [all, held] = [0, 0];
      for (const [parameter, shape] of Object.entries(shapes)) {
        all += elements(shape);
        held += elements(pieceOf(shape, placed[parameter]?.kept ?? [], mesh, 0).shape);
        expect(placed[parameter]?.used.flat()).not.toContain("data");
      }
      expect(held / all).toBeLessThan(0.13);
    }
  });

  it("over data are on an axis that the model's does not have, where there is one", () => {
    const placed = placements(CONFIGS["ViT-B/32"], { data: 4, model: 2 }, { fsdp: true });
    expect(placed["visual.transformer.resblocks.0.mlp.c_fc.weight"]?.kept).toEqual([["model"], ["data"]]);
    expect(placed["visual.transformer.resblocks.0.mlp.c_proj.weight"]?.kept).toEqual([["data"], ["model"]]);
    expect(placed["token_embedding.weight"]?.kept).toEqual([["data"]]);
    expect(placed["visual.ln_pre.weight"]?.kept).toEqual([]);
  });

  it("are refused where heads do not divide", () => {
    expect(() => placements(CONFIGS["ViT-B/32"], { model: 8 })).toThrow(
      "mesh: model=8 does not divide the 12 heads of the vision tower",
    );
    expect(() => placements(CONFIGS["ViT-L/14"], { model: 8 })).toThrow(
      "mesh: model=8 does not divide the 12 heads of the text tower",
    );
  });
});
