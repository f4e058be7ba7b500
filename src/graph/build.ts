/** The functions that models are written with. Element-wise ones broadcast as numpy does, by explicit nodes. */
import type { DType, HostArray } from "./dtype.ts";
import { elements } from "./dtype.ts";
import type { Sharding } from "./mesh.ts";
import { node } from "./node.ts";
import { type CompositeAttrs, type Direction, made, type OpAttrs, sameShape, show, type Tensor } from "./tensor.ts";

type Operand = Tensor | number;

export function input(name: string, dtype: DType, shape: readonly number[]): Tensor {
  return node("input", { name, dtype, shape }, []);
}

/** A tensor filled with one number, or with given elements. */
export function constant(value: number | HostArray, dtype: DType, shape: readonly number[] = []): Tensor {
  return node("constant", { value, dtype, shape }, []);
}

/** 0, 1, 2, ... along `axis`. */
export function iota(dtype: DType, shape: readonly number[], axis: number): Tensor {
  return node("iota", { axis, dtype, shape }, []);
}

/** The value that fills a tensor, if it is a constant of one number. */
export function filledWith(x: Tensor): number | undefined {
  if (made(x, "constant") && typeof x.attrs.value === "number") return x.attrs.value;
  return made(x, "broadcast") && x.inputs[0] ? filledWith(x.inputs[0]) : undefined;
}

function broadcastShape(op: string, a: Tensor, b: Tensor): number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[a.shape.length - rank + i] ?? 1;
    const y = b.shape[b.shape.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Error(`${op}: shapes do not broadcast: ${show(a)} and ${show(b)}`);
    return x === 1 ? y : x;
  });
}

/** Stretches to a shape as numpy does: axes are matched from the last. */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  return broadcast(
    x,
    shape,
    Array.from(x.shape, (_, i) => shape.length - x.shape.length + i),
  );
}

/** Axis i becomes axis dimensions[i] of `shape`; axes of size 1 stretch. */
export function broadcast(x: Tensor, shape: readonly number[], dimensions: readonly number[]): Tensor {
  return sameShape(x.shape, shape) ? x : node("broadcast", { shape, dimensions }, [x]);
}

function lift(x: Operand, like: Operand): Tensor {
  if (typeof x !== "number") return x;
  if (typeof like === "number") throw new Error("an element-wise op needs at least one tensor");
  return constant(x, like.dtype);
}

function pairwise(op: "add" | "sub" | "mul" | "div" | "pow" | "max" | "min" | "and" | "or") {
  return (a: Operand, b: Operand): Tensor => {
    const [x, y] = aligned(op, a, b);
    return node(op, {}, [x, y]);
  };
}

function aligned(op: string, a: Operand, b: Operand): [Tensor, Tensor] {
  const [x, y] = [lift(a, b), lift(b, a)];
  const shape = broadcastShape(op, x, y);
  return [broadcastTo(x, shape), broadcastTo(y, shape)];
}

export const add = pairwise("add");
export const sub = pairwise("sub");
export const mul = pairwise("mul");
export const div = pairwise("div");
export const pow = pairwise("pow");
export const max = pairwise("max");
export const min = pairwise("min");
export const and = pairwise("and");
export const or = pairwise("or");

export function compare(a: Operand, direction: Direction, b: Operand): Tensor {
  return node("compare", { direction }, aligned("compare", a, b));
}

export function select(condition: Tensor, yes: Operand, no: Operand): Tensor {
  const [y, n] = aligned("select", yes, no);
  const shape = broadcastShape("select", condition, y);
  return node("select", {}, [broadcastTo(condition, shape), broadcastTo(y, shape), broadcastTo(n, shape)]);
}

function mapped(op: "neg" | "exp" | "log" | "sqrt" | "rsqrt" | "tanh" | "sigmoid" | "erf" | "abs" | "sign" | "not") {
  return (x: Tensor): Tensor => node(op, {}, [x]);
}

