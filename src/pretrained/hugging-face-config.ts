/** `config.json` of Hugging Face's `CLIPModel` and `SiglipModel`, after transformers' `CLIPConfig` and `SiglipConfig`. */
import { z } from "zod";
import type { ConfigSource } from "../checkpoint/index.ts";
import { checked } from "../json-file.ts";
import { type Activation, type ClipConfig, checkConfig, SIGLIP_VISION, type TextConfig } from "../model/index.ts";

const count = z.int().positive();
/** Names of transformers' table of activations. */
const ACTIVATIONS = {
  quick_gelu: "quickGelu",
  gelu: "gelu",
  gelu_python: "gelu",
  gelu_pytorch_tanh: "geluTanh",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
} as const satisfies Record<string, Activation>;

/** What a configuration does not say is transformers' default, which differs between the two kinds. */
function towers(d: Defaults) {
  const tower = {
    hidden_size: count.default(d.text.width),
    intermediate_size: count.default(d.text.mlp),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(d.text.heads),
    hidden_act: z.string().default(d.activation),
    layer_norm_eps: z.number().positive().lt(1).default(d.epsilon),
  };
  return z.looseObject({
    projection_dim: count.default(512),
    text_config: z
      .looseObject({
        ...tower,
        vocab_size: count.default(d.vocabulary),
        max_position_embeddings: count.default(d.context),
        eos_token_id: z.union([z.int(), z.array(z.int()).length(1)]).nullish(),
        projection_size: count.nullish(),
      })
      .prefault({}),
    vision_config: z
      .looseObject({
        ...tower,
        hidden_size: count.default(768),
        intermediate_size: count.default(3072),
        num_attention_heads: count.default(12),
        image_size: z.union([count, z.tuple([count, count])]).default(224),
        patch_size: z.union([count, z.tuple([count, count])]).default(d.patch),
        num_channels: z.literal(3).default(3),
        vision_use_head: z.literal(true).default(true),
      })
      .prefault({}),
  });
}

interface Defaults {
  readonly text: { readonly width: number; readonly mlp: number; readonly heads: number };
  readonly vocabulary: number;
  readonly context: number;
  readonly patch: number;
  readonly activation: keyof typeof ACTIVATIONS;
  readonly epsilon: number;
}

const SCHEMAS = {
  clip: towers({
    text: { width: 512, mlp: 2048, heads: 8 },
    vocabulary: 49408,
    context: 77,
    patch: 32,
    activation: "quick_gelu",
    epsilon: 1e-5,
  }),
  siglip: towers({
    text: { width: 768, mlp: 3072, heads: 12 },
    vocabulary: 32000,
    context: 64,
    patch: 16,
    activation: "gelu_pytorch_tanh",
    epsilon: 1e-6,
  }),
} as const;

export type HuggingFaceKind = keyof typeof SCHEMAS;
type Parsed = z.infer<(typeof SCHEMAS)[HuggingFaceKind]>;

export interface HuggingFaceConfig {
  readonly kind: HuggingFaceKind;
  readonly config: ClipConfig;
}

const FIELDS: ConfigSource["fields"] = {
  embedDim: "projection_dim",
  imageSize: "vision_config.image_size",
  "vision.width": "vision_config.hidden_size",
  "vision.layers": "vision_config.num_hidden_layers",
  "vision.patchSize": "vision_config.patch_size",
  "text.contextLength": "text_config.max_position_embeddings",
  "text.vocabSize": "text_config.vocab_size",
  "text.width": "text_config.hidden_size",
  "text.layers": "text_config.num_hidden_layers",
};

export const huggingFaceSource = (file: string): ConfigSource => ({ file, fields: FIELDS });

