import type { DType, HostArray } from "./dtype.ts";
import type { Sharding } from "./mesh.ts";

/** What a value of the graph is, without where it comes from. */
export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

type None = Readonly<Record<string, never>>;
type Axes = { readonly axes: readonly number[] };
type Pair = readonly [number, number];

export type Direction = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

/** Primitives: the semantics of StableHLO, static shapes, no implicit broadcast. */
export interface PrimitiveAttrs {
  input: { readonly name: string } & TensorType;
  /** A number fills the shape. */
  constant: { readonly value: number | HostArray } & TensorType;
  /** 0, 1, 2, ... along one axis. */
  iota: { readonly axis: number } & TensorType;
  neg: None;
  exp: None;
  log: None;
  sqrt: None;
  rsqrt: None;
  tanh: None;
  sigmoid: None;
  erf: None;
  abs: None;
  sign: None;
  not: None;
  add: None;
  sub: None;
  mul: None;
  div: None;
  pow: None;
  max: None;
  min: None;
  and: None;
  or: None;
  compare: { readonly direction: Direction };
  /** select(condition, whenTrue, whenFalse). */
  select: None;
  convert: { readonly dtype: DType };
  reshape: { readonly shape: readonly number[] };
  transpose: { readonly permutation: readonly number[] };
  /** Axis i of the operand becomes axis dimensions[i] of the result; axes of size 1 stretch. */
  broadcast: { readonly shape: readonly number[]; readonly dimensions: readonly number[] };
  slice: { readonly start: readonly number[]; readonly limit: readonly number[]; readonly stride: readonly number[] };
  /** Zeros before, after and between (interior) the elements of each axis. */
  pad: { readonly low: readonly number[]; readonly high: readonly number[]; readonly interior: readonly number[] };
  concat: { readonly axis: number };
  reverse: Axes;
  reduceSum: Axes;
  reduceMax: Axes;
  reduceMin: Axes;
  /** Index (i32) of the first highest element along the axis. */
  argmax: { readonly axis: number };
  /** Result axes: batch, then the left's free axes, then the right's. */
  dot: {
    readonly batch: readonly [readonly number[], readonly number[]];
    readonly contract: readonly [readonly number[], readonly number[]];
    /** Never in less than float32, whatever the precision of a program. @default false */
    readonly exact?: boolean;
  };
  /** gather(table [n, ...row], indices [...i]) -> [...i, ...row]. */
  gather: None;
  /** scatterAdd(table [n, ...row], indices [...i], updates [...i, ...row]): updates are added to the rows that the indices name. */
  scatterAdd: None;
  /** [batch, height, width, in] with a kernel [out, in, kernelHeight, kernelWidth] (the published layout). */
  convolution: { readonly stride: Pair; readonly padding: readonly [Pair, Pair] };
  /**
   * barrier(x, ...others) -> x, once the others are there. What is computed from it is never taken for what is computed from x itself,
   * so that a value can be computed again in place of being kept.
   */
  barrier: None;
  /** A further output of a composite that has several. */
  output: { readonly index: number };
}

/** Composites: a shape rule and a decomposition; engines with a kernel of that name lower them whole. */
export interface CompositeAttrs {
  relu: None;
  /** reluGrad(relu's output, gradient). */
  reluGrad: None;
  /** x * sigmoid(1.702 x). */
  quickGelu: None;
  quickGeluGrad: None;
  /** x * Phi(x), exact. */
  gelu: None;
  /** gelu by its tanh approximation (Hendrycks and Gimpel, arXiv 1606.08415, section 2): x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)). */
  geluTanh: None;
  geluTanhGrad: None;
  /** Along the last axis. */
  softmax: None;
  /** softmaxGrad(softmax's output, gradient). */
  softmaxGrad: None;
  logSoftmax: None;
  /** linear(x [..., in], weight [out, in], bias [out]?) -> [..., out]. */
  linear: None;
  /** layerNorm(x [..., width], gain, bias) -> y; further outputs: mean and inverse deviation [..., 1]. */
  layerNorm: { readonly epsilon: number };
  /** layerNormGrad(x, gain, mean, inverse deviation, gradient) -> dx; further outputs: dgain, dbias. */
  layerNormGrad: None;
  /** batchNorm(x [..., channels], gain, bias) -> y with the batch's statistics; further outputs: mean, biased variance [channels]. */
  batchNorm: { readonly epsilon: number };
  /** batchNormGrad(x, mean, variance, gradient) -> dx deviation / gain, which saves a pass over it; further outputs: dgain, dbias. */
  batchNormGrad: { readonly epsilon: number };
  /** linearBatchNorm(x [..., in], weight [out, in], gain, bias): batchNorm of the linear map; further outputs as batchNorm's. */
  linearBatchNorm: { readonly epsilon: number };
  /** linearBatchNormGrad(x, weight, gain, mean, variance, gradient) -> dx, mean and variance being linearBatchNorm's own; further outputs: dweight, dgain, dbias. */
  linearBatchNormGrad: { readonly epsilon: number };
  /** attention(q [batch, queries, width], k, v [batch, keys, width]) -> [batch, queries, width]; further output: probabilities [batch, heads, queries, keys]. */
  attention: { readonly heads: number; readonly causal: boolean };
  /** Mean over window x window tiles of [batch, height, width, channels]. */
  avgPool: { readonly window: number };
  /** Each element repeated window x window times: the shape of avgPool's gradient. */
  upsample: { readonly window: number };
  /** Gradient of a convolution to its kernel: (x, gradient of the result) -> [out, in, kernelHeight, kernelWidth]. */
  convolutionKernelGrad: { readonly stride: Pair; readonly padding: readonly [Pair, Pair]; readonly kernel: Pair };
  /** crossEntropy(logits [rows, classes], targets i32 [rows]) -> mean over the rows, a scalar. */
  crossEntropy: None;
  /** x / ||x|| along the last axis. */
  l2Normalize: None;
  /** gatherEach(tables [n, rows, ...row], indices [n, k]) -> [n, k, ...row]: of each table its own rows, so that tables may stand on different devices. */
  gatherEach: None;
  /** scatterAddEach(tables [n, rows, ...row], indices [n, k], updates [n, k, ...row]): as scatterAdd, of each table. */
  scatterAddEach: None;
  /** x itself, which an engine of many devices splits over its mesh as told, here and in the gradient; others do nothing. */
  placed: { readonly sharding: Sharding };
}

export interface OpAttrs extends PrimitiveAttrs, CompositeAttrs {}
export type PrimitiveName = keyof PrimitiveAttrs;
export type CompositeName = keyof CompositeAttrs;
export type OpName = keyof OpAttrs;

/** One value of a graph: the operation that makes it and what goes in. Immutable; the graph is these references. */
export interface Node<K extends OpName = OpName> extends TensorType {
  readonly id: number;
  readonly op: K;
  readonly attrs: OpAttrs[K];
  readonly inputs: readonly Tensor[];
}

export type Tensor = Node;

/** Narrows a tensor to the op that made it. */
export function made<K extends OpName>(tensor: Tensor, op: K): tensor is Tensor & Node<K> {
  return tensor.op === op;
}

/** `f32[2,3]`. */
export function show({ dtype, shape }: TensorType): string {
  return `${dtype}[${shape.join(",")}]`;
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);
