/** The vision transformer (CLIP, section 2.4; Dosovitskiy et al. 2021 with an extra layer norm before the blocks). */
import {
  add,
  broadcastTo,
  concat,
  linear,
  matmul,
  reshape,
  sliceAxis,
  type Tensor,
  transpose,
} from "../graph/index.ts";
import type { ClipConfig, VisionTransformerConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { normalised, pooledAttentionBlock, residualAttentionBlock } from "./transformer.ts";

/** Images [batch, 3, size, size] -> features [batch, embedDim]; every intermediate result goes into `activations`. */
export function visionTransformer(
  p: Lookup,
  images: Tensor,
  { heads, layers, patchSize }: VisionTransformerConfig,
  activation: ClipConfig["activation"],
  activations: Record<string, Tensor>,
): Tensor {
  const patches = embedPatches(p("conv1.weight"), images, patchSize); // [batch, patches, width]
  const [batch = 0, , width = 0] = patches.shape;
  const classToken = broadcastTo(p("class_embedding"), [batch, 1, width]);
  const embedded = add(concat([classToken, patches], 1), p("positional_embedding")); // [batch, 1 + patches, width]
  const config = { heads, causal: false, activation };
  const block = (layer: number): Lookup => under(p, `transformer.resblocks.${layer}`);
  const last = layers - 1;
  let x = normalised(under(p, "ln_pre"), embedded);
  Object.assign(activations, { "visual.conv1": patches, "visual.embedded": embedded, "visual.ln_pre": x });
  for (let layer = 0; layer < last; layer++) {
    x = residualAttentionBlock(block(layer), x, config);
    activations[`visual.resblocks.${layer}`] = x;
  }
  activations[`visual.resblocks.${last}`] = residualAttentionBlock(block(last), x, config);
  // Of the last block only the class token is used.
  const pooled = normalised(under(p, "ln_post"), pooledAttentionBlock(block(last), x, firstToken, config));
  activations["visual.pre_projection"] = pooled; // [batch, width]
  return matmul(pooled, p("proj")); // [batch, embedDim]
}

/** [batch, tokens, width] -> [batch, width]. */
function firstToken(x: Tensor): Tensor {
  const [batch = 0, , width = 0] = x.shape;
  return reshape(sliceAxis(x, 1, 0, 1), [batch, width]);
}

/** The patch convolution's stride is its window, so it is a matrix product over flattened patches: faster everywhere. */
function embedPatches(kernel: Tensor, images: Tensor, patch: number): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = images.shape;
  const [rows, columns] = [height / patch, width / patch];
  const tiles = reshape(images, [batch, channels, rows, patch, columns, patch]);
  const flat = reshape(transpose(tiles, [0, 2, 4, 1, 3, 5]), [batch, rows * columns, channels * patch * patch]);
  return linear(flat, reshape(kernel, [kernel.shape[0] ?? 0, channels * patch * patch]));
}
