/** `open_clip_config.json`: what open_clip's models are, after its `CLIPVisionCfg`, `CLIPTextCfg` and `PreprocessCfg`. */
import { z } from "zod";
import type { ConfigSource } from "../checkpoint/index.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { checked } from "../json-file.ts";
import {
  type Activation,
  type ClipConfig,
  checkConfig,
  PIXEL_DEVIATION,
  PIXEL_MEAN,
  type TextConfig,
  type VisionTransformerConfig,
} from "../model/index.ts";
import { siglipTrunk } from "./timm-trunk.ts";
import type { NamedTokenizer } from "./tokenizer-choice.ts";

export interface OpenClipConfig {
  readonly config: ClipConfig;
  readonly preprocess: PreprocessConfig;
  /** Which tokenizer it asks for by name; undefined for the official vocabulary. */
  readonly tokenizer: NamedTokenizer | undefined;
  /** What was assumed, a line each. */
  readonly notes: readonly string[];
}

const count = z.int().positive();
/** A number, or two that must be equal: only squares are supported. */
const side = z.union([count, z.tuple([count, count])]);
const off = z.union([z.literal(false), z.null()]).optional();
const numbers = z.record(z.string(), z.unknown()).nullish();
/** What block types beyond the plain one switch on. */
const customBlocks = {
  block_type: z.literal("default").nullish(),
  qk_norm: off,
  scaled_cosine_attn: off,
  scale_heads: off,
  scale_attn_inner: off,
  scale_attn: off,
  scale_fc: off,
};

const visionSchema = z.strictObject({
  layers: z.union([count, z.tuple([count, count, count, count])]).default(12),
  width: count.default(768),
  head_width: count.default(64),
  mlp_ratio: z.number().positive().default(4),
  patch_size: side.nullish(),
  image_size: side.default(224),
  ls_init_value: z.null().optional(),
  patch_dropout: z.unknown().optional(), // of training
  attentional_pool: z.union([z.boolean(), z.string()]).default(false),
  attn_pooler_queries: count.default(256),
  attn_pooler_heads: count.default(8),
  no_ln_pre: z.boolean().default(false),
  pos_embed_type: z.enum(["learnable", "sin_cos_2d"]).default("learnable"), // stored either way
  final_ln_after_pool: z.boolean().default(false),
  pool_type: z.enum(["tok", "avg"]).default("tok"),
  output_tokens: z.unknown().optional(), // of training
  act_kwargs: numbers,
  norm_kwargs: numbers,
  ...customBlocks,
  timm_model_name: z.string().nullish(),
  timm_model_pretrained: z.unknown().optional(),
  timm_pool: z.string().nullish(),
  timm_proj: z.string().nullish(),
  timm_proj_bias: z.boolean().default(false),
  timm_drop: z.unknown().optional(),
  timm_drop_path: z.unknown().optional(),
});

const textSchema = z.strictObject({
  context_length: count.default(77),
  vocab_size: count.default(49408),
  hf_tokenizer_name: z.string().nullish(),
  tokenizer_mode: z.unknown().optional(),
  tokenizer_kwargs: numbers,
  width: count.default(512),
  heads: count.default(8),
  layers: count.default(12),
  mlp_ratio: z.number().positive().default(4),
  ls_init_value: z.null().optional(),
  embed_cls: off,
  pad_id: z.int().default(0),
  eos_id: z.int().default(2),
  no_causal_mask: z.boolean().default(false),
  final_ln_after_pool: z.unknown().optional(), // open_clip ignores it here
  pool_type: z.enum(["argmax", "eos", "last", "first"]).default("argmax"),
  proj_bias: z.boolean().default(false),
  proj_type: z.enum(["linear", "none"]).nullish(),
  output_tokens: z.unknown().optional(),
  act_kwargs: numbers,
  norm_kwargs: numbers,
  ...customBlocks,
  hf_model_name: z.string().nullish(),
  hf_model_pretrained: z.unknown().optional(),
  hf_proj_type: z.unknown().optional(),
  hf_pooler_type: z.unknown().optional(),
});

const schema = z.looseObject({
  model_cfg: z.strictObject({
    embed_dim: count,
    vision_cfg: visionSchema,
    text_cfg: textSchema,
    quick_gelu: z.boolean().default(false),
    custom_text: z.boolean().default(false),
    init_logit_scale: z.unknown().optional(),
    init_logit_bias: z.number().nullish(),
    nonscalar_logit_scale: z.unknown().optional(),
    output_dict: z.unknown().optional(),
    multimodal_cfg: z.null().optional(),
  }),
  preprocess_cfg: z
    .looseObject({
      size: side.nullish(),
      mode: z.literal("RGB").nullish(),
      mean: z.tuple([z.number(), z.number(), z.number()]).nullish(),
      std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).nullish(),
      interpolation: z.enum(["bicubic", "bilinear"]).nullish(),
      resize_mode: z.enum(["shortest", "squash", "longest"]).nullish(),
      fill_color: z.int().min(0).max(255).nullish(),
    })
    .nullish(),
});

