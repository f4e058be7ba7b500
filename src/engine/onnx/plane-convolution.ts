/**
 * Convolutions of few channels by onnxruntime's direct kernels, without patches. Those read planes, and write channels in blocks: a picture
 * with channels last is one plane whose rows are pixels and their channels, and `tile` neighbouring positions of the result, taken as one,
 * are whole blocks. Steps along a row are whole pixels.
 */
import type { Node, OpAttrs, Tensor } from "../../graph/index.ts";
import { BLOCKED, outOfBlocks } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { kernelTaps } from "./kernel-taps.ts";
import { paddedPixels } from "./padded-pixels.ts";
import { planeProduct } from "./plane-product.ts";

/** Neighbouring positions that may be taken as one to fill blocks: beyond that, too much of the arithmetic is with zeros. */
const TILES = [1, 2, 4];
/** Elements of a picture from which the gradient's kernels find it in no near cache: no faster than products of patches then. */
const MOST_ELEMENTS = 2 ** 14;
/** Tiles of a picture below which writing its part of a kernel's gradient takes longer than computing it. */
const LEAST_TILES = 64;

interface Plane {
  readonly block: number;
  readonly tile: number;
  /** Blocks that a tile's channels are. */
  readonly blocks: number;
  /** Tiles of a row, the pixels from one to the next, and the pixels that each sees. */
  readonly tiles: number;
  readonly step: number;
  readonly span: number;
  /** Rows and columns with the padding that is read. */
  readonly padded: readonly [number, number];
}

/** Of a convolution with a result [batch, height, width, out] and a kernel of that size; undefined where no positions make whole blocks. */
function planeOf(
  { channelBlock: block }: Context,
  [, height = 0, width = 0, out = 1]: readonly number[],
  [kh, kw]: readonly [number, number],
  stride: OpAttrs["convolution"]["stride"],
): Plane | undefined {
  if (block === undefined) return undefined;
  const tile = TILES.find((positions) => (positions * out) % block === 0);
  if (tile === undefined || width % tile !== 0) return undefined;
  const padded = [(height - 1) * stride[0] + kh, (width - 1) * stride[1] + kw] as const;
  const [step, span] = [tile * stride[1], (tile - 1) * stride[1] + kw];
  return { block, tile, blocks: (tile * out) / block, tiles: width / tile, step, span, padded };
}

/** The convolution [batch, height, width, out], or undefined where its channels make no whole blocks. */
export function lowerPlaneConvolution(
  context: Context,
  [x, kernel]: readonly [Tensor, Tensor],
  shape: readonly number[],
  { stride, padding }: OpAttrs["convolution"],
): Name | undefined {
  const { emit } = context;
  const [batch = 0, height = 0] = shape;
  const [, into = 0, kh = 1, kw = 1] = kernel.shape;
  const plane = planeOf(context, shape, [kh, kw], stride);
  if (!plane) return undefined;
  const { block, blocks, tile, tiles, step, span, padded } = plane;
  const copies = Array.from({ length: tile }, (_, position) => position * stride[1]);
  const taps = emit.ints([blocks, block, kh * span * into]);
  const rows = emit.node("Reshape", [kernelTaps(context, kernel, copies, span), taps]);
  const kernels = emit.node("Transpose", [rows], { perm: [0, 2, 1] });
  const picture = paddedPixels(context, x, padding, padded, 1);
  const y = emit.node(
    "Conv",
    [
      emit.node("Reshape", [picture, emit.ints([batch, 1, padded[0], padded[1] * into])]),
      emit.node("Reshape", [kernels, emit.ints([blocks * block, 1, kh, span * into])]),
    ],
    { kernel_shape: [kh, span * into], strides: [stride[0], step * into] },
    BLOCKED,
  );
  return emit.node("Reshape", [outOfBlocks(context, y, [batch, height, tiles, blocks * block]), emit.ints(shape)]);
}

/** A kernel's gradient of `tile` neighbouring positions taken as one, which see `span` pixels of a row. */
export interface TiledKernelGrad {
  /** [tile * out, kernelHeight * span * in]. */
  readonly product: Name;
  readonly tile: number;
  readonly span: number;
}

/**
 * Each picture convolved with its own gradient as a kernel that is as large as it, a block of its channels at a time, and the sum over the
 * pictures. Neighbouring results are neighbouring channels of x. Undefined where that is no faster than products of patches.
 */
export function planeKernelGrad(
  context: Context,
  [x, gradient]: readonly [Tensor, Tensor],
  { shape, attrs: { kernel, stride, padding } }: Node<"convolutionKernelGrad">,
): TiledKernelGrad | undefined {
  const { value } = context;
  const [batch = 0, height = 0] = gradient.shape;
  const [, into = 0] = shape;
  const plane = planeOf(context, gradient.shape, kernel, stride);
  if (!plane) return undefined;
  const { block, blocks, tile, tiles, step, span, padded } = plane;
  if (height * tiles < LEAST_TILES || padded[0] * padded[1] * into > MOST_ELEMENTS) return undefined;
  const product = planeProduct(context, {
    stamps: value(gradient),
    columns: blocks * block,
    stamp: [height, tiles],
    dilations: [stride[0], step * into],
    planes: paddedPixels(context, x, padding, padded, 1),
    batch,
    size: [padded[0], padded[1] * into],
  });
  return { product, tile, span };
}
