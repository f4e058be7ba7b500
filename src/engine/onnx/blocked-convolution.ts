/** Convolutions by onnxruntime's direct kernels, of channels in blocks. */
import type { OpAttrs, Tensor } from "../../graph/index.ts";
import { BLOCKED } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { kernelTaps, reversedTaps } from "./kernel-taps.ts";

/** Neighbouring pixels that may be taken as one with more channels: beyond that, too much of the arithmetic is with zeros. */
const MOST_FOLDED = 4;

interface Folded {
  /** Neighbouring pixels of a row taken as one: [batch, height, width, channels] is [batch, height, width / fold, fold * channels]. */
  readonly fold: number;
  /** Columns of the kernel between folded pixels, and the columns of padding. */
  readonly columns: number;
  readonly padding: readonly [number, number];
  /** Pixels from the left end of the first folded pixel of a window to what the plain window begins with. */
  readonly before: number;
}

/** How many pixels make whole blocks of both channels, and the convolution between them; undefined where none does. */
function folded(block: number, x: Tensor, kernel: Tensor, attrs: OpAttrs["convolution"]): Folded | undefined {
  const [, , width = 0, into = 0] = x.shape;
  const [out = 0, , , kw = 1] = kernel.shape;
  const [[top, bottom], [left, right]] = attrs.padding;
  if (Math.min(top, bottom, left, right) < 0) return undefined;
  const whole = (fold: number): boolean => (fold * into) % block === 0 && (fold * out) % block === 0;
  if (whole(1)) return { fold: 1, columns: kw, padding: [left, right], before: 0 };
  const keepsWidth = attrs.stride[1] === 1 && left + right === kw - 1;
  for (let fold = 2; fold <= MOST_FOLDED && keepsWidth; fold++) {
    if (!whole(fold) || width % fold !== 0) continue;
    const first = Math.ceil(left / fold);
    const last = Math.floor((fold - 1 + right) / fold);
    return { fold, columns: first + last + 1, padding: [first, last], before: first * fold - left };
  }
  return undefined;
}

/** The convolution [batch, outHeight, outWidth, out], or undefined where its channels make no whole blocks. */
export function lowerBlockedConvolution(
  context: Context,
  [x, kernel]: readonly [Tensor, Tensor],
  shape: readonly number[],
  attrs: OpAttrs["convolution"],
): Name | undefined {
  const { emit, channelBlock: block } = context;
  const geometry = block === undefined ? undefined : folded(block, x, kernel, attrs);
  if (block === undefined || !geometry) return undefined;
  const { fold, columns, padding } = geometry;
  const [batch = 0, height = 0, width = 0] = shape;
  const [kh = 1, out] = [kernel.shape[2], fold * (kernel.shape[0] ?? 0)];
  const y = emit.node(
    "Conv",
    [blockedPixels(context, x, fold, block), blockedKernel(context, kernel, geometry, block)],
    {
      kernel_shape: [kh, columns],
      strides: attrs.stride,
      pads: [attrs.padding[0][0], padding[0], attrs.padding[0][1], padding[1]],
    },
    BLOCKED,
  );
  if (out === block) return emit.node("Reshape", [y, emit.ints(shape)]);
  const last = emit.node("ReorderOutput", [y], { channels: out, channels_last: 1 }, BLOCKED);
  return fold === 1 ? last : emit.node("Reshape", [last, emit.ints([batch, height, width, out / fold])]);
}

/** x [batch, height, width, channels] as [batch, fold * channels, height, width / fold] in blocks. */
function blockedPixels({ emit, value, shared }: Context, x: Tensor, fold: number, block: number): Name {
  const [batch = 0, height = 0, width = 0, into = 0] = x.shape;
  const [columns, channels] = [width / fold, fold * into];
  return shared(`blocked ${value(x)} ${fold}`, () => {
    if (channels === block) return emit.node("Reshape", [value(x), emit.ints([batch, channels, height, columns])]);
    const wide =
      fold === 1 ? value(x) : emit.node("Reshape", [value(x), emit.ints([batch, height, columns, channels])]);
    return emit.node("ReorderInput", [wide], { channels_last: 1 }, BLOCKED);
  });
}

/**
 * The kernel [out, in, kh, kw] between folded pixels as [out / block, in / block, kh, columns, block of in, block of out]. Only swaps of two
 * axes with what follows them, since onnxruntime's other transpositions are many times slower.
 */
function blockedKernel(context: Context, kernel: Tensor, geometry: Folded, block: number): Name {
  const { emit } = context;
  const { fold, columns, before } = geometry;
  const [plainOut = 0, plainInto = 0, kh = 1, kw = 1] = kernel.shape;
  const [out, into] = [fold * plainOut, fold * plainInto];
  const shape = emit.ints([out, into, kh, columns]);
  const reversed = fold === 1 ? reversedTaps(context, kernel) : undefined;
  if (reversed !== undefined) {
    const taps = emit.node("Reshape", [reversed, emit.ints([(kh * kw * into) / block, block, out / block, block])]);
    const parts = emit.node("Transpose", [taps], { perm: [2, 0, 1, 3] });
    const tapsFirst = emit.node("Reshape", [parts, emit.ints([out / block, kh * kw, into / block, block * block])]);
    return emit.node("Reshape", [emit.node("Transpose", [tapsFirst], { perm: [0, 2, 1, 3] }), shape]);
  }
  if (fold === 1) {
    const lines = emit.node("Reshape", [context.value(kernel), emit.ints([out / block, block, into * kh * kw])]);
    const turned = emit.node("Transpose", [lines], { perm: [0, 2, 1] });
    const parts = emit.node("Reshape", [turned, emit.ints([(out * into) / block ** 2, block, kh * kw, block])]);
    return emit.node("Reshape", [emit.node("Transpose", [parts], { perm: [0, 2, 1, 3] }), shape]);
  }
  const span = columns * fold;
  const copies = Array.from({ length: fold }, (_, pixel) => before + pixel);
  const taps = kernelTaps(context, kernel, copies, span);
  const lines = emit.node("Reshape", [taps, emit.ints([out / block, block, kh * span * plainInto])]);
  const turned = emit.node("Transpose", [lines], { perm: [0, 2, 1] });
  const blocks = emit.node("Reshape", [turned, emit.ints([out / block, kh * columns, into / block, block * block])]);
  return emit.node("Reshape", [emit.node("Transpose", [blocks], { perm: [0, 2, 1, 3] }), shape]);
}
