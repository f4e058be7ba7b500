/**
 * Convolutions on channels-last tensors as gathers of patches and matrix products. Few channels make narrow products, so that `tile`
 * neighbouring positions of a row are computed as one, with a kernel that holds a shifted copy for each: more arithmetic, less traffic.
 */
import { elements, type HostTensor, type Node, type OpAttrs, type Tensor } from "../../graph/index.ts";
import { lowerBlockedConvolution } from "./blocked-convolution.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { kernelTaps, reversedTaps } from "./kernel-taps.ts";
import { tallProduct } from "./matmul.ts";
import { paddedPixels } from "./padded-pixels.ts";
import { lowerPlaneConvolution, planeKernelGrad, type TiledKernelGrad } from "./plane-convolution.ts";

/** What the patches of a piece take at most, if there are not too many pieces: they stay in the caches of two cores. */
const PIECE_BYTES = 2 ** 22;
const MOST_PIECES = 32;

interface Geometry {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly into: number;
  readonly out: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: OpAttrs["convolution"]["padding"];
  /** Rows and columns with as much of the padding as is read, of columns maybe more. */
  readonly padded: readonly [number, number];
  /** Output positions computed as one. */
  readonly tile: number;
  /** Pixels gathered as one. */
  readonly fold: number;
  /** Pixels of a row gathered for a tile. */
  readonly span: number;
}

function geometry(
  x: Tensor,
  out: number,
  shape: readonly number[],
  kernel: readonly [number, number],
  attrs: OpAttrs["convolution"],
): Geometry {
  const [batch = 0, height = 0, width = 0, into = 0] = x.shape;
  const [, outHeight = 0, outWidth = 0] = shape;
  const { stride, padding } = attrs;
  // Measured on AVX-512: 2 positions up to 16 channels in, 1 beyond; a 1-pixel kernel gains nothing.
  const tile = kernel[1] > 1 && into <= 16 && outWidth % 2 === 0 ? 2 : 1;
  const step = tile * stride[1];
  const fold = kernel[1] > 1 && step % 2 === 0 ? 2 : 1;
  const whole = (pixels: number): number => Math.ceil(pixels / fold) * fold;
  const span = whole((tile - 1) * stride[1] + kernel[1]);
  const columns = Math.max(width + padding[1][0] + padding[1][1], (outWidth / tile - 1) * step + span);
  const padded = [(outHeight - 1) * stride[0] + kernel[0], whole(columns)] as const;
  return { batch, height, width, into, out, outHeight, outWidth, kernel, stride, padding, padded, tile, fold, span };
}

/** Positions of a convolution's result that are worked out together. */
interface Piece {
  /** The first tile, and how many. */
  readonly first: number;
  readonly tiles: number;
}

/**
 * Patches are many times as large as the picture: they are made piece by piece, each small enough for the cache, and made again for
 * the kernel's gradient, which takes less time than fetching them from memory.
 */
function pieces(g: Geometry): Piece[] {
  const tiles = g.batch * g.outHeight * (g.outWidth / g.tile);
  const bytes = tiles * patchLength(g) * 4;
  let count = 1;
  while (bytes / count > PIECE_BYTES && count < MOST_PIECES && tiles % (count * 2) === 0) count *= 2;
  return Array.from({ length: count }, (_, i) => ({ first: (i * tiles) / count, tiles: tiles / count }));
}

const patchLength = (g: Geometry): number => g.kernel[0] * g.span * g.into;

/** For each tile of a piece, the rows of the padded picture (as [pixels / fold, fold * channels]) that it sees. */
function patchIndices(g: Geometry, { first, tiles }: Piece): HostTensor {
  const [rows, columns] = [g.padded[0], g.padded[1] / g.fold];
  const [across, groups] = [g.outWidth / g.tile, g.span / g.fold];
  const data = new Int32Array(tiles * g.kernel[0] * groups);
  let at = 0;
  for (let tile = first; tile < first + tiles; tile++) {
    const n = Math.floor(tile / (across * g.outHeight));
    const y = (Math.floor(tile / across) % g.outHeight) * g.stride[0];
    const x = ((tile % across) * g.tile * g.stride[1]) / g.fold;
    for (let i = 0; i < g.kernel[0]; i++)
      for (let j = 0; j < groups; j++) data[at++] = (n * rows + y + i) * columns + x + j;
  }
  return { dtype: "i32", shape: [tiles, g.kernel[0] * groups], data };
}

