/**
 * The residual network (CLIP, section 2.4): a stem of three convolutions, anti-aliased strides (an average pool after the
 * second convolution and before the shortcut's), attention pooling. Channels last inside; a 1x1 convolution is a matrix product.
 */
import {
  add,
  avgPool,
  batchNorm,
  concat,
  convolution,
  linear,
  linearBatchNorm,
  mul,
  reduceMean,
  relu,
  reshape,
  rsqrt,
  sliceAxis,
  sub,
  type Tensor,
  transpose,
} from "../graph/index.ts";
import type { ResNetConfig } from "./config.ts";
import { type Lookup, under } from "./parameters.ts";
import { type Bottleneck, bottlenecks } from "./shapes.ts";
import { attendOnce, dense } from "./transformer.ts";

/** Weight of the batch in the running statistics (PyTorch's default, which the official code uses). */
const MOMENTUM = 0.1;
const EPSILON = 1e-5;

/** Whether batch normalisation uses the batch's statistics, and where the new running ones are put. */
export interface NormMode {
  readonly train: boolean;
  readonly statistics: Record<string, Tensor>;
}

/** Images [batch, 3, size, size] -> features [batch, embedDim]. */
export function modifiedResNet(
  p: Lookup,
  images: Tensor,
  config: ResNetConfig,
  mode: NormMode,
  activations: Record<string, Tensor>,
): Tensor {
  let x = transpose(images, [0, 2, 3, 1]); // [batch, size, size, 3]
  x = relu(normalisedConvolution(p, "conv1", "bn1", x, mode, 2));
  x = relu(normalisedConvolution(p, "conv2", "bn2", x, mode));
  x = relu(normalisedConvolution(p, "conv3", "bn3", x, mode));
  x = avgPool(x, 2); // [batch, size / 4, size / 4, width]
  activations["visual.stem"] = x;
  for (const [stage, blocks] of bottlenecks(config).entries()) {
    for (const block of blocks) {
      x = bottleneck(p, x, block, mode);
      activations[`visual.${block.name}`] = x;
    }
    activations[`visual.layer${stage + 1}`] = x;
  }
  const pooled = attentionPool(under(p, "attnpool"), x, config.heads); // [batch, 32 width]
  activations["visual.pre_projection"] = pooled;
  return dense(under(p, "attnpool.c_proj"), pooled);
}

/** The activations that go into the bottlenecks, by name. */
export function residualInputs(config: ResNetConfig): string[] {
  const names = bottlenecks(config).flatMap((blocks) => blocks.map(({ name }) => `visual.${name}`));
  return ["visual.stem", ...names.slice(0, -1)];
}

/** 1x1, 3x3 and 1x1 convolutions beside a shortcut; the stride is an average pool on both ways. */
function bottleneck(p: Lookup, x: Tensor, { name, stride, downsample }: Bottleneck, mode: NormMode): Tensor {
  let y = relu(normalisedConvolution(p, `${name}.conv1`, `${name}.bn1`, x, mode));
  y = relu(normalisedConvolution(p, `${name}.conv2`, `${name}.bn2`, y, mode));
  y = normalisedConvolution(p, `${name}.conv3`, `${name}.bn3`, avgPool(y, stride), mode);
  const shortcut = downsample
    ? normalisedConvolution(p, `${name}.downsample.0`, `${name}.downsample.1`, avgPool(x, stride), mode)
    : x;
  return relu(add(y, shortcut));
}

/** A convolution without bias that keeps the size (but for its stride), and the batch normalisation behind it. */
function normalisedConvolution(p: Lookup, name: string, norm: string, x: Tensor, mode: NormMode, stride = 1): Tensor {
  const kernel = p(`${name}.weight`);
  const [gain, bias] = [p(`${norm}.weight`), p(`${norm}.bias`)];
  const [mean, variance] = [p(`${norm}.running_mean`), p(`${norm}.running_var`)];
  if (mode.train) {
    const batch = pointwise(kernel)
      ? linearBatchNorm(x, matrix(kernel), gain, bias, EPSILON)
      : batchNorm(convolved(x, kernel, stride), gain, bias, EPSILON);
    const samples = batch.y.shape.slice(0, -1).reduce((product, size) => product * size, 1);
    if (samples < 2) throw new Error(`${norm}: a batch of one value a channel has no variance`);
    mode.statistics[`visual.${norm}.running_mean`] = moved(mean, batch.mean);
    mode.statistics[`visual.${norm}.running_var`] = moved(variance, mul(batch.variance, samples / (samples - 1)));
    return batch.y;
  }
  // With fixed statistics it is an affine map of each channel, which the kernel absorbs.
  const scale = mul(gain, rsqrt(add(variance, EPSILON))); // [out]
  const shift = sub(bias, mul(mean, scale));
  return convolved(x, mul(kernel, reshape(scale, [-1, 1, 1, 1])), stride, shift);
}

function moved(running: Tensor, batch: Tensor): Tensor {
  return add(mul(running, 1 - MOMENTUM), mul(batch, MOMENTUM));
}

const pointwise = (kernel: Tensor): boolean => kernel.shape[2] === 1;

/** A 1x1 kernel [out, in, 1, 1] as the matrix [out, in]. */
const matrix = (kernel: Tensor): Tensor => reshape(kernel, kernel.shape.slice(0, 2));

function convolved(x: Tensor, kernel: Tensor, stride: number, shift?: Tensor): Tensor {
  if (pointwise(kernel)) return linear(x, matrix(kernel), shift);
  const [, , height = 1] = kernel.shape;
  const y = convolution(x, kernel, { stride, padding: (height - 1) / 2 });
  return shift ? add(y, shift) : y;
}

/** Attention whose only query is the mean over all positions: [batch, height, width, channels] -> [batch, channels]. */
function attentionPool(p: Lookup, x: Tensor, heads: number): Tensor {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const grid = reshape(x, [batch, height * width, channels]);
  const mean = reduceMean(grid, [1], true); // [batch, 1, channels]
  const tokens = add(concat([mean, grid], 1), p("positional_embedding"));
  const query = dense(under(p, "q_proj"), reshape(sliceAxis(tokens, 1, 0, 1), [batch, channels]));
  const value = { weight: p("v_proj.weight"), bias: p("v_proj.bias") };
  // A ReLU's outputs are all positive: their mean is the larger part of every token.
  return attendOnce(query, tokens, { key: p("k_proj.weight"), value }, heads, { apart: sub(tokens, mean) });
}
