/** The two encoders, from parameters and inputs to features. */
import { show, type Tensor } from "../graph/index.ts";
import { type ClipConfig, shortensTexts, wholeText, wholeVision } from "./config.ts";
import { modifiedResNet, residualInputs } from "./modified-resnet.ts";
import { lookup, type Params } from "./parameters.ts";
import { textTransformer } from "./text-transformer.ts";
import type { Packing } from "./transformer.ts";
import { visionTransformer } from "./vision-transformer.ts";

export interface Encoded {
  /** [batch, embedDim], not normalised. */
  readonly features: Tensor;
  /**
   * Intermediate results by name; those that no output needs are never computed. `visual.pre_projection` is what linear
   * probes use (CLIP, appendix A.3).
   */
  readonly activations: Readonly<Record<string, Tensor>>;
  /** What goes into each block of the tower: all that activation checkpointing keeps of it. */
  readonly blockInputs: readonly Tensor[];
}

export interface EncodedImages extends Encoded {
  /** In train mode the new running statistics by buffer name, else empty. Vision transformers have none. */
  readonly statistics: Readonly<Record<string, Tensor>>;
}

export interface EncodeImageOptions {
  /** Batch normalisation by the batch's own statistics. @default false */
  readonly train?: boolean;
  /**
   * Computes the last block of a transformer for all tokens, with the keys, values and probabilities of its attention: the same
   * features by more work, for what looks inside. @default false
   */
  readonly wholeBlocks?: boolean;
  /**
   * Patch dropout: i32 [batch, kept], the patches of each image that are seen, of grid^2 row by row; a class token is always there.
   * Vision transformers only. @default all
   */
  readonly patches?: Tensor;
}

/**
 * Encodes images.
 * @param params all parameters and buffers of the image tower, by published name
 * @param images [batch, 3, size, size], already normalised
 * @throws if a parameter is missing or a shape does not fit
 */
export function encodeImage(
  params: Params,
  images: Tensor,
  config: ClipConfig,
  { train = false, wholeBlocks = false, patches }: EncodeImageOptions = {},
): EncodedImages {
  const { vision, imageSize } = config;
  const [, channels, height, width] = images.shape;
  if (images.shape.length !== 4 || channels !== 3 || height !== imageSize || width !== imageSize)
    throw new Error(`encodeImage: expected images [batch,3,${imageSize},${imageSize}], got [${images.shape}]`);
  if (patches) checkPatches(patches, images, config);
  const p = lookup(params, "visual.");
  const activations: Record<string, Tensor> = {};
  const statistics: Record<string, Tensor> = {};
  const features =
    vision.kind === "vit"
      ? visionTransformer(p, images, wholeVision(vision, config), activations, {
          wholeBlocks,
          ...(patches && { patches }),
        })
      : modifiedResNet(p, images, vision, { train, statistics }, activations);
  const inputs = vision.kind === "vit" ? transformerInputs("visual", vision.layers) : residualInputs(vision);
  const blockInputs = named(activations, inputs);
  return { features, statistics, activations, blockInputs };
}

function checkPatches(patches: Tensor, images: Tensor, config: ClipConfig): void {
  const { vision } = config;
  if (vision.kind !== "vit") throw new Error("encodeImage: patch dropout is for vision transformers, this is a ResNet");
  const [batch = 0, kept = 0] = patches.shape;
  const all = wholeVision(vision, config).grid ** 2;
  const fitting = patches.dtype === "i32" && patches.shape.length === 2 && batch === images.shape[0];
  if (!fitting || kept < 1 || kept > all)
    throw new Error(`encodeImage: expected patches i32[${images.shape[0]}, 1 to ${all}], got ${show(patches)}`);
}

/**
 * Encodes texts.
 * @param tokens i32 [batch, length], length at most the context, or just that where padding counts (`shortensTexts`); each row
 *   has the id that the tower pools at: officially the end-of-text, the highest id
 * @param packing what is kept of the padded positions, where only that is to be computed; changes no feature. What is kept may
 *   not stand beyond the context; the tokens may
 * @throws if a parameter is missing, the length is not the context's or a shape does not fit
 */
export function encodeText(
  params: Params,
  tokens: Tensor,
  config: ClipConfig,
  packing?: Pick<Packing, "rows" | "places">,
): Encoded {
  const [batch = 0, length = 0] = tokens.shape;
  const { contextLength } = config.text;
  const shortens = shortensTexts(config);
  const longest = packing ? length : contextLength;
  if (tokens.shape.length !== 2 || length < (shortens ? 1 : contextLength) || length > longest)
    throw new Error(
      `encodeText: expected tokens [batch, ${shortens ? "1 to " : ""}${contextLength}], got [${tokens.shape}]`,
    );
  if (packing && !shortens) throw new Error("encodeText: this text tower sees padding: it takes no packing");
  const activations: Record<string, Tensor> = {};
  const packed = packing && { ...packing, batch, length };
  const features = textTransformer(lookup(params), tokens, wholeText(config), activations, packed);
  const blockInputs = named(activations, transformerInputs("text", config.text.layers));
  return { features, activations, blockInputs };
}

const transformerInputs = (tower: string, layers: number): string[] => [
  `${tower}.embedded`,
  ...Array.from({ length: layers - 1 }, (_, layer) => `${tower}.resblocks.${layer}`),
];

function named(activations: Readonly<Record<string, Tensor>>, names: readonly string[]): Tensor[] {
  return names.map((name) => {
    const tensor = activations[name];
    if (!tensor) throw new Error(`encode: there is no activation ${name}`);
    return tensor;
  });
}
