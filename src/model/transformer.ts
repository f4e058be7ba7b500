/** The transformer that both towers share: pre-norm residual attention blocks (official `ResidualAttentionBlock`). */
import {
  add,
  attention,
  gather,
  gelu,
  layerNorm,
  linear,
  quickGelu,
  reshape,
  sliceAxis,
  type Tensor,
} from "../graph/index.ts";
import type { ClipConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";

const ACTIVATIONS = { quickGelu, gelu } as const satisfies Record<ClipConfig["activation"], (x: Tensor) => Tensor>;

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
  readonly activation: ClipConfig["activation"];
  /** x is [kept, width] instead of [batch, tokens, width]. */
  readonly packing?: Packing | undefined;
}

/** Gain and bias named `weight` and `bias`. */
export function normalised(p: Lookup, x: Tensor): Tensor {
  return layerNorm(x, p("weight"), p("bias"));
}

export function dense(p: Lookup, x: Tensor): Tensor {
  return linear(x, p("weight"), p("bias"));
}

/** x + attention(norm(x)), then x + mlp(norm(x)); x [batch, tokens, width]. */
export function residualAttentionBlock(p: Lookup, x: Tensor, config: BlockConfig): Tensor {
  const attended = add(x, selfAttention(under(p, "attn"), normalised(under(p, "ln_1"), x), config));
  return add(attended, mlp(under(p, "mlp"), normalised(under(p, "ln_2"), attended), config.activation));
}

/** Multi-head self-attention; the projections of q, k and v are the thirds of one matrix. */
function selfAttention(p: Lookup, x: Tensor, { heads, causal, packing }: BlockConfig): Tensor {
  const width = x.shape.at(-1) ?? 0;
  // The weights are sliced, not the activations: those are larger, and so would be the gradient's zeros.
  const third = (i: number): Tensor =>
    linear(
      x,
      sliceAxis(p("in_proj_weight"), 0, i * width, (i + 1) * width),
      sliceAxis(p("in_proj_bias"), 0, i * width, (i + 1) * width),
    );
  const laidOut = (rows: Tensor): Tensor =>
    packing ? reshape(gather(rows, packing.places), [packing.batch, packing.length, width]) : rows;
  const mixed = attention(laidOut(third(0)), laidOut(third(1)), laidOut(third(2)), { heads, causal }); // [batch, tokens, width]
  return dense(under(p, "out_proj"), packing ? gather(reshape(mixed, [-1, width]), packing.rows) : mixed);
}

function mlp(p: Lookup, x: Tensor, activation: ClipConfig["activation"]): Tensor {
  const hidden = ACTIVATIONS[activation](dense(under(p, "c_fc"), x)); // [batch, tokens, 4 width]
  return dense(under(p, "c_proj"), hidden);
}