/** [tiles, kernelHeight * span * in] of a piece. */
function patches(context: Context, x: Tensor, g: Geometry, piece: Piece): Name {
  const { emit, shared } = context;
  const place = [g.padded, g.outHeight, g.outWidth, g.kernel, g.stride, g.tile, g.fold, piece.first, piece.tiles];
  const indices = shared(`indices ${place.join(" ")}`, () => emit.initializer(emit.fresh(), patchIndices(g, piece)));
  const gathered = emit.node("Gather", [paddedPixels(context, x, g.padding, g.padded, g.fold), indices], { axis: 0 });
  return emit.node("Reshape", [gathered, emit.ints([piece.tiles, patchLength(g)])]);
}

/** The right factor of the product with patches, and whether its rows are the outputs. */
interface KernelMatrix {
  readonly name: Name;
  readonly transB: 0 | 1;
}

/** The kernel [out, in, kh, kw] as [tile * out, kh * span * in]: a copy for each position of a tile, shifted to what it sees. */
function kernelMatrix(context: Context, kernel: Tensor, g: Geometry): KernelMatrix {
  const { emit } = context;
  const { into, out } = g;
  const [kh, kw] = g.kernel;
  const reversed = g.tile === 1 && g.span === kw ? reversedTaps(context, kernel) : undefined;
  if (reversed !== undefined)
    return { name: emit.node("Reshape", [reversed, emit.ints([kh * kw * into, out])]), transB: 0 };
  const copies = Array.from({ length: g.tile }, (_, position) => position * g.stride[1]);
  const taps = kernelTaps(context, kernel, copies, g.span);
  return { name: emit.node("Reshape", [taps, emit.ints([g.tile * out, kh * g.span * into])]), transB: 1 };
}

export function lowerConvolution(context: Context, node: Node<"convolution">): Name {
  const { emit } = context;
  const [x, kernel] = node.inputs as [Tensor, Tensor];
  const direct =
    lowerBlockedConvolution(context, [x, kernel], node.shape, node.attrs) ??
    lowerPlaneConvolution(context, [x, kernel], node.shape, node.attrs);
  if (direct !== undefined) return direct;
  const [out = 0, , kh = 1, kw = 1] = kernel.shape;
  const g = geometry(x, out, node.shape, [kh, kw], node.attrs);
  const { name, transB } = kernelMatrix(context, kernel, g);
  const parts = pieces(g).map((piece) => emit.node("Gemm", [patches(context, x, g, piece), name], { transB }));
  return emit.node("Reshape", [
    parts.length === 1 ? (parts[0] ?? "") : emit.node("Concat", parts, { axis: 0 }),
    emit.ints(node.shape),
  ]);
}

/** g^T patches, then each position's part of the tiled kernel added up. */
export function lowerConvolutionKernelGrad(context: Context, node: Node<"convolutionKernelGrad">): Name {
  const [x, gradient] = node.inputs as [Tensor, Tensor];
  const { emit } = context;
  const [out = 0, into = 0, kh = 1, kw = 1] = node.shape;
  const { product, tile, span } = planeKernelGrad(context, [x, gradient], node) ?? kernelGradOfPatches(context, node);
  const tiled = emit.node("Reshape", [product, emit.ints([tile, out, kh, span, into])]);
  const parts = Array.from({ length: tile }, (_, j) => {
    const before = j * node.attrs.stride[1];
    return emit.node("Slice", [tiled, emit.ints([j, before]), emit.ints([j + 1, before + kw]), emit.ints([0, 3])]);
  });
  const kernel = emit.node("Reshape", [
    parts.reduce((a, b) => emit.node("Add", [a, b])),
    emit.ints([out, kh * kw, into]),
  ]);
  return emit.node("Reshape", [emit.node("Transpose", [kernel], { perm: [0, 2, 1] }), emit.ints(node.shape)]);
}

function kernelGradOfPatches(context: Context, node: Node<"convolutionKernelGrad">): TiledKernelGrad {
  const { emit, value } = context;
  const [x, gradient] = node.inputs as [Tensor, Tensor];
  const g = geometry(x, node.shape[0] ?? 0, gradient.shape, node.attrs.kernel, node.attrs);
  const width = g.tile * g.out;
  const all = pieces(g);
  const rows = elements(gradient.shape) / width;
  const wide = emit.node("Reshape", [value(gradient), emit.ints([rows, width])]);
  const linesOf = ({ first, tiles }: Piece): Name =>
    all.length === 1
      ? wide
      : emit.node("Slice", [wide, emit.ints([first]), emit.ints([first + tiles]), emit.ints([0])]);
  const factors = all.map((piece) => ({ a: linesOf(piece), b: patches(context, x, g, piece), rows: piece.tiles }));
  return { product: tallProduct(context, factors, width, patchLength(g)), tile: g.tile, span: g.span };
}
