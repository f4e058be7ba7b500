/** The text transformer (CLIP, section 2.4; GPT-2's architecture with CLIP's pooling). */
import {
  add,
  argmax,
  compare,
  constant,
  convert,
  div,
  gather,
  iota,
  mul,
  reduceSum,
  reshape,
  select,
  sliceAxis,
  sub,
  type Tensor,
} from "../graph/index.ts";
import type { WholeText } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import {
  normalised,
  type Packing,
  pooledAttentionBlock,
  project,
  residualAttentionBlock,
  rowsAt,
} from "./transformer.ts";

/**
 * Tokens i32 [batch, length] -> features [batch, embedDim]. Where the tower is causal and pools at a token of the text, the length may
 * be anything up to the context: positions behind that token change nothing. With a packing only the rows that it keeps are computed.
 */
export function textTransformer(
  p: Lookup,
  tokens: Tensor,
  text: WholeText,
  activations: Record<string, Tensor>,
  packing?: Packing,
): Tensor {
  const { layers, causal } = text;
  const [batch = 0, length = 0] = tokens.shape;
  const config = { ...text, packing };
  const block = (layer: number): Lookup => under(p, `transformer.resblocks.${layer}`);
  const last = layers - 1;
  let x = embedded(p, tokens, packing); // [batch, length, width], or [kept, width] with a packing
  activations["text.embedded"] = x;
  for (let layer = 0; layer < last; layer++) {
    x = residualAttentionBlock(block(layer), x, config);
    activations[`text.resblocks.${layer}`] = x;
  }
  // Costs nothing where nobody reads it: of a graph only what outputs need is computed.
  const whole = residualAttentionBlock(block(last), x, config);
  Object.assign(activations, {
    [`text.resblocks.${last}`]: whole,
    "text.ln_final": normalised(under(p, "ln_final"), whole, text),
  });
  // Of the last block only one token is used.
  const place = pooledPlace(tokens, text); // i32 [batch]
  const seen = causal ? compare(iota("i32", [batch, length], 1), "le", reshape(place, [batch, 1])) : undefined;
  const pick = (y: Tensor): Tensor => tokenAt(place, y, tokens, packing);
  const pooled = normalised(under(p, "ln_final"), pooledAttentionBlock(block(last), x, pick, config, seen), text);
  activations["text.pre_projection"] = pooled; // [batch, width]
  return project(p, "text_projection", pooled, text.projection);
}

/** Where each text's pooled token stands: i32 [batch]. Of several equal ids the first counts. */
function pooledPlace(tokens: Tensor, { pool, endOfText }: WholeText): Tensor {
  const [batch = 0, length = 0] = tokens.shape;
  switch (pool) {
    case "argmax":
      return argmax(tokens);
    case "eos":
      return argmax(convert(compare(tokens, "eq", endOfText), "i32"));
    case "last":
      return constant(length - 1, "i32", [batch]);
    case "first":
      return constant(0, "i32", [batch]);
  }
}

function embedded(p: Lookup, tokens: Tensor, packing: Packing | undefined): Tensor {
  const [, length = 0] = tokens.shape;
  const [table, positions] = [p("token_embedding.weight"), p("positional_embedding")];
  if (!packing) return add(gather(table, tokens), sliceAxis(positions, 0, 0, length));
  const { rows } = packing;
  const column = sub(rows, mul(div(rows, length), length));
  const kept = rowsAt(reshape(tokens, [...rows.shape.slice(0, -1), -1]), rows);
  return add(gather(table, kept), gather(positions, column));
}

/** One token of each text: x [batch, length, width] or packed, at position i32 [batch] -> [batch, width]. */
function tokenAt(position: Tensor, x: Tensor, tokens: Tensor, packing: Packing | undefined): Tensor {
  const [batch = 0, length = 0] = tokens.shape;
  if (packing) {
    const parts = packing.rows.shape.slice(0, -1);
    const first = mul(iota("i32", [...parts, batch / (parts[0] ?? 1)], parts.length), length);
    const at = rowsAt(packing.places, add(first, reshape(position, first.shape)));
    return reshape(rowsAt(x, at), [batch, -1]);
  }
  // Not a gather over all texts: of a batch that is split among devices, each finds its own.
  const here = compare(iota("i32", [batch, length], 1), "eq", reshape(position, [batch, 1]));
  return reduceSum(select(reshape(here, [batch, length, 1]), x, 0), [1]);
}
