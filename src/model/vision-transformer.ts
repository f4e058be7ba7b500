/** The vision transformer (CLIP, section 2.4; Dosovitskiy et al. 2021 with an extra layer norm before the blocks). */
import {
  add,
  broadcastTo,
  concat,
  constant,
  gather,
  iota,
  linear,
  mul,
  reduceMean,
  reshape,
  slice,
  sliceAxis,
  type Tensor,
  transpose,
} from "../graph/index.ts";
import type { WholeVision } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { attentionalPooler, mapHead } from "./pooling.ts";
import { normalised, pooledAttentionBlock, project, residualAttentionBlock } from "./transformer.ts";

export interface VisionOptions {
  /** Computes the last block for all tokens. @default false */
  readonly wholeBlocks?: boolean;
  /** i32 [batch, kept]: the patches of each image that are seen. @default all */
  readonly patches?: Tensor;
}

/** Images [batch, 3, size, size] -> features [batch, embedDim]; every intermediate result goes into `activations`. */
export function visionTransformer(
  p: Lookup,
  images: Tensor,
  vision: WholeVision,
  activations: Record<string, Tensor>,
  { wholeBlocks = false, patches: seen }: VisionOptions = {},
): Tensor {
  const { layers, classToken, preNorm, projection } = vision;
  const patches = embedPatches(p, images, vision, seen); // [batch, patches, width]
  const [batch = 0, , width = 0] = patches.shape;
  const tokens = classToken ? concat([broadcastTo(p("class_embedding"), [batch, 1, width]), patches], 1) : patches;
  const embedded = add(tokens, positions(p("positional_embedding"), classToken, seen)); // [batch, 1 + patches, width]
  Object.assign(activations, { "visual.conv1": patches, "visual.embedded": embedded });
  let x = embedded;
  if (preNorm) {
    x = normalised(under(p, "ln_pre"), embedded, vision);
    activations["visual.ln_pre"] = x;
  }
  const config = { ...vision, causal: false };
  const block = (layer: number): Lookup => under(p, `transformer.resblocks.${layer}`);
  const last = layers - 1;
  for (let layer = 0; layer < last; layer++) {
    x = residualAttentionBlock(block(layer), x, config);
    activations[`visual.resblocks.${layer}`] = x;
  }
  // Costs nothing where nobody reads it: of a graph only what outputs need is computed.
  const whole = residualAttentionBlock(block(last), x, config);
  activations[`visual.resblocks.${last}`] = whole;
  // Of the last block only the class token is used, if that is what counts.
  const pooledToken = (): Tensor =>
    wholeBlocks ? firstToken(whole) : pooledAttentionBlock(block(last), x, firstToken, config);
  const pooled =
    vision.pool === "class" ? normalised(under(p, "ln_post"), pooledToken(), vision) : pooledTokens(p, whole, vision);
  activations["visual.pre_projection"] = pooled; // [batch, width]
  return project(p, "proj", pooled, projection);
}

/** [batch, tokens, width] -> [batch, width]. */
function firstToken(x: Tensor): Tensor {
  const [batch = 0, , width = 0] = x.shape;
  return reshape(sliceAxis(x, 1, 0, 1), [batch, width]);
}

/** One vector for all tokens [batch, tokens, width], with the last layer norm before or behind the pooling. */
function pooledTokens(p: Lookup, tokens: Tensor, vision: WholeVision): Tensor {
  const { pool, classToken, normAfterPool, poolHeads } = vision;
  const [head, post] = [under(p, "attn_pool"), under(p, "ln_post")];
  if (pool === "attentional") return normalised(post, attentionalPooler(head, tokens, poolHeads), vision);
  const x = normAfterPool ? tokens : normalised(post, tokens, vision);
  // The class token is no patch.
  const pooled =
    pool === "map" ? mapHead(head, x, vision) : reduceMean(classToken ? sliceAxis(x, 1, 1, x.shape[1] ?? 0) : x, [1]);
  return normAfterPool ? normalised(post, pooled, vision) : pooled;
}

/** The positions of the tokens: of all, or of the class token and those of each image's patches that are seen. */
function positions(table: Tensor, classToken: boolean, seen: Tensor | undefined): Tensor {
  if (!seen) return table;
  const [batch = 0] = seen.shape;
  const rows = classToken ? concat([constant(0, "i32", [batch, 1]), add(seen, 1)], 1) : seen;
  return gather(table, rows); // [batch, tokens, width]
}

/** The patch convolution's stride is its window, so it is a matrix product over flattened patches: faster everywhere. */
function embedPatches(
  p: Lookup,
  images: Tensor,
  { patchSize, patchBias, grid }: WholeVision,
  wanted: Tensor | undefined,
): Tensor {
  const [batch = 0, channels = 0] = images.shape;
  const kernel = p("conv1.weight");
  const side = grid * patchSize;
  const seen = side === images.shape[2] ? images : slice(images, [0, 0, 0, 0], [batch, channels, side, side]);
  const tiles = reshape(seen, [batch, channels, grid, patchSize, grid, patchSize]);
  const all = reshape(transpose(tiles, [0, 2, 4, 1, 3, 5]), [batch, grid * grid, channels * patchSize ** 2]);
  const flat = wanted ? rowsOfEach(all, wanted) : all;
  const matrix = reshape(kernel, [kernel.shape[0] ?? 0, channels * patchSize ** 2]);
  return linear(flat, matrix, patchBias ? p("conv1.bias") : undefined);
}

/** x [batch, rows, width] by i32 [batch, kept] -> [batch, kept, width]. */
function rowsOfEach(x: Tensor, wanted: Tensor): Tensor {
  const [batch = 0, rows = 0, width = 0] = x.shape;
  return gather(reshape(x, [batch * rows, width]), add(wanted, mul(iota("i32", [batch, 1], 0), rows)));
}
