/** Element types of graph tensors. Features and weights are f32; f64 exists for the reference engine's gradient checks. */
export type DType = "f64" | "f32" | "i32" | "u8" | "bool";

/** A host array that can hold elements of any dtype; `bool` is one byte an element, 0 or 1. */
export type HostArray = Float64Array | Float32Array | Int32Array | Uint8Array;

/** A tensor in the host's memory, row-major. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** Bytes an element. */
export const BYTES = { f64: 8, f32: 4, i32: 4, u8: 1, bool: 1 } as const satisfies Record<DType, number>;

const ARRAYS = {
  f64: Float64Array,
  f32: Float32Array,
  i32: Int32Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>;

/** A new host array of `length` zeros that fits the dtype. */
export function hostArray(dtype: DType, length: number): HostArray {
  return new ARRAYS[dtype](length);
}

/** Views bytes as elements of a dtype; copies only if the bytes are not aligned for it. */
export function viewBytes(dtype: DType, bytes: Uint8Array): HostArray {
  const aligned = bytes.byteOffset % BYTES[dtype] === 0 ? bytes : new Uint8Array(bytes); // slice() of a Buffer would not copy
  return new ARRAYS[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / BYTES[dtype]);
}

/** Whether the array is of the class that holds this dtype. */
export function fits(dtype: DType, data: HostArray): boolean {
  return data instanceof ARRAYS[dtype];
}

/** A host tensor; `data` may be a list of numbers, which is converted. Throws if the length does not fit the shape. */
export function hostTensor(dtype: DType, shape: readonly number[], data: HostArray | readonly number[]): HostTensor {
  const expected = elements(shape);
  if (data.length !== expected)
    throw new Error(`hostTensor: shape [${shape}] has ${expected} elements, the data has ${data.length}`);
  if (!Array.isArray(data) && fits(dtype, data as HostArray)) return { dtype, shape, data: data as HostArray };
  const array = hostArray(dtype, expected);
  array.set(data);
  return { dtype, shape, data: array };
}

export const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "f64";

/** Number of elements of a shape; 1 for a scalar. */
export function elements(shape: readonly number[]): number {
  let product = 1;
  for (const size of shape) product *= size;
  return product;
}

/** Row-major strides, in elements. */
export function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = step;
    step *= shape[axis] ?? 1;
  }
  return result;
}
