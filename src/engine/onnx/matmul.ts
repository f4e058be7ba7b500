import { elements, type Node, sameShape, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Emitter, Name } from "./emitter.ts";
import { planeProduct } from "./plane-product.ts";
import { lowerQuantizedLinear } from "./quantized.ts";

/** A factor of a matrix product: its name, whether its contracted axis stands first, and its sizes. */
interface Factor {
  readonly name: Name;
  readonly transposed: boolean;
  readonly free: readonly number[];
}

/** Brings one side of a dot to [batch..., free, contracted] or, transposed, [batch..., contracted, free]; copies only if it must. */
function factor(context: Context, x: Tensor, batch: readonly number[], contract: readonly number[]): Factor {
  const { emit } = context;
  const free = x.shape.flatMap((_, axis) => (batch.includes(axis) || contract.includes(axis) ? [] : [axis]));
  const sizes = (axes: readonly number[]): number[] => axes.map((axis) => x.shape[axis] ?? 0);
  const matrix = (transposed: boolean): number[] => {
    const [rows, columns] = [elements(sizes(free)), elements(sizes(contract))];
    return [...sizes(batch), ...(transposed ? [columns, rows] : [rows, columns])];
  };
  const stands = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);
  const transposed = !stands([...batch, ...free, ...contract]) && stands([...batch, ...contract, ...free]);
  const laid = transposed || stands([...batch, ...free, ...contract]);
  const whole = laid
    ? context.value(x)
    : emit.node("Transpose", [context.value(x)], { perm: [...batch, ...free, ...contract] });
  return { name: shaped(emit, whole, laid ? x.shape : undefined, matrix(transposed)), transposed, free: sizes(free) };
}

function shaped(emit: Emitter, name: Name, from: readonly number[] | undefined, to: readonly number[]): Name {
  return from && sameShape(from, to) ? name : emit.node("Reshape", [name, emit.ints(to)]);
}

/** Its last two axes exchanged. */
function turned({ emit, shared }: Context, { name }: Factor, rank: number): Name {
  const perm = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
  return shared(`turned ${name}`, () => emit.node("Transpose", [name], { perm }));
}

/** One Gemm (it transposes both sides for free), or a FusedMatMul a batch, which WebGPU lacks. */
export function lowerDot(context: Context, node: Node<"dot">): Name {
  const { emit } = context;
  const [a, b] = node.inputs as [Tensor, Tensor];
  const { batch, contract } = node.attrs;
  // The pairs in the order in which they stand on the left, so that at most one side is copied.
  const pairs = contract[0].map((axis, i) => [axis, contract[1][i] ?? 0] as const).sort((p, q) => p[0] - q[0]);
  const left = factor(
    context,
    a,
    batch[0],
    pairs.map(([axis]) => axis),
  );
  const right = factor(
    context,
    b,
    batch[1],
    pairs.map(([, axis]) => axis),
  );
  const [transA, transB] = [left.transposed ? 1 : 0, right.transposed ? 0 : 1];
  const rank = batch[0].length + 2;
  const contracted = pairs.reduce((product, [axis]) => product * (a.shape[axis] ?? 0), 1);
  const product = (): Name => {
    if (batch[0].length === 0 && transA === 1 && transB === 0) {
      const factors = [{ a: left.name, b: right.name, rows: contracted }];
      return tallProduct(context, factors, elements(left.free), elements(right.free));
    }
    if (batch[0].length === 0) return emit.node("Gemm", [left.name, right.name], { transA, transB });
    if (context.provider === "cpu") return emit.contrib("FusedMatMul", [left.name, right.name], { transA, transB });
    const [a, b] = [
      transA === 1 ? turned(context, left, rank) : left.name,
      transB === 1 ? turned(context, right, rank) : right.name,
    ];
    return emit.node("MatMul", [a, b]);
  };
  return node.shape.length === rank && left.free.length === 1 && right.free.length === 1
    ? product()
    : emit.node("Reshape", [product(), emit.ints(node.shape)]);
}

