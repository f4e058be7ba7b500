/** Parameters before training, as the official code draws them. */
import { elements, type HostTensor } from "../graph/index.ts";
import type { ClipConfig } from "./config.ts";
import { checkConfig } from "./config.ts";
import { normalStream, uniformStream } from "./random.ts";
import { bufferShapes, parameterShapes, type Shapes } from "./shapes.ts";

/** How one tensor is drawn. */
type Draw =
  | { readonly fill: number }
  | { readonly deviation: number }
  /** Uniform between -bound and bound. */
  | { readonly bound: number };

/**
 * All parameters and buffers in f32, from a seed. Text tower and projections: CLIP, section 2.5 and the official
 * `initialize_parameters`; everything that leaves alone (vision transformer blocks, convolutions, biases) has PyTorch's defaults.
 */
export function initialise(config: ClipConfig, seed: number): Record<string, HostTensor> {
  checkConfig(config);
  const shapes = { ...parameterShapes(config), ...bufferShapes(config) };
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      drawn(uniformStream(seed, name), shape, rule(name, shape, config, shapes)),
    ]),
  );
}

function drawn(uniform: () => number, shape: readonly number[], draw: Draw): HostTensor {
  const data = new Float32Array(elements(shape));
  if ("fill" in draw) data.fill(draw.fill);
  else if ("bound" in draw) for (let i = 0; i < data.length; i++) data[i] = (2 * uniform() - 1) * draw.bound;
  else {
    const normal = normalStream(uniform);
    for (let i = 0; i < data.length; i++) data[i] = normal() * draw.deviation;
  }
  return { dtype: "f32", shape, data };
}

function rule(name: string, shape: readonly number[], { text, vision, logitBias }: ClipConfig, shapes: Shapes): Draw {
  const ends = (...endings: readonly string[]): boolean => endings.some((ending) => name.endsWith(ending));
  // Of the sigmoid loss: Zhai et al. 2023, arXiv 2303.15343, section 3.2.
  if (name === "logit_scale") return { fill: logitBias ? Math.log(10) : Math.log(1 / 0.07) };
  if (name === "logit_bias") return { fill: -10 };
  if (ends("running_mean")) return { fill: 0 };
  if (ends("running_var")) return { fill: 1 };
  // The last gain of each residual bottleneck is zero, so that the block starts as the identity.
  if (/layer\d\.\d+\.bn3\.weight$/.test(name)) return { fill: 0 };
  if (isNorm(name)) return { fill: ends("weight") ? 1 : 0 };
  if (ends("in_proj_bias", "out_proj.bias") || name === "text_projection.bias") return { fill: 0 };
  if (ends(".bias")) {
    const [, ...inputs] = shapes[name.replace(/bias$/, "weight")] ?? [];
    return { bound: 1 / Math.sqrt(elements(inputs)) };
  }

  if (name === "token_embedding.weight") return { deviation: 0.02 };
  if (name === "positional_embedding") return { deviation: 0.01 };
  if (name.startsWith("text_projection")) return { deviation: text.width ** -0.5 };
  if (name.startsWith("transformer.")) {
    const width = text.width;
    const residual = width ** -0.5 * (2 * text.layers) ** -0.5;
    if (ends("in_proj_weight")) return { deviation: width ** -0.5 };
    if (ends("c_fc.weight")) return { deviation: (2 * width) ** -0.5 };
    return { deviation: residual }; // out_proj, c_proj: what is added to the residual stream
  }
  if (name.startsWith("visual.attnpool.")) return { deviation: (vision.width * 32) ** -0.5 };
  if (name === "visual.attn_pool.query") return { deviation: 1 };
  if (ends("class_embedding", "positional_embedding", ".proj", ".latent")) return { deviation: vision.width ** -0.5 };
  const [out = 1, ...into] = shape;
  // Glorot: MultiheadAttention's default for the fused projection.
  if (ends("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"))
    return { bound: Math.sqrt(6 / (out + elements(into))) };
  return { bound: 1 / Math.sqrt(elements(into)) }; // Linear's and Conv2d's default
}

const isNorm = (name: string): boolean => /(^|\.)(ln_\w+|norm|bn\d|downsample\.1)\.(weight|bias)$/.test(name);