type Parsed = z.infer<typeof schema>["model_cfg"];

/** What open_clip calls the fields of ours, for messages. */
const FIELDS: ConfigSource["fields"] = {
  embedDim: "model_cfg.embed_dim",
  imageSize: "model_cfg.vision_cfg.image_size",
  "vision.width": "model_cfg.vision_cfg.width",
  "vision.layers": "model_cfg.vision_cfg.layers",
  "vision.patchSize": "model_cfg.vision_cfg.patch_size",
  "text.contextLength": "model_cfg.text_cfg.context_length",
  "text.vocabSize": "model_cfg.text_cfg.vocab_size",
  "text.width": "model_cfg.text_cfg.width",
  "text.layers": "model_cfg.text_cfg.layers",
};

export const openClipSource = (file: string): ConfigSource => ({ file, fields: FIELDS });

/** @throws one line that names the file and the field which is missing, wrong or of a model that is not supported */
export function readOpenClipConfig(json: unknown, path: string): OpenClipConfig {
  const fail = (field: string, what: string): never => {
    throw new Error(`${path}: ${field}: ${what}`);
  };
  refuseOtherTowers(json, fail);
  const { model_cfg: model, preprocess_cfg: given } = checked(schema, json, path);
  const base: Activation = model.quick_gelu ? "quickGelu" : "gelu";
  const activations: Activations = { base, fail };
  const text = textTower(model, activations);
  const { vision, activation } = imageTower(model, activations);
  const config: ClipConfig = {
    embedDim: model.embed_dim,
    imageSize: square(model.vision_cfg.image_size, "model_cfg.vision_cfg.image_size", fail),
    vision,
    text,
    activation,
    ...(model.init_logit_bias != null && { logitBias: true }),
  };
  try {
    checkConfig(config);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`);
  }
  const siglip = model.vision_cfg.timm_model_name != null;
  const notes = given ? [] : ["no preprocess_cfg: open_clip's default preprocessing is assumed"];
  const half = [0.5, 0.5, 0.5] as const;
  const size = square(given?.size ?? config.imageSize, "preprocess_cfg.size", fail);
  if (size !== config.imageSize)
    fail("preprocess_cfg.size", `${size} is not the model's image size, ${config.imageSize}`);
  return {
    config,
    preprocess: {
      size,
      resize: given?.resize_mode ?? (siglip && !given ? "squash" : "shortest"),
      interpolation: given?.interpolation ?? "bicubic",
      mean: given?.mean ?? (siglip && !given ? half : PIXEL_MEAN),
      deviation: given?.std ?? (siglip && !given ? half : PIXEL_DEVIATION),
      fill: given?.fill_color ?? 0,
    },
    tokenizer: namedTokenizer(model.text_cfg, fail),
    notes,
  };
}

type Fail = (field: string, what: string) => never;

function namedTokenizer(
  { hf_tokenizer_name: name, tokenizer_kwargs }: Parsed["text_cfg"],
  fail: Fail,
): NamedTokenizer | undefined {
  const { clean, ...others } = tokenizer_kwargs ?? {};
  if (name) return { name, clean: typeof clean === "string" ? clean : undefined };
  const [other] = Object.keys(others);
  const field = other ?? (clean == null || clean === "lower" ? undefined : "clean");
  if (field !== undefined)
    fail(
      `model_cfg.text_cfg.tokenizer_kwargs.${field}`,
      `${JSON.stringify(tokenizer_kwargs?.[field])} is not supported with the official vocabulary`,
    );
  return undefined;
}

interface Activations {
  readonly base: Activation;
  readonly fail: Fail;
}

/** Said before the schema says that the fields of such a model are unknown. */
function refuseOtherTowers(json: unknown, fail: Fail): void {
  const tower = z.looseObject({ ls_init_value: z.unknown().optional() });
  const model = z.looseObject({ text_cfg: tower, vision_cfg: tower, multimodal_cfg: z.unknown().optional() });
  const { data } = z.looseObject({ model_cfg: model }).safeParse(json);
  if (data?.model_cfg.multimodal_cfg != null) fail("model_cfg.multimodal_cfg", "CoCa's decoder is not supported");
  for (const name of ["vision_cfg", "text_cfg"] as const)
    if (data?.model_cfg[name].ls_init_value != null)
      fail(`model_cfg.${name}.ls_init_value`, "layer scale is not supported");
  const name = data?.model_cfg.text_cfg.hf_model_name;
  if (typeof name === "string")
    fail("model_cfg.text_cfg.hf_model_name", `Hugging Face text towers (${name}) are not supported`);
  const timm = data?.model_cfg.vision_cfg.timm_model_name;
  if (typeof timm === "string" && !siglipTrunk(timm))
    fail("model_cfg.vision_cfg.timm_model_name", `timm image towers (${timm}) are not supported, but SigLIP's`);
}

function imageTower(
  { vision_cfg: vision, embed_dim: embedDim }: Parsed,
  activations: Activations,
): { vision: ClipConfig["vision"]; activation: Activation } {
  const { fail, base } = activations;
  const field = (name: string): string => `model_cfg.vision_cfg.${name}`;
  if (typeof vision.timm_model_name === "string") {
    const trunk = siglipTrunk(vision.timm_model_name);
    if (!trunk || vision.timm_pool !== "map" || (vision.timm_proj ?? "none") !== "none")
      return fail(
        field("timm_pool"),
        `expected "map" and timm_proj "none" as SigLIP has, got ${vision.timm_pool}, ${vision.timm_proj}`,
      );
    return { vision: trunk, activation: base };
  }
  if (Array.isArray(vision.layers)) {
    const { width, layers, head_width: size } = vision;
    return { vision: { kind: "resnet", width, layers, heads: Math.floor((width * 32) / size) }, activation: base };
  }
  if (typeof vision.attentional_pool === "string")
    return fail(field("attentional_pool"), `${JSON.stringify(vision.attentional_pool)} is not supported, true is`);
  const tower: VisionTransformerConfig = {
    kind: "vit",
    width: vision.width,
    layers: vision.layers,
    heads: Math.floor(vision.width / vision.head_width),
    patchSize: square(vision.patch_size ?? 16, field("patch_size"), fail),
    ...mlpWidth(vision),
    ...norms(vision.norm_kwargs, field("norm_kwargs"), fail),
    ...tanh(vision.act_kwargs, field("act_kwargs"), activations),
    ...(vision.no_ln_pre && { preNorm: false }),
    ...(vision.pool_type === "avg" && { pool: "average" }),
    ...(vision.final_ln_after_pool && { normAfterPool: true }),
    ...(vision.attentional_pool && {
      pool: "attentional",
      poolHeads: vision.attn_pooler_heads,
      poolQueries: vision.attn_pooler_queries,
    }),
  };
  if (vision.attentional_pool && vision.pool_type === "avg")
    return fail(field("pool_type"), `"avg" behind an attentional pooler is not supported (embed_dim ${embedDim})`);
  return { vision: tower, activation: base };
}

function textTower({ text_cfg: text }: Parsed, activations: Activations): TextConfig {
  const { fail } = activations;
  const field = (name: string): string => `model_cfg.text_cfg.${name}`;
  return {
    contextLength: text.context_length,
    vocabSize: text.vocab_size,
    width: text.width,
    layers: text.layers,
    heads: text.heads,
    ...mlpWidth(text),
    ...norms(text.norm_kwargs, field("norm_kwargs"), fail),
    ...tanh(text.act_kwargs, field("act_kwargs"), activations),
    ...(text.no_causal_mask && { causal: false }),
    ...(text.pool_type !== "argmax" && { pool: text.pool_type }),
    ...(text.pool_type === "eos" && { endOfText: text.eos_id }),
    ...(text.proj_type === "none" ? { projection: "none" } : text.proj_bias ? { projection: "linear" } : {}),
  };
}

/** As Python's `int(width * mlp_ratio)`. */
function mlpWidth({ width, mlp_ratio: ratio }: { width: number; mlp_ratio: number }): { mlpWidth?: number } {
  return ratio === 4 ? {} : { mlpWidth: Math.trunc(width * ratio) };
}

function norms(options: Record<string, unknown> | null | undefined, field: string, fail: Fail): { epsilon?: number } {
  const { eps, ...others } = options ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return fail(`${field}.${unknown}`, "is not supported");
  if (eps === undefined || eps === 1e-5) return {};
  return typeof eps === "number" && eps > 0 && eps < 1
    ? { epsilon: eps }
    : fail(`${field}.eps`, `got ${JSON.stringify(eps)}`);
}

/** `approximate` is an option of torch's GELU, which QuickGELU does not have. */
function tanh(
  options: Record<string, unknown> | null | undefined,
  field: string,
  { base, fail }: Activations,
): { activation?: Activation } {
  const { approximate = "none", ...others } = options ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return fail(`${field}.${unknown}`, "is not supported");
  if (approximate === "none") return {};
  if (approximate !== "tanh" || base === "quickGelu")
    return fail(`${field}.approximate`, `${JSON.stringify(approximate)} is not supported with ${base}`);
  return { activation: "geluTanh" };
}

function square(value: number | readonly [number, number], field: string, fail: Fail): number {
  if (typeof value === "number") return value;
  const [height, width] = value;
  return height === width ? height : fail(field, `only squares are supported, got ${height} x ${width}`);
}
