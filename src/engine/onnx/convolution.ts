/**
 * Convolutions on channels-last tensors as one gather and one large matrix product. The gathered patches serve the forward product
 * and the kernel's gradient. Few channels make narrow products, so that `tile` neighbouring positions of a row are computed as one,
 * with a kernel that holds a shifted copy for each: more arithmetic, less traffic.
 */
import { elements, type HostTensor, type Node, type OpAttrs, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Emitter, Name } from "./emitter.ts";

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
  /** Output positions computed as one. */
  readonly tile: number;
  /** Pixels gathered as one. */
  readonly fold: number;
  /** Pixels between the first one gathered for a tile and the first one that its first position sees. */
  readonly lead: number;
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
  const fold = width % stride[1] === 0 ? stride[1] : 1;
  // Measured on AVX-512: 4 positions up to 8 channels in, 2 up to 16, 1 beyond; a 1-pixel kernel gains nothing.
  const wanted = kernel[1] === 1 ? 1 : into <= 8 ? 4 : into <= 16 ? 2 : 1;
  const tile = [wanted, 2, 1].find((t) => t <= wanted && outWidth % t === 0 && (t * stride[1]) % fold === 0) ?? 1;
  const lead = ((-padding[1][0] % fold) + fold) % fold;
  const span = Math.ceil((lead + (tile - 1) * stride[1] + kernel[1]) / fold) * fold;
  return { batch, height, width, into, out, outHeight, outWidth, kernel, stride, padding, tile, fold, lead, span };
}

/** For each tile, the rows of x (as [pixels / fold, fold * channels]) that it sees; one row beyond the end is zero. */
function patchIndices(g: Geometry): HostTensor {
  const groups = g.width / g.fold;
  const zero = g.batch * g.height * groups;
  const tiles = g.batch * g.outHeight * (g.outWidth / g.tile);
  const taps = g.kernel[0] * (g.span / g.fold);
  const data = new Int32Array(tiles * taps);
  let at = 0;
  for (let n = 0; n < g.batch; n++)
    for (let y = 0; y < g.outHeight; y++)
      for (let x = 0; x < g.outWidth; x += g.tile) {
        const first = (x * g.stride[1] - g.padding[1][0] - g.lead) / g.fold;
        for (let i = 0; i < g.kernel[0]; i++) {
          const row = y * g.stride[0] - g.padding[0][0] + i;
          for (let j = 0; j < g.span / g.fold; j++) {
            const group = first + j;
            const inside = row >= 0 && row < g.height && group >= 0 && group < groups;
            data[at++] = inside ? (n * g.height + row) * groups + group : zero;
          }
        }
      }
  return { dtype: "i32", shape: [tiles, taps], data };
}

/** [tiles, kernelHeight * span * in]. */
function patches({ emit, value, shared }: Context, x: Tensor, g: Geometry): Name {
  const pixels = [(g.batch * g.height * g.width) / g.fold, g.fold * g.into];
  const place = [g.batch, g.height, g.width, g.kernel, g.stride, g.padding, g.tile].join(" ");
  return shared(`patches ${value(x)} ${place}`, () => {
    const indices = shared(`indices ${place} ${g.fold}`, () => emit.initializer(emit.fresh(), patchIndices(g)));
    const rows = emit.node("Reshape", [value(x), emit.ints(pixels)]);
    const padded = emit.node("Concat", [rows, emit.filled(0, "f32", [1, g.fold * g.into])], { axis: 0 });
    const gathered = emit.node("Gather", [padded, indices], { axis: 0 });
    return emit.node("Reshape", [gathered, emit.ints([-1, g.kernel[0] * g.span * g.into])]);
  });
}

/** The kernel [out, in, kh, kw] as [kh * span * in, tile * out]: a copy for each position of a tile, shifted to what it sees. */
function tiledKernel(emit: Emitter, kernel: Name, g: Geometry): Name {
  const taps = emit.node("Transpose", [kernel], { perm: [2, 3, 1, 0] });
  const copies = Array.from({ length: g.tile }, (_, j) => {
    const before = g.lead + j * g.stride[1];
    const after = g.span - before - g.kernel[1];
    return before + after === 0 ? taps : emit.node("Pad", [taps, emit.ints([0, before, 0, 0, 0, after, 0, 0])]);
  });
  const beside = copies.length === 1 ? (copies[0] ?? taps) : emit.node("Concat", copies, { axis: 3 });
  return emit.node("Reshape", [beside, emit.ints([g.kernel[0] * g.span * g.into, g.tile * g.out])]);
}

export function lowerConvolution(context: Context, node: Node<"convolution">): Name {
  const { emit, value } = context;
  const [x, kernel] = node.inputs as [Tensor, Tensor];
  const [out = 0, , kh = 1, kw = 1] = kernel.shape;
  const g = geometry(x, out, node.shape, [kh, kw], node.attrs);
  const product = emit.node("Gemm", [patches(context, x, g), tiledKernel(emit, value(kernel), g)]);
  return emit.node("Reshape", [product, emit.ints(node.shape)]);
}

/** patches^T g, then each position's part of the tiled kernel added up. */
export function lowerConvolutionKernelGrad(context: Context, node: Node<"convolutionKernelGrad">): Name {
  const { emit, value } = context;
  const [x, gradient] = node.inputs as [Tensor, Tensor];
  const [out = 0] = node.shape;
  const g = geometry(x, out, gradient.shape, node.attrs.kernel, node.attrs);
  const wide = emit.node("Reshape", [
    value(gradient),
    emit.ints([elements(gradient.shape) / (g.tile * out), g.tile * out]),
  ]);
  const product = emit.node("Gemm", [patches(context, x, g), wide], { transA: 1 });
  const tiled = emit.node("Reshape", [product, emit.ints([g.kernel[0], g.span, g.into, g.tile * out])]);
  const parts = Array.from({ length: g.tile }, (_, j) => {
    const before = g.lead + j * g.stride[1];
    return emit.node("Slice", [
      tiled,
      emit.ints([before, j * out]),
      emit.ints([before + g.kernel[1], (j + 1) * out]),
      emit.ints([1, 3]),
    ]);
  });
  return emit.node("Transpose", [parts.reduce((a, b) => emit.node("Add", [a, b]))], { perm: [3, 2, 0, 1] });
}
