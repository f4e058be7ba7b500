/** Every naming covers every model, in both directions. */
import { describe, expect, it } from "vitest";
import { NAMINGS, type NamingKind, namingOf, prefixOf, toOfficial, toStored } from "../../src/checkpoint/index.ts";
import { bufferShapes, CONFIGS, parameterShapes } from "../../src/model/index.ts";

const namesOf = (model: keyof typeof CONFIGS): string[] =>
  Object.keys({ ...parameterShapes(CONFIGS[model]), ...bufferShapes(CONFIGS[model]) });

describe.each<[NamingKind, keyof typeof CONFIGS]>([
  ["openai", "ViT-B/32"],
  ["openai", "RN50"],
  ["openClipCustomText", "ViT-B/32"],
  ["openClipCustomText", "RN50"],
  ["huggingFaceClip", "ViT-B/32"],
])("%s of %s", (kind, model) => {
  it("has a place for every tensor, and finds it again", () => {
    const stored = namesOf(model).map((name) => {
      const assembly = toStored(kind, name);
      if (!assembly) throw new Error(`no place for ${name}`);
      return { name, assembly };
    });
    const names = stored.flatMap(({ assembly }) => assembly.parts.map(({ name }) => name));
    const back = toOfficial(kind, names);
    expect(back.unknown).toEqual([]);
    expect([...back.tensors]).toEqual(stored.map(({ name, assembly }) => [name, assembly]));
  });

  it("is recognised, whatever stands before the names", () => {
    const names = namesOf(model).flatMap((name) => toStored(kind, name)?.parts.map(({ name }) => name) ?? []);
    expect(namingOf(names)).toBe(kind);
    expect(prefixOf(names)).toBe("");
    expect(prefixOf(names.map((name) => `module._orig_mod.${name}`))).toBe("module._orig_mod.");
  });
});

it("Hugging Face's names are the published ones", () => {
  expect(toStored("huggingFaceClip", "transformer.resblocks.11.attn.in_proj_bias")?.parts).toEqual(
    ["q", "k", "v"].map((x) => ({ name: `text_model.encoder.layers.11.self_attn.${x}_proj.bias` })),
  );
  expect(toStored("huggingFaceClip", "visual.ln_pre.bias")?.parts[0]?.name).toBe("vision_model.pre_layrnorm.bias");
  expect(toStored("huggingFaceClip", "visual.proj")).toEqual({
    parts: [{ name: "visual_projection.weight" }],
    transposed: true,
  });
});

it("names that a naming does not have are said, those that say nothing are not", () => {
  const names = [
    "vision_model.encoder.layers.01.layer_norm1.weight",
    "vision_model.encoder.layers.1.layer_norm3.weight",
    "text_model.embeddings.position_ids",
    "classifier.weight",
    "__proto__",
  ];
  expect(toOfficial("huggingFaceClip", names).unknown).toEqual([names[0], names[1], names[3], names[4]]);
  expect(toStored("huggingFaceClip", "visual.layer1.0.conv1.weight")).toBeUndefined();
  expect(Object.keys(NAMINGS)).not.toContain("__proto__");
});