/** y = x W^T + b: the bias is the Gemm's third operand. */
export function lowerLinear(context: Context, node: Node<"linear">): Name {
  const { emit, value } = context;
  const quantized = context.arithmetic === "int8" ? lowerQuantizedLinear(context, node) : undefined;
  if (quantized !== undefined) return quantized;
  const [x, weight, bias] = node.inputs as [Tensor, Tensor, Tensor?];
  const [out = 0, into = 0] = weight.shape;
  const rows = elements(x.shape.slice(0, -1));
  const flat = x.shape.length === 2 ? value(x) : emit.node("Reshape", [value(x), emit.ints([rows, into])]);
  const operands = [flat, value(weight), ...(bias ? [value(bias)] : [])];
  const y = emit.node("Gemm", operands, { transB: 1 });
  return x.shape.length === 2 ? y : emit.node("Reshape", [y, emit.ints([...x.shape.slice(0, -1), out])]);
}

/** Rows that a part of a tall product has at least, and how many parts there are at most. */
const TALL_ROWS = 512;
const TALL_PARTS = 8;
/** Results beyond this many elements keep the threads busy by themselves. */
const TALL_RESULT = 2 ** 16;

/** Rows of a stretch by onnxruntime's direct kernels, and the most blocks of columns for which they are faster. */
const STRETCH = 128;
const MOST_BLOCKS = 4;
/** Of stretches: free sizes, which are traced as primes, are none, and attributes of a kernel cannot follow from them. */
const isPowerOfTwo = (count: number): boolean => count >= 1 && Number.isInteger(Math.log2(count));

/** Matrices [rows, m] and [rows, n]. */
export interface TallFactors {
  readonly a: Name;
  readonly b: Name;
  readonly rows: number;
}

/**
 * a^T b [m, n], summed over all factors given. The threads of onnxruntime share out a product's columns, of which there are few here, but
 * never the rows: stretches of rows are multiplied side by side and then added up (measured: 2 to 3 times faster), where one side has few
 * blocks of columns by direct kernels, which copy neither.
 */
export function tallProduct(context: Context, factors: readonly TallFactors[], m: number, n: number): Name {
  const { emit, provider, channelBlock: block } = context;
  const [only, another] = factors;
  const count = (only?.rows ?? 0) / STRETCH;
  if (block !== undefined && only && !another && isPowerOfTwo(count) && Math.min(m, n) <= MOST_BLOCKS * block) {
    const stretched = { stamp: [STRETCH, 1], dilations: [1, 1], batch: count } as const;
    if (m <= n && m % block === 0)
      return planeProduct(context, { stamps: only.a, columns: m, planes: only.b, size: [STRETCH, n], ...stretched });
    if (n < m && n % block === 0) {
      const turned = { stamps: only.b, columns: n, planes: only.a, size: [STRETCH, m], ...stretched } as const;
      return emit.node("Transpose", [planeProduct(context, turned)], { perm: [1, 0] });
    }
  }
  const isWhole = factors.length === 1 && factors.every(({ rows }) => stretches(rows) === 1);
  // Only onnxruntime's CPU kernels have FusedMatMul.
  if (provider !== "cpu" || m * n > TALL_RESULT || isWhole)
    return factors.reduce((sum, { a, b }) => emit.node("Gemm", sum === "" ? [a, b] : [a, b, sum], { transA: 1 }), "");
  const parts = factors.map(({ a, b, rows }) => {
    const count = stretches(rows);
    const cut = (x: Name, width: number): Name => emit.node("Reshape", [x, emit.ints([count, rows / count, width])]);
    return emit.contrib("FusedMatMul", [cut(a, m), cut(b, n)], { transA: 1 });
  });
  const all = parts.length === 1 ? (parts[0] ?? "") : emit.node("Concat", parts, { axis: 0 });
  return emit.node("ReduceSum", [all, emit.ints([0])], { keepdims: 0 });
}

/** Into how many stretches rows are cut. */
function stretches(rows: number): number {
  let count = 1;
  while (count < TALL_PARTS && rows % (count * 2) === 0 && rows / (count * 2) >= TALL_ROWS) count *= 2;
  return count;
}
