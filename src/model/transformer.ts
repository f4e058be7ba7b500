/** The transformer that both towers share: pre-norm residual attention blocks (official `ResidualAttentionBlock`). */
import {
  add,
  attention,
  dot,
  gather,
  gatherEach,
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
 * Rows that stand for padded positions: the row-wise layers compute only what is kept, attention sees [batch, length]. Where the batch is
 * split among devices, each part of it is packed by itself: then everything has an axis [parts] in front, and counts within a part.
 */
export interface Packing {
  readonly batch: number;
  readonly length: number;
  /** i32 [kept]: the flat position [batch * length] of each kept row. Or [parts, kept]. */
  readonly rows: Tensor;
  /** i32 [batch * length]: the kept row of each position. Or [parts, batch / parts * length]. */
  readonly places: Tensor;
}

/** Rows of x [n, width] by indices [k], or of each part of [parts, n, width] by [parts, k]. */
export function rowsAt(x: Tensor, indices: Tensor): Tensor {
  return indices.shape.length > 1 ? gatherEach(x, indices) : gather(x, indices);
}

export interface BlockConfig {
  readonly heads: number;
  /** Whether a token sees only itself and those before it. */
  readonly causal: boolean;
  readonly activation: Activation;
  /** Of the layer norms. */
  readonly epsilon: number;
  /** x is [kept, width], or [parts, kept, width], instead of [batch, tokens, width]. */
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
 * The same block where one token of each text or image is all that is wanted of it: the others are only attended to, which is little
 * work. For the last block; the result is what `pick` would take from the whole block's.
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
  const [width = 0] = query.shape.slice(-1);
  const maps = { key: third(attn("in_proj_weight"), KEY, width), value: linearMap(attn, VALUE, width) };
  const mixed = attendOnce(query, laidOut(normal, packing), maps, heads, { visible }); // [batch, width]
  const attended = add(pick(x), dense(under(attn, "out_proj"), mixed));
  return add(attended, mlp(under(p, "mlp"), normalised(under(p, "ln_2"), attended, config), config));
}

/** Multi-head self-attention. */
function selfAttention(p: Lookup, x: Tensor, { heads, causal, packing }: BlockConfig): Tensor {
  const part = (which: Third): Tensor => laidOut(projected(p, x, which), packing); // [batch, tokens, width]
  const mixed = attention(part(QUERY), part(KEY), part(VALUE), { heads, causal });
  return dense(under(p, "out_proj"), packing ? packed(mixed, packing) : mixed);
}

/** Where the projections of queries, keys and values stand in the one matrix [3 width, width]. */
const [QUERY, KEY, VALUE] = [0, 1, 2] as const;
type Third = typeof QUERY | typeof KEY | typeof VALUE;

function projected(p: Lookup, x: Tensor, which: Third): Tensor {
  const { weight, bias } = linearMap(p, which, x.shape.at(-1) ?? 0);
  return linear(x, weight, bias);
}

function linearMap(p: Lookup, which: Third, width: number): { readonly weight: Tensor; readonly bias: Tensor } {
  return { weight: third(p("in_proj_weight"), which, width), bias: third(p("in_proj_bias"), which, width) };
}

/** The weights are sliced, not the activations: those are larger, and so would be the gradient's zeros. */
function third(stacked: Tensor, which: Third, width: number): Tensor {
  return sliceAxis(stacked, 0, which * width, (which + 1) * width);
}

/** Packed rows at their places: [batch, tokens, width]. */
function laidOut(x: Tensor, packing: Packing | undefined): Tensor {
  return packing ? reshape(rowsAt(x, packing.places), [packing.batch, packing.length, -1]) : x;
}

/** The rows of x [batch, tokens, width] that are kept. */
function packed(x: Tensor, { rows }: Packing): Tensor {
  const width = x.shape[2] ?? 0;
  return rowsAt(reshape(x, [...rows.shape.slice(0, -1), -1, width]), rows);
}

/**
 * Attention with one query each: q [batch, width] over x [batch, tokens, in] -> [batch, width]. No key and no value is made, which is
 * most of the work: q (K t + b) is (K^T q) t and a term that is the same for all tokens t, which the softmax drops (the bias of keys
 * changes nothing); since the probabilities p add up to 1, sum p (V t + b) is V (sum p t) + b.
 * @param maps weights [width, in] of keys and values, bias [width] of values
 * @param options `visible`: bool [batch, tokens], what each query sees, everything by default; `apart`: x less one vector for each of the
 * batch, which moves all scores alike, so that the softmax drops it. Tokens that have much in common are rounded less without that.
 */
export function attendOnce(
  q: Tensor,
  x: Tensor,
  maps: { readonly key: Tensor; readonly value: { readonly weight: Tensor; readonly bias: Tensor } },
  heads: number,
  { visible, apart = x }: { readonly visible?: Tensor | undefined; readonly apart?: Tensor } = {},
): Tensor {
  const [batch = 0, tokens = 0, into = 0] = x.shape;
  const [width = 0] = maps.key.shape;
  const size = width / heads;
  const query = reshape(mul(q, 1 / Math.sqrt(size)), [batch, heads, size]);
  const byHead = (weight: Tensor): Tensor => reshape(weight, [heads, size, into]);
  // [heads, batch, in], then [batch, heads, tokens]
  const sought = dot(query, byHead(maps.key), { batch: [[1], [0]], contract: [[2], [1]] });
  const scores = dot(sought, apart, { batch: [[1], [0]], contract: [[2], [2]] });
  const seen = visible ? select(reshape(visible, [batch, 1, tokens]), scores, -1e9) : scores;
  const mean = dot(softmax(seen), x, { batch: [[0], [0]], contract: [[2], [1]] }); // [batch, heads, in]
  const values = dot(mean, byHead(maps.value.weight), { batch: [[1], [0]], contract: [[2], [2]] }); // [heads, batch, size]
  return add(reshape(transpose(values, [1, 0, 2]), [batch, width]), maps.value.bias);
}

function mlp(p: Lookup, x: Tensor, config: Pick<BlockConfig, "activation">): Tensor {
  return dense(under(p, "c_proj"), activated(dense(under(p, "c_fc"), x), config)); // inside: [batch, tokens, mlpWidth]
}

export function activated(x: Tensor, { activation }: Pick<BlockConfig, "activation">): Tensor {
  return ACTIVATIONS[activation](x);
}
