/** The transformer that both towers share: pre-norm residual attention blocks (official `ResidualAttentionBlock`). */
import { add, attention, gelu, layerNorm, linear, quickGelu, sliceAxis, type Tensor } from "../graph/index.ts";
import type { ClipConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";

const ACTIVATIONS = { quickGelu, gelu } as const satisfies Record<ClipConfig["activation"], (x: Tensor) => Tensor>;

export interface BlockConfig {
  readonly heads: number;
  /** Whether a token sees only itself and those before it. */
  readonly causal: boolean;
  readonly activation: ClipConfig["activation"];
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
function selfAttention(p: Lookup, x: Tensor, { heads, causal }: BlockConfig): Tensor {
  const width = x.shape.at(-1) ?? 0;
  // The weights are sliced, not the activations: those are larger, and so would be the gradient's zeros.
  const third = (i: number): Tensor =>
    linear(
      x,
      sliceAxis(p("in_proj_weight"), 0, i * width, (i + 1) * width),
      sliceAxis(p("in_proj_bias"), 0, i * width, (i + 1) * width),
    );
  const mixed = attention(third(0), third(1), third(2), { heads, causal }); // [batch, tokens, width]
  return dense(under(p, "out_proj"), mixed);
}

function mlp(p: Lookup, x: Tensor, activation: ClipConfig["activation"]): Tensor {
  const hidden = ACTIVATIONS[activation](dense(under(p, "c_fc"), x)); // [batch, tokens, 4 width]
  return dense(under(p, "c_proj"), hidden);
}
