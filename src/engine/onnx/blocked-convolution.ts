/** Convolutions by onnxruntime's direct kernels, of channels in blocks. */
import type { OpAttrs, Tensor } from "../../graph/index.ts";
import { BLOCKED, intoBlocks, outOfBlocks } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { reversedTaps } from "./kernel-taps.ts";

/** The convolution [batch, outHeight, outWidth, out], or undefined where its channels make no whole blocks. */
export function lowerBlockedConvolution(
  context: Context,
  [x, kernel]: readonly [Tensor, Tensor],
  shape: readonly number[],
  { stride, padding }: OpAttrs["convolution"],
): Name | undefined {
  const { emit, value, shared, channelBlock: block } = context;
  const [out = 0, into = 0, kh = 1, kw = 1] = kernel.shape;
  if (block === undefined || into % block !== 0 || out % block !== 0 || Math.min(...padding.flat()) < 0)
    return undefined;
  const pixels = shared(`blocked ${value(x)}`, () => intoBlocks(context, value(x), x.shape));
  const y = emit.node(
    "Conv",
    [pixels, blockedKernel(context, kernel, block)],
    {
      kernel_shape: [kh, kw],
      strides: stride,
      pads: [padding[0][0], padding[1][0], padding[0][1], padding[1][1]],
    },
    BLOCKED,
  );
  return outOfBlocks(context, y, shape);
}

/**
 * The kernel [out, in, kh, kw] as [out / block, in / block, kh, kw, block of in, block of out]. Only swaps of two axes with what follows
 * them, since onnxruntime's other transpositions are many times slower.
 */
function blockedKernel(context: Context, kernel: Tensor, block: number): Name {
  const { emit } = context;
  const [out = 0, into = 0, kh = 1, kw = 1] = kernel.shape;
  const taps = kh * kw;
  const turned = (from: Name, size: readonly number[], perm: readonly number[]): Name =>
    emit.node("Transpose", [emit.node("Reshape", [from, emit.ints(size)])], { perm });
  const blocks = (): Name => {
    const reversed = reversedTaps(context, kernel);
    if (reversed === undefined) {
      const inner = turned(context.value(kernel), [out / block, block, into * taps], [0, 2, 1]);
      return turned(inner, [(out * into) / block ** 2, block, taps, block], [0, 2, 1, 3]);
    }
    const inner = turned(reversed, [(taps * into) / block, block, out / block, block], [2, 0, 1, 3]);
    return turned(inner, [out / block, taps, into / block, block * block], [0, 2, 1, 3]);
  };
  return emit.node("Reshape", [blocks(), emit.ints([out, into, kh, kw])]);
}
