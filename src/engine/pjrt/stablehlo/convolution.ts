import type { Node } from "../../../graph/index.ts";
import type { Context } from "./context.ts";
import { dot, roundsFactors } from "./dot.ts";
import { list, signature, type Value, type Writer } from "./writer.ts";

type Pair = readonly [number, number];

/** Floats of a vector register, with AVX-512. */
const LANES = 16;

/** XLA's own kernels, which beat products with patches (measured on AVX-512), but for few channels on the CPU. */
export function lowerConvolution(
  context: Context,
  { shape, attrs: { stride, padding } }: Node<"convolution">,
  x: Value,
  kernel: Value,
): Value {
  const { write, platform } = context;
  const [out = 0, , height = 1, width = 1] = kernel.shape;
  const taps = [height, width] as const;
  if (platform === "cpu" && isSmall(x, taps)) {
    const seen = patches(write, x, { stride, padding, taps, shape });
    const matrix = write.reshape(write.transpose(kernel, [0, 2, 3, 1]), [out, seen.shape[1] ?? 0]);
    const rows = { batch: [[], []], contract: [[1], [1]] } as const;
    return write.reshape(dot(context, rows, seen, matrix), shape);
  }
  const beside = platform === "cpu" ? neighbours(out, shape[2] ?? 1) : 1;
  const window = { padding, further: `stride = [${list([stride[0], beside * stride[1]])}]` };
  const [batch = 0, rows = 0, columns = 0] = shape;
  const together = [batch, rows, columns / beside, beside * out];
  const wide = besideEachOther(write, kernel, beside, stride[1]);
  const y = convolution(context, x, wide, "[b, 0, 1, f]x[o, i, 0, 1]->[b, 0, 1, f]", window, together);
  return write.reshape(y, shape);
}

/**
 * The gradient of a convolution to its kernel is a convolution too: of each input channel, a picture whose channels are the batch, with
 * the gradient as the kernel, its taps as far apart as the strides.
 */
export function lowerConvolutionKernelGrad(
  context: Context,
  { shape, attrs: { stride, padding, kernel } }: Node<"convolutionKernelGrad">,
  x: Value,
  gradient: Value,
): Value {
  const { write, platform } = context;
  if (platform === "cpu" && isSmall(x, kernel)) {
    const seen = patches(write, x, { stride, padding, taps: kernel, shape: gradient.shape });
    const [out = 0, into = 0] = shape;
    const rows = write.reshape(gradient, [seen.shape[0] ?? 0, out]);
    const matrix = dot(context, { batch: [[], []], contract: [[0], [0]] }, rows, seen);
    return write.transpose(write.reshape(matrix, [out, ...kernel, into]), [0, 3, 1, 2]);
  }
  const end = (axis: 0 | 1): Pair => {
    const [low] = padding[axis];
    const spread = ((gradient.shape[axis + 1] ?? 1) - 1) * stride[axis] + 1;
    // So that a kernel's size of positions comes out; negative where strides leave some rows of the picture unseen.
    return [low, spread + kernel[axis] - 1 - low - (x.shape[axis + 1] ?? 0)];
  };
  const window: Window = { padding: [end(0), end(1)], further: `rhs_dilate = [${list(stride)}]` };
  return convolution(context, x, gradient, "[f, 0, 1, b]x[i, 0, 1, o]->[f, b, 0, 1]", window, shape);
}

/** Whether an output is made of so few numbers, those of a picture's three channels say, that a product with patches is faster. */
const isSmall = (x: Value, [height, width]: Pair): boolean => height * width * (x.shape[3] ?? 1) <= 2 * LANES;

/** What each output of a convolution sees: [batch * height' * width', taps * channels]. */
function patches(
  write: Writer,
  whole: Value,
  { stride, padding, taps, shape }: Pick<Window, "padding"> & Record<"stride" | "taps", Pair> & Pick<Value, "shape">,
): Value {
  const x = cropped(write, whole, padding);
  const added = (side: 0 | 1): number[] => [0, ...padding.map((pair) => Math.max(0, pair[side])), 0];
  const padded = write.pad(x, added(0), added(1), [0, 0, 0, 0]);
  const [batch = 0, , , channels = 0] = x.shape;
  const [, height = 0, width = 0] = shape;
  const parts = Array.from({ length: taps[0] * taps[1] }, (_, tap) => {
    const [i, j] = [Math.floor(tap / taps[1]), tap % taps[1]];
    const limit = [batch, i + (height - 1) * stride[0] + 1, j + (width - 1) * stride[1] + 1, channels];
    return write.slice(padded, [0, i, j, 0], limit, [1, ...stride, 1]);
  });
  return write.reshape(write.concat(parts, 3), [batch * height * width, parts.length * channels]);
}

/** How many outputs of a row are computed together, as channels, so that few channels fill a vector register. */
function neighbours(channels: number, width: number): number {
  let count = Math.max(1, Math.floor(LANES / channels));
  while (width % count !== 0) count--;
  return count;
}

/** The kernel that computes outputs beside each other, each from its part of a wider window. */
function besideEachOther(write: Writer, kernel: Value, count: number, stride: number): Value {
  if (count === 1) return kernel;
  const shifted = (i: number): Value =>
    write.pad(kernel, [0, 0, 0, i * stride], [0, 0, 0, (count - 1 - i) * stride], [0, 0, 0, 0]);
  return write.concat(
    Array.from({ length: count }, (_, i) => shifted(i)),
    0,
  );
}

interface Window {
  /** Of x, whose rows and columns are its axes 1 and 2; negative amounts crop. */
  readonly padding: readonly [Pair, Pair];
  readonly further: string;
}

function convolution(
  { write, precision, platform }: Context,
  whole: Value,
  kernel: Value,
  dimensions: string,
  { padding, further }: Window,
  shape: readonly number[],
): Value {
  const x = cropped(write, whole, padding);
  const added = padding.map((pair) => `[${list(pair.map((amount) => Math.max(0, amount)))}]`);
  const window = [`pad = [${list(added)}]`, further];
  const element = precision === "bfloat16" && x.element === "f32" ? "bf16" : x.element;
  const factors = [write.convert(x, element), write.convert(kernel, element)] as const;
  const type = { shape, element };
  const names = list(factors.map(({ name }) => name));
  const groups = ["batch_group_count = 1 : i64", "feature_group_count = 1 : i64"];
  const highest = "#stablehlo<precision HIGHEST>";
  const attributes = roundsFactors(platform, element)
    ? [...groups, `precision_config = [${highest}, ${highest}]`]
    : groups;
  const result = write.value(
    type,
    `stablehlo.convolution(${names}) dim_numbers = ${dimensions}, window = {${list(window)}} {${list(attributes)}} : ${signature(factors, type)}`,
  );
  return write.convert(result, x.element);
}

/** Without what negative padding crops: XLA's CPU kernels leave results unwritten where they are told to do that themselves. */
function cropped(write: Writer, x: Value, padding: readonly [Pair, Pair]): Value {
  if (Math.min(...padding.flat()) >= 0) return x;
  const start = x.shape.map((_, axis) => Math.max(0, -(padding[axis - 1]?.[0] ?? 0)));
  const limit = x.shape.map((size, axis) => size - Math.max(0, -(padding[axis - 1]?.[1] ?? 0)));
  return write.slice(x, start, limit);
}