/** @throws one line that names the file and the field which is wrong or of a model that is not supported */
export function readHuggingFaceConfig(json: unknown, path: string): HuggingFaceConfig {
  const head = checked(
    z.looseObject({ model_type: z.string(), architectures: z.array(z.string()).nullish() }),
    json,
    path,
  );
  const kind = head.model_type;
  if (kind !== "clip" && kind !== "siglip")
    throw new Error(`${path}: model_type: ${JSON.stringify(kind)} is not supported, "clip" and "siglip" are`);
  const whole = kind === "clip" ? "CLIPModel" : "SiglipModel";
  const [architecture = whole] = head.architectures ?? [];
  if (architecture !== whole)
    throw new Error(`${path}: architectures: ${JSON.stringify(architecture)} is not supported, ${whole} is`);
  const parsed = checked(SCHEMAS[kind], withOldFields(json, kind), path);
  const fail = (field: string, what: string): never => {
    throw new Error(`${path}: ${field}: ${what}`);
  };
  const config = kind === "clip" ? clip(parsed, fail) : siglip(parsed, fail);
  try {
    checkConfig(config);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`);
  }
  return { kind, config };
}

/** CLIP's configurations of before hold a second copy of each tower's, which replaces the first: what it leaves out is the default, too. */
function withOldFields(json: unknown, kind: HuggingFaceKind): unknown {
  const object = z.looseObject({});
  const { data } = object
    .extend({
      text_config: object.nullish(),
      text_config_dict: object.nullish(),
      vision_config: object.nullish(),
      vision_config_dict: object.nullish(),
    })
    .safeParse(json);
  if (!data) return json;
  return {
    ...data,
    text_config: (kind === "clip" ? data.text_config_dict : undefined) ?? data.text_config ?? {},
    vision_config: (kind === "clip" ? data.vision_config_dict : undefined) ?? data.vision_config ?? {},
  };
}

type Fail = (field: string, what: string) => never;

function clip(parsed: Parsed, fail: Fail): ClipConfig {
  const { text_config: text, projection_dim: embedDim } = parsed;
  const { activation, ...towers } = both(parsed, 1e-5, fail);
  const end = endOfText(text, fail);
  return { ...towers, embedDim, activation, text: { ...towers.text, ...end } };
}

function siglip(parsed: Parsed, fail: Fail): ClipConfig {
  const { text_config: text, vision_config: vision } = parsed;
  const { activation, ...towers } = both(parsed, 1e-5, fail);
  const embedDim = text.projection_size ?? text.hidden_size;
  if (vision.hidden_size !== embedDim)
    fail("text_config.projection_size", `${embedDim} is not vision_config.hidden_size (${vision.hidden_size})`);
  return {
    ...towers,
    embedDim,
    vision: {
      ...towers.vision,
      ...SIGLIP_VISION,
    },
    text: { ...towers.text, causal: false, pool: "last", projection: "linear" },
    activation,
    logitBias: true,
  };
}

/** What both kinds say of both towers; fields that are the defaults of ours are left out. */
function both({ text_config: text, vision_config: vision }: Parsed, epsilon: number, fail: Fail) {
  const activation = activationOf(text.hidden_act, "text_config.hidden_act", fail);
  const ofVision = activationOf(vision.hidden_act, "vision_config.hidden_act", fail);
  const tower = (t: Parsed["text_config"] | Parsed["vision_config"]) => ({
    width: t.hidden_size,
    layers: t.num_hidden_layers,
    heads: t.num_attention_heads,
    ...(t.intermediate_size !== 4 * t.hidden_size && { mlpWidth: t.intermediate_size }),
    ...(t.layer_norm_eps !== epsilon && { epsilon: t.layer_norm_eps }),
  });
  return {
    activation,
    imageSize: square(vision.image_size, "vision_config.image_size", fail),
    vision: {
      kind: "vit" as const,
      ...tower(vision),
      patchSize: square(vision.patch_size, "vision_config.patch_size", fail),
      ...(ofVision !== activation && { activation: ofVision }),
    },
    text: { ...tower(text), contextLength: text.max_position_embeddings, vocabSize: text.vocab_size },
  };
}

/**
 * Where texts are pooled: a configuration from before transformers 4.31 says 2, whatever the end-of-text is, and means the highest id; others mean
 * the first `eos_token_id`, which is the same if that is the highest id.
 */
function endOfText({ eos_token_id: given, vocab_size: size }: Parsed["text_config"], fail: Fail): Partial<TextConfig> {
  const id = (Array.isArray(given) ? given[0] : given) ?? 49407;
  if (id === 2 || id === size - 1) return {};
  if (id < 0 || id >= size) return fail("text_config.eos_token_id", `expected an id below ${size}, got ${id}`);
  return { pool: "eos", endOfText: id };
}

function activationOf(name: string, field: string, fail: Fail): Activation {
  const known = Object.entries(ACTIVATIONS).find(([key]) => key === name)?.[1];
  return known ?? fail(field, `${JSON.stringify(name)} is not supported, ${Object.keys(ACTIVATIONS).join(", ")} are`);
}

function square(value: number | readonly [number, number], field: string, fail: Fail): number {
  if (typeof value === "number") return value;
  const [height, width] = value;
  return height === width ? height : fail(field, `only squares are supported, got ${height} x ${width}`);
}