export const neg = mapped("neg");
export const exp = mapped("exp");
export const log = mapped("log");
export const sqrt = mapped("sqrt");
export const rsqrt = mapped("rsqrt");
export const tanh = mapped("tanh");
export const sigmoid = mapped("sigmoid");
export const erf = mapped("erf");
export const abs = mapped("abs");
export const sign = mapped("sign");
export const not = mapped("not");
export const square = (x: Tensor): Tensor => mul(x, x);

export function convert(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : node("convert", { dtype }, [x]);
}

/** One size may be -1: it is what is left. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const known = elements(shape.filter((size) => size !== -1));
  const full = shape.map((size) => (size === -1 ? elements(x.shape) / known : size));
  if (sameShape(x.shape, full)) return x;
  return node("reshape", { shape: full }, [x]);
}

export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const same = permutation.length === x.shape.length && permutation.every((axis, i) => axis === i);
  return same ? x : node("transpose", { permutation }, [x]);
}

/** start <= index < limit along one axis. */
export function sliceAxis(x: Tensor, axis: number, start: number, limit: number, stride = 1): Tensor {
  const at = (value: number, otherwise: (size: number) => number) =>
    x.shape.map((size, i) => (i === axis ? value : otherwise(size)));
  return slice(
    x,
    at(start, () => 0),
    at(limit, (size) => size),
    at(stride, () => 1),
  );
}

export function slice(
  x: Tensor,
  start: readonly number[],
  limit: readonly number[],
  stride = start.map(() => 1),
): Tensor {
  if (sameShape(limit, x.shape) && start.every((s) => s === 0) && stride.every((s) => s === 1)) return x;
  return node("slice", { start, limit, stride }, [x]);
}

/** Zeros before, after and between the elements. */
export function pad(x: Tensor, low: readonly number[], high: readonly number[], interior = low.map(() => 0)): Tensor {
  const nothing = [...low, ...high, ...interior].every((amount) => amount === 0);
  return nothing ? x : node("pad", { low, high, interior }, [x]);
}

export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const [only] = parts;
  return parts.length === 1 && only ? only : node("concat", { axis }, parts);
}

export function reverse(x: Tensor, axes: readonly number[]): Tensor {
  return node("reverse", { axes }, [x]);
}

function reduction(op: "reduceSum" | "reduceMax" | "reduceMin") {
  return (x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i), keepAxes = false): Tensor => {
    const reduced = axes.length === 0 ? x : node(op, { axes: [...axes].sort((a, b) => a - b) }, [x]);
    return keepAxes
      ? reshape(
          reduced,
          x.shape.map((size, i) => (axes.includes(i) ? 1 : size)),
        )
      : reduced;
  };
}

/** Reductions drop the axes (all by default) unless `keepAxes` leaves them with size 1. */
export const reduceSum = reduction("reduceSum");
export const reduceMax = reduction("reduceMax");
export const reduceMin = reduction("reduceMin");

export function reduceMean(x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i), keepAxes = false): Tensor {
  return mul(reduceSum(x, axes, keepAxes), 1 / elements(axes.map((axis) => x.shape[axis] ?? 1)));
}

export function argmax(x: Tensor, axis = x.shape.length - 1): Tensor {
  return node("argmax", { axis }, [x]);
}

/** Sums over pairs of contracted axes, for each index of the paired batch axes. */
export function dot(a: Tensor, b: Tensor, axes: OpAttrs["dot"]): Tensor {
  return node("dot", axes, [a, b]);
}

/** a [..., m, k] times b [..., k, n]; the leading axes are equal, or b is a plain matrix. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const [rankA, rankB] = [a.shape.length, b.shape.length];
  if (a.shape.at(-1) !== b.shape[rankB - 2]) throw new Error(`matmul: inner sizes differ: ${show(a)} x ${show(b)}`);
  const lead = rankB === 2 ? [] : Array.from({ length: rankA - 2 }, (_, i) => i);
  return dot(a, b, { batch: [lead, lead], contract: [[rankA - 1], [rankB - 2]] });
}

/** Rows of a table: [n, ...row] by [...i] (i32) -> [...i, ...row]. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  return node("gather", {}, [table, indices]);
}

/** Of each of some tables its own rows: [n, rows, ...row] by indices [n, k] -> [n, k, ...row]. */
export function gatherEach(tables: Tensor, indices: Tensor): Tensor {
  return node("gatherEach", {}, [tables, indices]);
}

