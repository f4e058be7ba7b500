/** Hugging Face's files about a model: `readHuggingFaceConfig` and `readHuggingFacePreprocess` in the other direction. */
import type { NamingKind } from "../checkpoint/index.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { type Activation, type ClipConfig, type WholeText, wholeText, wholeVision } from "../model/index.ts";
import { readHuggingFaceConfig } from "../pretrained/hugging-face-config.ts";
import { readHuggingFacePreprocess } from "../pretrained/hugging-face-preprocess.ts";
import { sameModel } from "./same-model.ts";

export interface HuggingFaceTarget {
  readonly kind: "clip" | "siglip";
  readonly naming: NamingKind;
  /** Contents of JSON files by name. */
  readonly files: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const ACTIVATIONS = {
  quickGelu: "quick_gelu",
  gelu: "gelu",
  geluTanh: "gelu_pytorch_tanh",
} as const satisfies Record<Activation, string>;

/** @throws one line that names what transformers has no field for */
export function huggingFaceTarget(
  config: ClipConfig,
  preprocess: PreprocessConfig,
  dtype: "F32" | "F16",
): HuggingFaceTarget {
  const { vision, embedDim, imageSize } = config;
  if (vision.kind === "resnet") throw new Error("Hugging Face has no such model: its CLIPModel has no ResNets");
  const text = wholeText(config);
  const image = wholeVision(vision, config);
  const kind = image.pool === "map" ? "siglip" : "clip";
  const tower = ({ width, mlpWidth, layers, heads, activation, epsilon }: Pick<WholeText, Common>) => ({
    hidden_size: width,
    intermediate_size: mlpWidth,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    hidden_act: ACTIVATIONS[activation],
    layer_norm_eps: epsilon,
    attention_dropout: 0,
  });
  const json = {
    architectures: [kind === "clip" ? "CLIPModel" : "SiglipModel"],
    model_type: kind,
    ...(kind === "clip" && { projection_dim: embedDim, logit_scale_init_value: 2.6592 }),
    text_config: {
      ...tower(text),
      model_type: kind === "clip" ? "clip_text_model" : "siglip_text_model",
      vocab_size: text.vocabSize,
      max_position_embeddings: text.contextLength,
      ...(kind === "clip"
        ? marks(text, embedDim)
        : { projection_size: embedDim, bos_token_id: null, eos_token_id: 1, pad_token_id: 1 }),
    },
    vision_config: {
      ...tower(image),
      model_type: kind === "clip" ? "clip_vision_model" : "siglip_vision_model",
      image_size: imageSize,
      patch_size: image.patchSize,
      num_channels: 3,
      ...(kind === "clip" && { projection_dim: embedDim }),
    },
    torch_dtype: dtype === "F16" ? "float16" : "float32",
  };
  const difference = sameModel(config, readHuggingFaceConfig(json, "config.json").config);
  if (difference) throw new Error(`Hugging Face has no such model: ${difference}`);
  const processor = preprocessor(preprocess, kind);
  const read = readHuggingFacePreprocess(processor, "preprocessor_config.json", kind, imageSize);
  if (JSON.stringify({ ...read, fill: 0 }, sorted(read)) !== JSON.stringify({ ...preprocess, fill: 0 }, sorted(read)))
    throw new Error(
      `Hugging Face has no such preprocessing: ${JSON.stringify(preprocess)}, only ${JSON.stringify(read)} can be said`,
    );
  return {
    kind,
    naming: kind === "clip" ? "huggingFaceClip" : "huggingFaceSiglip",
    files: { "config.json": json, "preprocessor_config.json": processor },
  };
}

type Common = "width" | "mlpWidth" | "layers" | "heads" | "activation" | "epsilon";
const sorted = (value: object): string[] => Object.keys(value).sort();

/** The ids of the marks; the text is pooled at the first end-of-text, which is the highest id. */
function marks({ vocabSize, pool, endOfText }: WholeText, embedDim: number): Record<string, unknown> {
  const end = pool === "eos" ? endOfText : vocabSize - 1;
  return { projection_dim: embedDim, bos_token_id: vocabSize - 2, eos_token_id: end, pad_token_id: end };
}

function preprocessor(preprocess: PreprocessConfig, kind: "clip" | "siglip"): Record<string, unknown> {
  const { size, resize, interpolation, mean, deviation } = preprocess;
  if (resize === "longest") throw new Error("Hugging Face has no such preprocessing: resizing by the longer side");
  const square = { height: size, width: size };
  return {
    image_processor_type: kind === "clip" ? "CLIPImageProcessor" : "SiglipImageProcessor",
    do_convert_rgb: true,
    do_resize: true,
    size: resize === "shortest" ? { shortest_edge: size } : square,
    resample: interpolation === "bicubic" ? 3 : 2,
    ...(resize === "shortest" ? { do_center_crop: true, crop_size: square } : { do_center_crop: false }),
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: deviation,
  };
}
