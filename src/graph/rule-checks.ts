/** What the rules of all ops check with. */
import { isFloat } from "./dtype.ts";
import { type OpAttrs, type OpName, sameShape, show, type Tensor, type TensorType } from "./tensor.ts";

export type RuleOf<Attrs> = (attrs: Attrs, inputs: readonly Tensor[]) => TensorType | readonly TensorType[];

/** The shape-and-dtype rule of an op: types of its outputs, or a refusal. */
export type Rule<K extends OpName> = RuleOf<OpAttrs[K]>;

/** Inputs of an op, checked for number; the message names the op. */
export function operands<const N extends number>(op: string, inputs: readonly Tensor[], count: N): Tuple<N> {
  if (inputs.length !== count) throw new Error(`${op}: expected ${count} operands, got ${inputs.length}`);
  return inputs as unknown as Tuple<N>;
}
type Tuple<N extends number, T extends Tensor[] = []> = T["length"] extends N ? T : Tuple<N, [...T, Tensor]>;

export function must(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}

export function axisOf(op: string, axis: number, rank: number): void {
  must(Number.isInteger(axis) && axis >= 0 && axis < rank, () => `${op}: axis ${axis} of a tensor of rank ${rank}`);
}

export function floating(op: string, tensor: TensorType): void {
  must(isFloat(tensor.dtype), () => `${op}: expected a floating dtype, got ${show(tensor)}`);
}

/** Operands beside x of x's dtype and of one shape. */
export function beside(op: string, x: TensorType, shape: readonly number[], ...others: readonly TensorType[]): void {
  const expected = { shape, dtype: x.dtype };
  for (const other of others)
    must(
      sameShape(other.shape, shape) && other.dtype === x.dtype,
      () => `${op}: expected ${show(expected)} beside ${show(x)}, got ${show(other)}`,
    );
}

export function distinct(op: string, axes: readonly number[]): void {
  must(new Set(axes).size === axes.length, () => `${op}: axes repeat: [${axes}]`);
}

const count = (size: number): boolean => Number.isInteger(size) && size >= 0;

export function sizes(op: string, shape: readonly number[]): readonly number[] {
  must(shape.every(count), () => `${op}: sizes are whole numbers, got [${shape}]`);
  return shape;
}

/** Amounts for each axis of x. */
export function amounts(op: string, x: TensorType, ...lists: readonly (readonly number[])[]): void {
  for (const list of lists) {
    must(list.length === x.shape.length, () => `${op}: [${list}] is of another rank than ${show(x)}`);
    must(list.every(count), () => `${op}: expected whole numbers for each axis of ${show(x)}, got [${list}]`);
  }
}

/** Output size of one spatial axis of a convolution. */
const windowed = (op: string, size: number, window: number, stride: number, [low, high]: readonly [number, number]) => {
  must(Number.isInteger(stride) && stride >= 1, () => `${op}: expected a stride of at least 1, got ${stride}`);
  const padded = size + low + high;
  must(padded >= window, () => `${op}: a window of ${window} does not fit ${size} padded by ${low} and ${high}`);
  return Math.floor((padded - window) / stride) + 1;
};

export function convolved(op: string, x: Tensor, kernel: Pair, out: number, a: OpAttrs["convolution"]): number[] {
  const [batch = 0, height = 0, width = 0] = x.shape;
  return [
    batch,
    windowed(op, height, kernel[0], a.stride[0], a.padding[0]),
    windowed(op, width, kernel[1], a.stride[1], a.padding[1]),
    out,
  ];
}
type Pair = readonly [number, number];
