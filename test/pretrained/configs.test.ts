/** Configurations that are wrong, or of models that are not supported, end in one line that names the field. */
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readHuggingFaceConfig } from "../../src/pretrained/hugging-face-config.ts";
import { readHuggingFacePreprocess } from "../../src/pretrained/hugging-face-preprocess.ts";
import { readOpenClipConfig } from "../../src/pretrained/open-clip-config.ts";

type Json = Record<string, unknown>;

const json = async (path: string): Promise<Json> =>
  JSON.parse(await readFile(new URL(`../golden/pretrained/${path}`, import.meta.url), "utf8")) as Json;
const openClip = await json("open-clip-average/open_clip_config.json");
const clip = await json("hugging-face-clip/config.json");
const siglip = await json("hugging-face-siglip/config.json");
const preprocessor = await json("hugging-face-clip/preprocessor_config.json");

/** A copy with one field changed, or dropped. */
function changed(value: Json, path: string, to: unknown): Json {
  const copy = structuredClone(value);
  const [last = "", ...above] = path.split(".").reverse();
  const inner = above.reduceRight((object, key) => object[key] as Json, copy);
  if (to === undefined) delete inner[last];
  else inner[last] = to;
  return copy;
}

const refusal = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    return (error as Error).message;
  }
  return "it was accepted";
};

describe("open_clip_config.json", () => {
  it.each<[field: string, value: unknown, message: string]>([
    ["model_cfg", undefined, "model_cfg: is missing"],
    ["model_cfg.embed_dim", "20", "model_cfg.embed_dim: expected number"],
    ["model_cfg.embed_dim", undefined, "model_cfg.embed_dim: is missing"],
    ["model_cfg.embed_dim", 0, "model_cfg.embed_dim"],
    ["model_cfg.multimodal_cfg", {}, "model_cfg.multimodal_cfg: CoCa's decoder is not supported"],
    ["model_cfg.unheard_of", 1, 'model_cfg: Unrecognized key: "unheard_of"'],
    ["model_cfg.vision_cfg.unheard_of", 1, 'model_cfg.vision_cfg: Unrecognized key: "unheard_of"'],
    ["model_cfg.vision_cfg.ls_init_value", 1e-5, "model_cfg.vision_cfg.ls_init_value: layer scale is not supported"],
    ["model_cfg.vision_cfg.qk_norm", true, "model_cfg.vision_cfg.qk_norm"],
    ["model_cfg.vision_cfg.block_type", "custom", "model_cfg.vision_cfg.block_type"],
    ["model_cfg.vision_cfg.pool_type", "none", "model_cfg.vision_cfg.pool_type"],
    [
      "model_cfg.vision_cfg.attentional_pool",
      "parallel",
      'model_cfg.vision_cfg.attentional_pool: "parallel" is not supported',
    ],
    ["model_cfg.vision_cfg.attentional_pool", true, '"avg" behind an attentional pooler is not supported'],
    [
      "model_cfg.vision_cfg.image_size",
      [24, 32],
      "model_cfg.vision_cfg.image_size: only squares are supported, got 24 x 32",
    ],
    ["model_cfg.vision_cfg.act_kwargs", { approximate: "tanh" }, '"tanh" is not supported with quickGelu'],
    [
      "model_cfg.vision_cfg.norm_kwargs",
      { elementwise_affine: false },
      "norm_kwargs.elementwise_affine: is not supported",
    ],
    ["model_cfg.vision_cfg.timm_model_name", "convnext_base", "timm image towers (convnext_base) are not supported"],
    ["model_cfg.vision_cfg.timm_model_name", "vit_base_patch16_siglip_224", 'expected "map" and timm_proj "none"'],
    ["model_cfg.vision_cfg.head_width", 40, "vision.heads"],
    [
      "model_cfg.text_cfg.hf_model_name",
      "roberta-base",
      "model_cfg.text_cfg.hf_model_name: Hugging Face text towers (roberta-base)",
    ],
    ["model_cfg.text_cfg.embed_cls", true, "model_cfg.text_cfg.embed_cls"],
    ["model_cfg.text_cfg.proj_type", "mlp", "model_cfg.text_cfg.proj_type"],
    [
      "model_cfg.text_cfg.tokenizer_kwargs",
      { clean: "whitespace" },
      'tokenizer_kwargs.clean: "whitespace" is not supported with the official vocabulary',
    ],
    [
      "model_cfg.text_cfg.tokenizer_kwargs",
      { clean: "lower", reduction_mask: "simple" },
      'tokenizer_kwargs.reduction_mask: "simple" is not supported with the official vocabulary',
    ],
    ["model_cfg.text_cfg.heads", 7, "text.heads (7) does not divide text.width (24)"],
    ["model_cfg.text_cfg.layers", 1.5, "model_cfg.text_cfg.layers"],
    ["preprocess_cfg.mean", [0.5], "preprocess_cfg.mean"],
    ["preprocess_cfg.std", [0, 1, 1], "preprocess_cfg.std.0"],
    ["preprocess_cfg.interpolation", "nearest", "preprocess_cfg.interpolation"],
    ["preprocess_cfg.resize_mode", "crop", "preprocess_cfg.resize_mode"],
    ["preprocess_cfg.size", 32, "preprocess_cfg.size: 32 is not the model's image size, 24"],
  ])("%s = %j", (field, value, message) => {
    const said = refusal(() => readOpenClipConfig(changed(openClip, field, value), "open_clip_config.json"));
    expect(said).toContain(message);
    expect(said.startsWith("open_clip_config.json: ")).toBe(true);
    expect(said).not.toContain("\n");
  });

  it("divides widths into heads as open_clip does, leaving out what is over", () => {
    const heads = (width: number): number =>
      readOpenClipConfig(changed(openClip, "model_cfg.vision_cfg.head_width", width), "x").config.vision.heads;
    expect([heads(16), heads(15), heads(20)]).toEqual([2, 2, 1]);
  });

  it("of the published SigLIP models, whose towers are known by timm's names", () => {
    const model = {
      embed_dim: 1152,
      init_logit_bias: -10,
      custom_text: true,
      vision_cfg: {
        image_size: 384,
        timm_model_name: "vit_so400m_patch14_siglip_384",
        timm_pool: "map",
        timm_proj: "none",
      },
      text_cfg: {
        context_length: 64,
        vocab_size: 32000,
        hf_tokenizer_name: "timm/ViT-B-16-SigLIP",
        tokenizer_kwargs: { clean: "canonicalize" },
        width: 1152,
        heads: 16,
        layers: 27,
        mlp_ratio: 3.7362,
        no_causal_mask: true,
        proj_bias: true,
        pool_type: "last",
        norm_kwargs: { eps: 1e-6 },
      },
    };
    const { config, preprocess } = readOpenClipConfig({ model_cfg: model }, "x");
    expect(config).toMatchObject({
      embedDim: 1152,
      vision: { width: 1152, layers: 27, heads: 16, mlpWidth: 4304, pool: "map", classToken: false },
      text: { causal: false, pool: "last", mlpWidth: 4304, epsilon: 1e-6 },
      logitBias: true,
    });
    expect(preprocess).toMatchObject({ resize: "squash", mean: [0.5, 0.5, 0.5] });
  });
});