export function scatterAdd(table: Tensor, indices: Tensor, updates: Tensor): Tensor {
  return node("scatterAdd", {}, [table, indices, updates]);
}

/** x, once the others are there; no engine merges what follows from it with what follows from x. */
export function barrier(x: Tensor, others: readonly Tensor[]): Tensor {
  return node("barrier", {}, [x, ...others]);
}

/** x [batch, height, width, in], kernel [out, in, kh, kw] -> [batch, height', width', out]. */
export function convolution(x: Tensor, kernel: Tensor, { stride = 1, padding = 0 } = {}): Tensor {
  const both: [number, number] = [padding, padding];
  return node("convolution", { stride: [stride, stride], padding: [both, both] }, [x, kernel]);
}

/** A further output of a composite that has several. */
export function output(source: Tensor, index: number): Tensor {
  return index === 0 ? source : node("output", { index }, [source]);
}

export const relu = (x: Tensor): Tensor => node("relu", {}, [x]);
export const quickGelu = (x: Tensor): Tensor => node("quickGelu", {}, [x]);
export const gelu = (x: Tensor): Tensor => node("gelu", {}, [x]);
/** The activation of SigLIP. */
export const geluTanh = (x: Tensor): Tensor => node("geluTanh", {}, [x]);
export const softmax = (x: Tensor): Tensor => node("softmax", {}, [x]);
export const logSoftmax = (x: Tensor): Tensor => node("logSoftmax", {}, [x]);
export const l2Normalize = (x: Tensor): Tensor => node("l2Normalize", {}, [x]);

/** x [..., in], weight [out, in], bias [out] -> [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return node("linear", {}, bias ? [x, weight, bias] : [x, weight]);
}

/** Over the last axis. @param epsilon CLIP's is 1e-5 */
export function layerNorm(x: Tensor, gain: Tensor, bias: Tensor, epsilon = 1e-5): Tensor {
  return node("layerNorm", { epsilon }, [x, gain, bias]);
}

/** With the statistics of the batch, over all axes but the last; `mean` and the biased `variance` feed running statistics. */
export function batchNorm(x: Tensor, gain: Tensor, bias: Tensor, epsilon = 1e-5) {
  const y = node("batchNorm", { epsilon }, [x, gain, bias]);
  return { y, mean: output(y, 1), variance: output(y, 2) };
}

/**
 * `batchNorm(linear(x, weight), gain, bias)` with the batch's statistics. Known to be linear, an engine can work out the statistics
 * of a wide result from those of a narrow x.
 */
export function linearBatchNorm(x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor, epsilon = 1e-5) {
  const y = node("linearBatchNorm", { epsilon }, [x, weight, gain, bias]);
  return { y, mean: output(y, 1), variance: output(y, 2) };
}

/** Scaled dot-product attention of already projected q, k, v [batch, tokens, width]. */
export function attention(q: Tensor, k: Tensor, v: Tensor, attrs: CompositeAttrs["attention"]): Tensor {
  return node("attention", attrs, [q, k, v]);
}

/** Mean over window x window tiles of [batch, height, width, channels]. */
export function avgPool(x: Tensor, window: number): Tensor {
  return window === 1 ? x : node("avgPool", { window }, [x]);
}

/** x, split over the mesh as told where an engine has one. */
export const placed = (x: Tensor, sharding: Sharding): Tensor => node("placed", { sharding }, [x]);

/** Mean cross entropy of logits [rows, classes] against class indices i32 [rows]. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return node("crossEntropy", {}, [logits, targets]);
}
