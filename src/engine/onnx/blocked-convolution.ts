/** Convolutions by onnxruntime's direct kernels, of channels in blocks. */
import type { OpAttrs, Tensor } from "../../graph/index.ts";
import { BLOCKED } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { kernelTaps, reversedTaps } from "./kernel-taps.ts";
import { paddedPixels } from "./padded-pixels.ts";

/** Neighbouring pixels that may be taken as one with more channels: beyond that, too much of the arithmetic is with zeros. */
const MOST_FOLDED = 4;

/** How many neighbouring pixels make whole blocks of both channels: 1, or what a row is cut into; undefined where none does. */
function folding(block: number, [into, out]: readonly [number, number], width: number, stride: number) {
  for (let fold = 1; fold <= MOST_FOLDED; fold *= 2)
    if ((fold * into) % block === 0 && (fold * out) % block === 0)
      return fold === 1 || (stride === 1 && width % fold === 0) ? fold : undefined;
  return undefined;
}

/** The convolution [batch, outHeight, outWidth, out], or undefined where its channels make no whole blocks. */
export function lowerBlockedConvolution(
  context: Context,
  [x, kernel]: readonly [Tensor, Tensor],
  shape: readonly number[],
  { stride, padding }: OpAttrs["convolution"],
): Name | undefined {
  const { emit, value, shared, channelBlock: block } = context;
  const [batch = 0, , outWidth = 0, plainOut = 0] = shape;
  const [, height = 0, width = 0, into = 0] = x.shape;
  const [, , kh = 1, kw = 1] = kernel.shape;
  const fold = block === undefined ? undefined : folding(block, [into, plainOut], outWidth, stride[1]);
  if (block === undefined || fold === undefined || Math.min(...padding.flat()) < 0) return undefined;
  const [channels, out] = [fold * into, fold * plainOut];
  const blocked = (from: Name, rows: number, columns: number): Name => {
    const size = channels === block ? [batch, channels, rows, columns] : [batch, rows, columns, channels];
    const laid = emit.node("Reshape", [from, emit.ints(size)]);
    return channels === block ? laid : emit.node("ReorderInput", [laid], { channels_last: 1 }, BLOCKED);
  };
  /** Columns of the kernel between folded pixels. */
  const columns = Math.ceil((fold - 1 + kw) / fold);
  /** Padded, a window begins with a whole folded pixel, and the kernel's gradient wants it so too. */
  const padded = [height + padding[0][0] + padding[0][1], outWidth + (columns - 1) * fold] as const;
  const pixels =
    fold === 1
      ? shared(`blocked ${value(x)}`, () => blocked(value(x), height, width))
      : blocked(paddedPixels(context, x, padding, padded, fold), padded[0], padded[1] / fold);
  const y = emit.node(
    "Conv",
    [pixels, blockedKernel(context, kernel, fold, columns, block)],
    {
      kernel_shape: [kh, columns],
      strides: stride,
      pads: fold === 1 ? [padding[0][0], padding[1][0], padding[0][1], padding[1][1]] : [0, 0, 0, 0],
    },
    BLOCKED,
  );
  const last = out === block ? y : emit.node("ReorderOutput", [y], { channels: out, channels_last: 1 }, BLOCKED);
  return fold === 1 && out !== block ? last : emit.node("Reshape", [last, emit.ints(shape)]);
}

/**
 * The kernel [out, in, kh, kw] between folded pixels as [out / block, in / block, kh, columns, block of in, block of out]. Only swaps of two
 * axes with what follows them, since onnxruntime's other transpositions are many times slower.
 */
function blockedKernel(context: Context, kernel: Tensor, fold: number, columns: number, block: number): Name {
  const { emit } = context;
  const [plainOut = 0, plainInto = 0, kh = 1] = kernel.shape;
  const [out, into] = [fold * plainOut, fold * plainInto];
  const taps = kh * columns;
  const turned = (from: Name, size: readonly number[], perm: readonly number[]): Name =>
    emit.node("Transpose", [emit.node("Reshape", [from, emit.ints(size)])], { perm });
  const blocks = (): Name => {
    const reversed = fold === 1 ? reversedTaps(context, kernel) : undefined;
    if (reversed === undefined && fold === 1) {
      const inner = turned(context.value(kernel), [out / block, block, into * taps], [0, 2, 1]);
      return turned(inner, [(out * into) / block ** 2, block, taps, block], [0, 2, 1, 3]);
    }
    const copies = Array.from({ length: fold }, (_, pixel) => pixel);
    const inner =
      reversed === undefined
        ? turned(kernelTaps(context, kernel, copies, columns * fold), [out / block, block, taps * into], [0, 2, 1])
        : turned(reversed, [(taps * into) / block, block, out / block, block], [2, 0, 1, 3]);
    return turned(inner, [out / block, taps, into / block, block * block], [0, 2, 1, 3]);
  };
  return emit.node("Reshape", [blocks(), emit.ints([out, into, kh, columns])]);
}
