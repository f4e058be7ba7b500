/** Learned queries that attend over all tokens of an image: what some published models have in place of the class token. */
import { add, attention, broadcastTo, linear, reshape, sliceAxis, type Tensor } from "../graph/index.ts";
import type { WholeVision } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { activated, dense, normalised } from "./transformer.ts";

/**
 * SigLIP's head (multihead attention pooling; Zhai et al. 2022, arXiv 2106.04560, section 3.2): one query, then an MLP beside
 * a shortcut: [batch, tokens, width] -> [batch, width].
 */
export function mapHead(p: Lookup, x: Tensor, vision: WholeVision): Tensor {
  const query = dense(under(p, "q"), sliceAxis(p("latent"), 0, 0, 1)); // [1, 1, width]
  const [keys, values] = [0, 1].map((i) => linear(x, part(p("kv.weight"), i, 2), part(p("kv.bias"), i, 2)));
  const pooled = dense(under(p, "proj"), attendedOnce(query, keys as Tensor, values as Tensor, vision.heads));
  const hidden = activated(dense(under(p, "mlp.fc1"), normalised(under(p, "norm"), pooled, vision)), vision);
  return add(pooled, dense(under(p, "mlp.fc2"), hidden));
}

/** PyTorch's default: whatever epsilon a tower's layer norms have, open_clip's pooler has this. */
const POOLER = { epsilon: 1e-5 };

/**
 * The first query of open_clip's `AttentionalPooler` (CoCa; Yu et al. 2022, arXiv 2205.01917, section 3.2):
 * [batch, tokens, width] -> [batch, embedDim]. The other queries are for a decoder and change nothing here.
 */
export function attentionalPooler(p: Lookup, x: Tensor, heads: number): Tensor {
  const [width, attn] = [x.shape[2] ?? 0, under(p, "attn")];
  const embedDim = p("query").shape[1] ?? 0;
  const first = reshape(sliceAxis(p("query"), 0, 0, 1), [1, 1, embedDim]);
  // PyTorch keeps the three matrices in one where they have one shape.
  const matrix = (name: string, i: number): Tensor =>
    width === embedDim ? part(attn("in_proj_weight"), i, 3) : attn(name);
  const projected = (y: Tensor, name: string, i: number): Tensor =>
    linear(y, matrix(name, i), part(attn("in_proj_bias"), i, 3));
  const tokens = normalised(under(p, "ln_k"), x, POOLER);
  const query = projected(normalised(under(p, "ln_q"), first, POOLER), "q_proj_weight", 0);
  const mixed = attendedOnce(
    query,
    projected(tokens, "k_proj_weight", 1),
    projected(tokens, "v_proj_weight", 2),
    heads,
  );
  return dense(under(attn, "out_proj"), mixed);
}

/** One query [1, 1, width] for all: keys and values [batch, tokens, width] -> [batch, width]. */
function attendedOnce(query: Tensor, keys: Tensor, values: Tensor, heads: number): Tensor {
  const [batch = 0, , width = 0] = keys.shape;
  const mixed = attention(broadcastTo(query, [batch, 1, width]), keys, values, { heads, causal: false });
  return reshape(mixed, [batch, width]);
}

/** The i-th of n equal parts of the first axis. */
function part(stacked: Tensor, i: number, n: number): Tensor {
  const size = (stacked.shape[0] ?? 0) / n;
  return sliceAxis(stacked, 0, i * size, (i + 1) * size);
}
