/** The text transformer (CLIP, section 2.4; GPT-2's architecture with CLIP's pooling). */
import { add, argmax, gather, iota, matmul, mul, reshape, sliceAxis, type Tensor } from "../graph/index.ts";
import type { ClipConfig, TextConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { normalised, residualAttentionBlock } from "./transformer.ts";

/**
 * Tokens i32 [batch, length] -> features [batch, embedDim]. The length may be anything up to the context: attention is
 * causal and pooling is at the end-of-text, so positions behind it change nothing.
 */
export function textTransformer(
  p: Lookup,
  tokens: Tensor,
  { heads, layers }: TextConfig,
  activation: ClipConfig["activation"],
  activations: Record<string, Tensor>,
): Tensor {
  const length = tokens.shape[1] ?? 0;
  const positions = sliceAxis(p("positional_embedding"), 0, 0, length);
  let x = add(gather(p("token_embedding.weight"), tokens), positions); // [batch, length, width]
  activations["text.embedded"] = x;
  for (let layer = 0; layer < layers; layer++) {
    x = residualAttentionBlock(under(p, `transformer.resblocks.${layer}`), x, { heads, causal: true, activation });
    activations[`text.resblocks.${layer}`] = x;
  }
  activations["text.ln_final"] = normalised(under(p, "ln_final"), x);
  const pooled = normalised(under(p, "ln_final"), atEndOfText(x, tokens)); // [batch, width]
  activations["text.pre_projection"] = pooled;
  return matmul(pooled, p("text_projection"));
}

/** The row at the first highest id, which is the end-of-text token: [batch, length, width] -> [batch, width]. */
function atEndOfText(x: Tensor, tokens: Tensor): Tensor {
  const [batch = 0, length = 0, width = 0] = x.shape;
  const row = add(mul(iota("i32", [batch], 0), length), argmax(tokens));
  return gather(reshape(x, [batch * length, width]), row);
}
