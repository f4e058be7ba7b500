/**
 * Kernels over tensors seen as rows [rows, channels]. onnxruntime's are slow where channels are few: a reduction over the rows runs
 * channel by channel and a broadcast row by row (measured: [32768, 16] sums 17 times, scales 3 times slower than memory allows),
 * so that several rows are taken as one wide row wherever their number allows it.
 */
import { elements, type Node, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Emitter, Name } from "./emitter.ts";

/** Channels from which onnxruntime's sums run at full speed, and its element-wise operations with a vector. */
const [WIDE_SUM, WIDE] = [128, 1024];
/** Partial sums of one reduction. */
const PARTS = 64;
/** Below this many elements the plain kernels are as good. */
const SMALL = 16_384;

/** The largest power of two up to `limit` that divides `count`. */
function powerOfTwo(count: number, limit: number): number {
  let result = 1;
  while (result * 2 <= limit && count % (result * 2) === 0) result *= 2;
  return result;
}

/** Sum over the rows of [rows, channels] -> [channels]: partial sums over wide rows, then their sum. */
export function columnSum(emit: Emitter, name: Name, rows: number, channels: number): Name {
  if (rows * channels < SMALL)
    return emit.node("ReduceSum", [emit.node("Reshape", [name, emit.ints([rows, channels])]), emit.ints([0])], {
      keepdims: 0,
    });
  const merged = powerOfTwo(rows, Math.max(1, WIDE_SUM / channels));
  const parts = powerOfTwo(rows / merged, PARTS);
  const wide = emit.node("Reshape", [name, emit.ints([parts, rows / merged / parts, channels * merged])]);
  const partial = emit.node("ReduceSum", [wide, emit.ints([1])], { keepdims: 0 });
  const flat = emit.node("Reshape", [partial, emit.ints([parts * merged, channels])]);
  return emit.node("ReduceSum", [flat, emit.ints([0])], { keepdims: 0 });
}

/** Element-wise op of [..., channels] with a vector [channels], the vector on the right. */
export function withVector(emit: Emitter, op: string, name: Name, shape: readonly number[], vector: Name): Name {
  const channels = shape.at(-1) ?? 1;
  const rows = elements(shape) / channels;
  const merged = powerOfTwo(rows, WIDE / channels);
  if (rows * channels < SMALL || merged === 1) return emit.node(op, [name, vector]);
  const wide = emit.node("Reshape", [name, emit.ints([rows / merged, channels * merged])]);
  const repeated = emit.node("Tile", [vector, emit.ints([merged])]);
  return emit.node("Reshape", [emit.node(op, [wide, repeated]), emit.ints(shape)]);
}

/** Whether a sum runs over all axes but the last. */
export function sumsRows(x: Tensor, axes: readonly number[]): boolean {
  return (
    x.dtype === "f32" && x.shape.length > 1 && axes.length === x.shape.length - 1 && !axes.includes(x.shape.length - 1)
  );
}

/** Channels up to which neighbours are averaged by a matrix product, beyond which its arithmetic costs more than copies do. */
const POOLED_BY_PRODUCT = 64;

/** [batch, height, width, channels] -> mean over window x window tiles: lines are added, then neighbours in a line. */
export function lowerAvgPool({ emit, value }: Context, x: Tensor, window: number, shape: readonly number[]): Name {
  const [batch = 0, height = 0, width = 0, channels = 0] = shape;
  const lines = emit.node("Reshape", [value(x), emit.ints([batch * height, window, width * window * channels])]);
  const added = emit.node("ReduceSum", [lines, emit.ints([1])], { keepdims: 0 });
  const neighbours = emit.node("Reshape", [added, emit.ints([batch * height * width, window * channels])]);
  const share = 1 / window ** 2;
  const mean =
    channels <= POOLED_BY_PRODUCT
      ? emit.node("Gemm", [neighbours, averaging(emit, window, channels)])
      : emit.node("Mul", [
          emit
            .nodes("Split", [neighbours], window, { axis: 1, num_outputs: window })
            .reduce((a, b) => emit.node("Add", [a, b])),
          emit.scalar(share, x.dtype),
        ]);
  return emit.node("Reshape", [mean, emit.ints(shape)]);
}

/** `window` identity matrices below each other, times 1 / window^2. */
function averaging(emit: Emitter, window: number, channels: number): Name {
  const data = new Float32Array(window * channels * channels);
  for (let row = 0; row < window * channels; row++) data[row * channels + (row % channels)] = 1 / window ** 2;
  return emit.initializer(emit.fresh(), { dtype: "f32", shape: [window * channels, channels], data });
}

/** A picture's elements repeated along its lines: [batch * height, window * width * channels]. */
function stretchedLines({ emit, value }: Context, x: Tensor, window: number): Name {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const repeated = repeat(emit, value(x), [batch * height * width, channels], window);
  return emit.node("Reshape", [repeated, emit.ints([batch * height, window * width * channels])]);
}

function repeat(emit: Emitter, name: Name, shape: readonly [rows: number, part: number], window: number): Name {
  const line = emit.node("Reshape", [name, emit.ints(shape)]);
  return emit.node("Concat", new Array<Name>(window).fill(line), { axis: 1 });
}

/** Each element repeated window x window times. */
export function lowerUpsample(context: Context, x: Tensor, window: number, shape: readonly number[]): Name {
  const { emit } = context;
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const lines = stretchedLines(context, x, window);
  const repeated = repeat(emit, lines, [batch * height, window * width * channels], window);
  return emit.node("Reshape", [repeated, emit.ints(shape)]);
}

/** Element-wise op of a tensor with an upsampled one, whose repeated lines the kernel reads again instead of their being written. */
export function withUpsampled(context: Context, op: string, name: Name, upsampled: Node<"upsample">): Name {
  const { emit } = context;
  const [x] = upsampled.inputs as [Tensor];
  const { window } = upsampled.attrs;
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const of = (lines: number): Name => emit.ints([batch * height, lines, window * width * channels]);
  const whole = emit.node("Reshape", [name, of(window)]);
  const lines = emit.node("Reshape", [stretchedLines(context, x, window), of(1)]);
  return emit.node("Reshape", [emit.node(op, [whole, lines]), emit.ints(upsampled.shape)]);
}
