/** The text transformer (CLIP, section 2.4; GPT-2's architecture with CLIP's pooling). */
import {
  add,
  argmax,
  compare,
  div,
  gather,
  iota,
  matmul,
  mul,
  reshape,
  sliceAxis,
  sub,
  type Tensor,
} from "../graph/index.ts";
import type { ClipConfig, TextConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { normalised, type Packing, pooledAttentionBlock, residualAttentionBlock } from "./transformer.ts";

/**
 * Tokens i32 [batch, length] -> features [batch, embedDim]. The length may be anything up to the context: attention is
 * causal and pooling is at the end-of-text, so positions behind it change nothing. With a packing only the rows that it keeps are
 * computed.
 */
export function textTransformer(
  p: Lookup,
  tokens: Tensor,
  { heads, layers }: TextConfig,
  activation: ClipConfig["activation"],
  activations: Record<string, Tensor>,
  packing?: Packing,
): Tensor {
  const [batch = 0, length = 0] = tokens.shape;
  const config = { heads, causal: true, activation, packing };
  const block = (layer: number): Lookup => under(p, `transformer.resblocks.${layer}`);
  const last = layers - 1;
  let x = embedded(p, tokens, packing); // [batch, length, width] or [kept, width]
  activations["text.embedded"] = x;
  for (let layer = 0; layer < last; layer++) {
    x = residualAttentionBlock(block(layer), x, config);
    activations[`text.resblocks.${layer}`] = x;
  }
  const whole = residualAttentionBlock(block(last), x, config);
  Object.assign(activations, {
    [`text.resblocks.${last}`]: whole,
    "text.ln_final": normalised(under(p, "ln_final"), whole),
  });
  // Of the last block only the end-of-text token is used: the first one with the highest id.
  const end = argmax(tokens); // i32 [batch]
  const upToEnd = compare(iota("i32", [batch, length], 1), "le", reshape(end, [batch, 1]));
  const atEnd = (y: Tensor): Tensor => tokenAt(end, y, tokens, packing);
  const pooled = normalised(under(p, "ln_final"), pooledAttentionBlock(block(last), x, atEnd, config, upToEnd));
  activations["text.pre_projection"] = pooled; // [batch, width]
  return matmul(pooled, p("text_projection"));
}

function embedded(p: Lookup, tokens: Tensor, packing: Packing | undefined): Tensor {
  const [, length = 0] = tokens.shape;
  const [table, positions] = [p("token_embedding.weight"), p("positional_embedding")];
  if (!packing) return add(gather(table, tokens), sliceAxis(positions, 0, 0, length));
  const { rows } = packing;
  const column = sub(rows, mul(div(rows, length), length));
  return add(gather(table, gather(reshape(tokens, [-1]), rows)), gather(positions, column));
}

/** One token of each text: x [batch, length, width] or [kept, width] at position i32 [batch] -> [batch, width]. */
function tokenAt(position: Tensor, x: Tensor, tokens: Tensor, packing: Packing | undefined): Tensor {
  const [batch = 0, length = 0] = tokens.shape;
  const flat = add(mul(iota("i32", [batch], 0), length), position);
  return packing ? gather(x, gather(packing.places, flat)) : gather(reshape(x, [batch * length, -1]), flat);
}
