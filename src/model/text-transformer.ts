/** The text transformer (CLIP, section 2.4; GPT-2's architecture with CLIP's pooling). */
import { add, argmax, div, gather, iota, matmul, mul, reshape, sliceAxis, sub, type Tensor } from "../graph/index.ts";
import type { ClipConfig, TextConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { normalised, type Packing, residualAttentionBlock } from "./transformer.ts";

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
  let x = embedded(p, tokens, packing); // [batch, length, width] or [kept, width]
  activations["text.embedded"] = x;
  for (let layer = 0; layer < layers; layer++) {
    x = residualAttentionBlock(under(p, `transformer.resblocks.${layer}`), x, {
      heads,
      causal: true,
      activation,
      packing,
    });
    activations[`text.resblocks.${layer}`] = x;
  }
  activations["text.ln_final"] = normalised(under(p, "ln_final"), x);
  const pooled = normalised(under(p, "ln_final"), atEndOfText(x, tokens, packing)); // [batch, width]
  activations["text.pre_projection"] = pooled;
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

/** The row at the first highest id, which is the end-of-text token: [batch, width]. */
function atEndOfText(x: Tensor, tokens: Tensor, packing: Packing | undefined): Tensor {
  const [batch = 0, length = 0] = tokens.shape;
  const position = add(mul(iota("i32", [batch], 0), length), argmax(tokens));
  return packing ? gather(x, gather(packing.places, position)) : gather(reshape(x, [batch * length, -1]), position);
}
