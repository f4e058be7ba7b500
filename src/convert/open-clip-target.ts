/** open_clip's configuration of a model: `readOpenClipConfig` in the other direction. */
import type { NamingKind } from "../checkpoint/index.ts";
import type { PreprocessConfig } from "../image/index.ts";
import {
  type ClipConfig,
  type VisionTransformerConfig,
  type WholeText,
  type WholeVision,
  wholeText,
  wholeVision,
} from "../model/index.ts";
import { readOpenClipConfig } from "../pretrained/open-clip-config.ts";
import { siglipTrunk } from "../pretrained/timm-trunk.ts";
import { sameModel } from "./same-model.ts";

export interface OpenClipTarget {
  readonly naming: NamingKind;
  /** Content of `open_clip_config.json`. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** @throws one line that names what open_clip has no field for */
export function openClipTarget(config: ClipConfig, preprocess: PreprocessConfig): OpenClipTarget {
  const { activation, logitBias } = config;
  const text = wholeText(config);
  const trunk = config.vision.kind === "vit" ? trunkName(config.vision, config) : undefined;
  // SigLIP's image towers are timm's, and such models have their text tower under a name of its own.
  const customText = trunk !== undefined;
  const json = {
    model_cfg: {
      embed_dim: config.embedDim,
      ...(activation === "quickGelu" && { quick_gelu: true }),
      ...(customText && { custom_text: true }),
      // The values training begins with (SigLIP, section 3); the learned ones are among the weights.
      ...(logitBias && { init_logit_scale: Math.log(10), init_logit_bias: -10 }),
      vision_cfg: trunk === undefined ? imageTower(config) : timmTower(config, trunk),
      text_cfg: textTower(text, config),
    },
    preprocess_cfg: {
      size: preprocess.size,
      mode: "RGB",
      mean: preprocess.mean,
      std: preprocess.deviation,
      interpolation: preprocess.interpolation,
      resize_mode: preprocess.resize,
      fill_color: preprocess.fill,
    },
  };
  const read = readOpenClipConfig(json, "open_clip_config.json");
  const difference = sameModel(config, read.config);
  if (difference) throw new Error(`open_clip has no such model: ${difference}`);
  return { naming: customText ? "openClipSiglip" : "openai", json };
}

/** The name that timm has for an image tower of SigLIP. */
function trunkName(vision: VisionTransformerConfig, config: ClipConfig): string | undefined {
  const fields = (tower: VisionTransformerConfig): string =>
    JSON.stringify(Object.entries(wholeVision(tower, config)).sort());
  return ["base", "large", "so400m", "giantopt"]
    .map((size) => `vit_${size}_patch${vision.patchSize}_siglip_${config.imageSize}`)
    .find((name) => {
      const trunk = siglipTrunk(name);
      return trunk !== undefined && fields(trunk) === fields(vision);
    });
}

function imageTower(config: ClipConfig): Record<string, unknown> {
  const { vision, imageSize } = config;
  if (vision.kind === "resnet")
    return {
      image_size: imageSize,
      layers: vision.layers,
      width: vision.width,
      ...(vision.heads !== vision.width / 2 && { head_width: (vision.width * 32) / vision.heads }),
      patch_size: null,
    };
  const whole = wholeVision(vision, config);
  return {
    image_size: imageSize,
    layers: whole.layers,
    width: whole.width,
    patch_size: whole.patchSize,
    ...(whole.heads * 64 !== whole.width && { head_width: whole.width / whole.heads }),
    ...(!whole.preNorm && { no_ln_pre: true }),
    ...(whole.pool === "average" && { pool_type: "avg" }),
    ...(whole.normAfterPool && whole.pool !== "attentional" && { final_ln_after_pool: true }),
    ...(whole.pool === "attentional" && {
      attentional_pool: true,
      attn_pooler_heads: whole.poolHeads,
      attn_pooler_queries: whole.poolQueries,
    }),
    ...blocks(whole),
  };
}

function timmTower({ imageSize }: ClipConfig, name: string): Record<string, unknown> {
  return {
    image_size: imageSize,
    timm_model_name: name,
    timm_model_pretrained: false,
    timm_pool: "map",
    timm_proj: "none",
  };
}

function textTower(text: WholeText, { activation }: ClipConfig): Record<string, unknown> {
  const ofOwn = text.activation !== activation || text.activation === "geluTanh";
  return {
    context_length: text.contextLength,
    vocab_size: text.vocabSize,
    width: text.width,
    heads: text.heads,
    layers: text.layers,
    ...(!text.causal && { no_causal_mask: true }),
    ...(text.pool !== "argmax" && { pool_type: text.pool }),
    ...(text.pool === "eos" && { eos_id: text.endOfText }),
    ...(text.projection === "linear" && { proj_bias: true }),
    ...(text.projection === "none" && { proj_type: "none" }),
    ...blocks({ ...text, activation: ofOwn ? text.activation : "gelu" }),
  };
}

/** What both transformers' blocks can have. */
function blocks({
  width,
  mlpWidth,
  epsilon,
  activation,
}: Pick<WholeVision, "width" | "mlpWidth" | "epsilon" | "activation">) {
  return {
    ...(mlpWidth !== 4 * width && { mlp_ratio: ratioOf(mlpWidth, width) }),
    ...(epsilon !== 1e-5 && { norm_kwargs: { eps: epsilon } }),
    ...(activation === "geluTanh" && { act_kwargs: { approximate: "tanh" } }),
  };
}

/** Python takes `int(width * ratio)`: the quotient, or the next number above where that falls short. */
function ratioOf(mlpWidth: number, width: number): number {
  const ratio = mlpWidth / width;
  return Math.trunc(width * ratio) === mlpWidth ? ratio : ratio * (1 + Number.EPSILON);
}
