/**
 * Linear layers, and large tables, in 8 bits. Weights: symmetric, a scale for each output channel, rounded when the program is compiled. Activations:
 * symmetric, a scale for each row (token), found in each run, so that a row's result does not depend on what else is in the batch.
 * Products are summed in 32-bit integers, which is exact; everything else stays in float32.
 */
import { elements, type HostTensor, type Node, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";

/** Smaller layers are not worth the rounding. */
const SMALLEST = 64;
/** Activations are stored as unsigned bytes around this. */
const ZERO = 128;

/** y = x W^T + b, or undefined where the layer is left in float32. */
export function lowerQuantizedLinear(context: Context, node: Node<"linear">): Name | undefined {
  const { emit, value, shared } = context;
  const [x, weight, bias] = node.inputs as [Tensor, Tensor, Tensor?];
  const [out = 0, into = 0] = weight.shape;
  const floats = context.known(weight);
  if (!floats || x.dtype !== "f32" || out < SMALLEST || into < SMALLEST) return undefined;
  const rows = elements(x.shape.slice(0, -1));
  const flat = x.shape.length === 2 ? value(x) : emit.node("Reshape", [value(x), emit.ints([rows, into])]);
  const scale = shared(`row scale ${value(x)}`, () => {
    const largest = emit.node("ReduceMax", [emit.node("Abs", [flat]), emit.ints([1])], { keepdims: 1 }); // [rows, 1]
    // A row of zeros has the scale 0: whatever bytes it gets, their products are multiplied by it.
    return emit.node("Mul", [largest, emit.scalar(1 / 127, "f32")]);
  });
  const bytes = shared(`row bytes ${value(x)}`, () => {
    const zeros = emit.node("Expand", [emit.scalar(ZERO, "u8"), emit.ints([rows])]);
    return emit.node("QuantizeLinear", [flat, emit.node("Reshape", [scale, emit.ints([rows])]), zeros], { axis: 0 });
  });
  const { weights, scales } = quantized(floats);
  const product = emit.contrib("MatMulIntegerToFloat", [
    ...[bytes, emit.int8([into, out], weights)],
    ...[emit.scalar(1, "f32"), emit.initializer(emit.fresh(), { dtype: "f32", shape: [out], data: scales })],
    emit.scalar(ZERO, "u8"),
  ]);
  const scaled = emit.node("Mul", [product, scale]);
  const y = bias ? emit.node("Add", [scaled, value(bias)]) : scaled;
  return x.shape.length === 2 ? y : emit.node("Reshape", [y, emit.ints([...x.shape.slice(0, -1), out])]);
}

/** Rows of a table in 8 bits, or undefined where it is left in float32. */
export function lowerQuantizedGather({ emit, value, known }: Context, node: Node<"gather">): Name | undefined {
  const [table, indices] = node.inputs as [Tensor, Tensor];
  const floats = known(table);
  if (floats?.dtype !== "f32" || table.shape.length !== 2 || elements(table.shape) < LARGE_TABLE) return undefined;
  const [rows = 0, width = 0] = table.shape;
  const { weights, scales } = quantized(floats, false);
  const gathered = (from: Name): Name => emit.node("Gather", [from, value(indices)], { axis: 0 });
  const bytes = emit.node("Cast", [gathered(emit.int8([rows, width], weights))], { to: FLOAT });
  const scale = emit.initializer(emit.fresh(), { dtype: "f32", shape: [rows, 1], data: scales });
  return emit.node("Mul", [bytes, gathered(scale)]);
}

/** Elements from which a table is worth storing in 8 bits: token embeddings are, positional ones are not. */
const LARGE_TABLE = 2 ** 18;
const FLOAT = 1;

interface Quantized {
  /** [in, out], or as the floats are. */
  readonly weights: Int8Array<ArrayBuffer>;
  /** Of each row of the floats. */
  readonly scales: Float32Array;
}

/** Kept while a program and its twin are lowered, by the array and the place in it. */
const rounded = new WeakMap<ArrayBufferLike, Map<string, Quantized>>();

/** Rounds a matrix [out, in] row by row to multiples of its largest magnitude over 127. */
function quantized({ data, shape }: HostTensor, transposed = true): Quantized {
  const all = rounded.get(data.buffer) ?? new Map<string, Quantized>();
  rounded.set(data.buffer, all);
  const place = `${data.byteOffset} ${shape} ${transposed}`;
  const known = all.get(place);
  if (known) return known;
  const [out = 0, into = 0] = shape;
  const weights = new Int8Array(out * into);
  const scales = new Float32Array(out);
  for (let row = 0; row < out; row++) {
    let largest = 0;
    for (let i = row * into; i < (row + 1) * into; i++) largest = Math.max(largest, Math.abs(data[i] ?? 0));
    const scale = Math.max(largest, 1e-30) / 127;
    scales[row] = scale;
    const [start, step] = transposed ? [row, out] : [row * into, 1];
    for (let i = 0; i < into; i++) weights[start + i * step] = Math.round((data[row * into + i] ?? 0) / scale);
  }
  const result = { weights, scales };
  all.set(place, result);
  return result;
}