describe("config.json of Hugging Face", () => {
  it.each<[field: string, value: unknown, message: string]>([
    ["model_type", "bert", 'model_type: "bert" is not supported'],
    ["model_type", "chinese_clip", 'model_type: "chinese_clip" is not supported'],
    ["architectures", ["CLIPTextModelWithProjection"], 'architectures: "CLIPTextModelWithProjection" is not supported'],
    ["text_config", 7, "text_config"],
    ["text_config.hidden_act", "relu", 'text_config.hidden_act: "relu" is not supported'],
    ["vision_config.hidden_act", "constructor", 'vision_config.hidden_act: "constructor" is not supported'],
    ["text_config.eos_token_id", 60, "text_config.eos_token_id: expected an id below 60, got 60"],
    ["text_config.num_attention_heads", 5, "text.heads (5) does not divide"],
    ["text_config.vocab_size", -1, "text_config.vocab_size"],
    ["vision_config.num_channels", 1, "vision_config.num_channels"],
    ["vision_config.image_size", [24, 25], "vision_config.image_size: only squares"],
  ])("%s = %j", (field, value, message) => {
    const said = refusal(() => readHuggingFaceConfig(changed(clip, field, value), "config.json"));
    expect(said).toContain(message);
    expect(said.startsWith("config.json: ")).toBe(true);
    expect(said).not.toContain("\n");
  });

  it("a SigLIP's image features are as wide as its tower", () => {
    const said = refusal(() =>
      readHuggingFaceConfig(changed(siglip, "text_config.projection_size", 40), "config.json"),
    );
    expect(said).toBe("config.json: text_config.projection_size: 40 is not vision_config.hidden_size (32)");
  });

  it("means the highest id by an end-of-text of 2, and by the last id", () => {
    const pool = (id: unknown) =>
      readHuggingFaceConfig(changed(clip, "text_config.eos_token_id", id), "x").config.text.pool;
    expect([pool(2), pool(59), pool(51)]).toEqual([undefined, undefined, "eos"]);
  });

  it("may leave out what is transformers' default, and hold older copies that count", () => {
    const bare = readHuggingFaceConfig({ model_type: "clip" }, "x").config;
    expect(bare).toMatchObject({ embedDim: 512, imageSize: 224, activation: "quickGelu" });
    expect(bare.text).toEqual({ contextLength: 77, vocabSize: 49408, width: 512, layers: 12, heads: 8 });
    // transformers fills the copy with its defaults, and then replaces all of the first one.
    const old = {
      model_type: "clip",
      text_config: { hidden_size: 512, layer_norm_eps: 1e-3 },
      text_config_dict: { hidden_size: 768, num_attention_heads: 12, intermediate_size: 3072 },
    };
    const text = readHuggingFaceConfig(old, "x").config.text;
    expect(text).toMatchObject({ width: 768 });
    expect(text).not.toHaveProperty("epsilon");
  });
});

describe("preprocessor_config.json", () => {
  it.each<[field: string, value: unknown, message: string]>([
    ["size", { shortest_edge: 32 }, "size: 32 x 32 is not the model's image size, 24"],
    ["crop_size", { height: 20, width: 20 }, "crop_size: 20 x 20 of pictures of 24 x 24 is not supported"],
    ["do_center_crop", false, "do_center_crop"],
    ["do_normalize", false, "do_normalize"],
    ["resample", 1, "resample"],
    ["rescale_factor", 1, "rescale_factor: expected 1 / 255"],
    ["image_std", [0.5, 0, 0.5], "image_std"],
  ])("%s = %j", (field, value, message) => {
    const said = refusal(() => readHuggingFacePreprocess(changed(preprocessor, field, value), "p.json", "clip", 24));
    expect(said).toContain(message);
    expect(said.startsWith("p.json: ")).toBe(true);
  });

  it("is read as it says", () => {
    expect(readHuggingFacePreprocess(preprocessor, "p.json", "clip", 24)).toEqual({
      size: 24,
      resize: "shortest",
      interpolation: "bilinear",
      mean: [0.5, 0.4, 0.3],
      deviation: [0.3, 0.2, 0.25],
      fill: 0,
    });
  });
});
