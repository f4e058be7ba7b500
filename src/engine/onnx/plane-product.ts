/** Sums of products by onnxruntime's direct kernels, where a convolution's kernel is as large as the picture. */
import { BLOCKED } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";

interface PlaneProduct {
  /** [batch * height * width of the stamp, columns], the columns whole blocks. */
  readonly stamps: Name;
  readonly columns: number;
  readonly stamp: readonly [height: number, width: number];
  /** Between neighbouring elements of a stamp, in the plane. */
  readonly dilations: readonly [number, number];
  /** As many planes of that size. */
  readonly planes: Name;
  readonly batch: number;
  readonly size: readonly [height: number, width: number];
}

/**
 * [columns, places]: for each column of the stamps and each place at which a stamp fits into its plane, the products with what lies there,
 * summed over the stamp and over all planes. A block of columns at a time: a kernel of several is slower.
 */
export function planeProduct(
  context: Context,
  { stamps, columns, stamp, dilations, planes, batch, size }: PlaneProduct,
): Name {
  const { emit, channelBlock: block = 1 } = context;
  const blocks = columns / block;
  const places = stamp.reduce(
    (product, n, axis) => product * ((size[axis] ?? 0) - (n - 1) * (dilations[axis] ?? 1)),
    1,
  );
  const pictures = emit.node("Reshape", [planes, emit.ints([1, batch, ...size])]);
  const ofBlock = (channels: Name): Name => {
    const kernels = emit.node("Reshape", [channels, emit.ints([batch * block, 1, ...stamp])]);
    const each = emit.node("Conv", [pictures, kernels], { group: batch, kernel_shape: stamp, dilations }, BLOCKED);
    const rows = emit.node("Reshape", [each, emit.ints([batch, places, block])]);
    return emit.node("Transpose", [emit.node("ReduceSum", [rows, emit.ints([0])], { keepdims: 0 })], { perm: [1, 0] });
  };
  if (blocks === 1) return ofBlock(stamps);
  const wide = emit.node("Reshape", [stamps, emit.ints([batch * stamp[0] * stamp[1], columns])]);
  const parts = emit.nodes("Split", [wide], blocks, { axis: 1, num_outputs: blocks });
  return emit.node("Concat", parts.map(ofBlock), { axis: 0 });
}
