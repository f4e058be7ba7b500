/** The transformer that both towers share: pre-norm residual attention blocks (official `ResidualAttentionBlock`). */
import {
  add,
  attention,
  gather,
  gelu,
  geluTanh,
  layerNorm,
  linear,
  matmul,
  mul,
  quickGelu,
  reshape,
  select,
  sliceAxis,
  softmax,
  type Tensor,
  transpose,
} from "../graph/index.ts";
import type { Activation, Projection } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";

const ACTIVATIONS = { quickGelu, gelu, geluTanh } as const satisfies Record<Activation, (x: Tensor) => Tensor>;

/**
 * Rows that stand for padded positions: the row-wise layers compute only what is kept, attention sees [batch, length].
 */
export interface Packing {
  readonly batch: number;
  readonly length: number;
  /** i32 [kept]: the flat position [batch * length] of each kept row. */
  readonly rows: Tensor;
  /** i32 [batch * length]: the kept row of each position. */
  readonly places: Tensor;
}

export interface BlockConfig {
  readonly heads: number;
  /** Whether a token sees only itself and those before it. */
  readonly causal: boolean;
  readonly activation: Activation;
  /** Of the layer norms. */
  readonly epsilon: number;
  /** x is [kept, width] instead of [batch, tokens, width]. */
  readonly packing?: Packing | undefined;
}

/** Gain and bias named `weight` and `bias`. */
export function normalised(p: Lookup, x: Tensor, { epsilon }: Pick<BlockConfig, "epsilon">): Tensor {
  return layerNorm(x, p("weight"), p("bias"), epsilon);
}

export function dense(p: Lookup, x: Tensor): Tensor {
  return linear(x, p("weight"), p("bias"));
}

/** Pooled tokens [batch, width] -> features [batch, embedDim]. */
export function project(p: Lookup, name: string, x: Tensor, projection: Projection): Tensor {
  if (projection === "none") return x;
  return projection === "matrix" ? matmul(x, p(name)) : dense(under(p, name), x);
}

/** x + attention(norm(x)), then x + mlp(norm(x)); x [batch, tokens, width]. */
export function residualAttentionBlock(p: Lookup, x: Tensor, config: BlockConfig): Tensor {
  const attended = add(x, selfAttention(under(p, "attn"), normalised(under(p, "ln_1"), x, config), config));
  return add(attended, mlp(under(p, "mlp"), normalised(under(p, "ln_2"), attended, config), config));
}

/**
 * The same block where one token of each text or image is all that is wanted of it: the others are keys and values only,
 * which is a sixth of the work. For the last block; the result is what `pick` would take from the whole block's.
 * @param pick the wanted tokens: [batch, tokens, width] -> [batch, width]
 * @param visible bool [batch, tokens]: what each wanted token sees; everything if it is left out
 */
export function pooledAttentionBlock(
  p: Lookup,
  x: Tensor,
  pick: (x: Tensor) => Tensor,
  config: Omit<BlockConfig, "causal">,
  visible?: Tensor,
): Tensor {
  const { heads, packing } = config;
  const attn = under(p, "attn");
  const normal = normalised(under(p, "ln_1"), x, config);
  const query = projected(attn, pick(normal), QUERY); // [batch, width]
  const [keys, values] = [KEY, VALUE].map((which) => laidOut(projected(attn, normal, which), packing)) as [
    Tensor,
    Tensor,
  ];
  const mixed = attendOnce(query, keys, values, heads, visible); // [batch, width]
  const attended = add(pick(x), dense(under(attn, "out_proj"), mixed));
  return add(attended, mlp(under(p, "mlp"), normalised(under(p, "ln_2"), attended, config), config));
}

/** Multi-head self-attention. */
function selfAttention(p: Lookup, x: Tensor, { heads, causal, packing }: BlockConfig): Tensor {
  const part = (which: Third): Tensor => laidOut(projected(p, x, which), packing); // [batch, tokens, width]
  const mixed = attention(part(QUERY), part(KEY), part(VALUE), { heads, causal });
  return dense(under(p, "out_proj"), packing ? gather(reshape(mixed, [-1, x.shape[1] ?? 0]), packing.rows) : mixed);
}

/** Where the projections of queries, keys and values stand in the one matrix [3 width, width]. */
const [QUERY, KEY, VALUE] = [0, 1, 2] as const;
type Third = typeof QUERY | typeof KEY | typeof VALUE;

function projected(p: Lookup, x: Tensor, which: Third): Tensor {
  const width = x.shape.at(-1) ?? 0;
  // The weights are sliced, not the activations: those are larger, and so would be the gradient's zeros.
  const third = (stacked: Tensor): Tensor => sliceAxis(stacked, 0, which * width, (which + 1) * width);
  return linear(x, third(p("in_proj_weight")), third(p("in_proj_bias")));
}

/** Packed rows [kept, width] at their places: [batch, tokens, width]. */
function laidOut(x: Tensor, packing: Packing | undefined): Tensor {
  return packing ? reshape(gather(x, packing.places), [packing.batch, packing.length, -1]) : x;
}

/** Attention with one query each: q [batch, width], k and v [batch, tokens, width] -> [batch, width]. */
function attendOnce(q: Tensor, k: Tensor, v: Tensor, heads: number, visible?: Tensor): Tensor {
  const [batch = 0, tokens = 0, width = 0] = k.shape;
  const size = width / heads;
  const split = (x: Tensor): Tensor => reshape(x, [batch, tokens, heads, size]);
  const query = reshape(mul(q, 1 / Math.sqrt(size)), [batch, heads, 1, size]);
  const scores = matmul(query, transpose(split(k), [0, 2, 3, 1])); // [batch, heads, 1, tokens]
  const seen = visible ? select(reshape(visible, [batch, 1, 1, tokens]), scores, -1e9) : scores;
  return reshape(matmul(softmax(seen), transpose(split(v), [0, 2, 1, 3])), [batch, width]);
}

function mlp(p: Lookup, x: Tensor, config: Pick<BlockConfig, "activation">): Tensor {
  return dense(under(p, "c_proj"), activated(dense(under(p, "c_fc"), x), config)); // inside: [batch, tokens, mlpWidth]
}

export function activated(x: Tensor, { activation }: Pick<BlockConfig, "activation">): Tensor {
  return ACTIVATIONS[activation](x);
}
