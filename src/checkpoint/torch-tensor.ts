/** Tensors of torch: views of storages, with an offset and strides. */
import type { TorchTensor } from "./pickle-values.ts";
import { STORED_BYTES } from "./stored-dtypes.ts";
import type { TensorInfo } from "./tensor-file.ts";

/** A tensor whose place was checked: every element lies inside its storage. */
export interface PlacedTensor extends TensorInfo {
  readonly key: string;
  /** In elements. */
  readonly offset: number;
  readonly strides: readonly number[];
  /** Elements of the storage that it spans, from the offset on. */
  readonly extent: number;
}

/** Elements that a tensor may have beyond its storage's: broadcast views (stride 0) are legal, but could ask for any memory. */
const MOST_EXPANDED = 2 ** 20;

/**
 * Checks a tensor against its storage.
 * @param bytes what the storage really has in the file; undefined if it is not there
 * @throws one line without the tensor's name
 */
export function placed(
  { storage, dtype, offset, shape, strides }: TorchTensor,
  bytes: number | undefined,
): PlacedTensor {
  const { key, type, size: declared } = storage;
  if (dtype === undefined) throw new Error(`storage type ${type} is not supported`);
  if (bytes === undefined) throw new Error(`its storage ${JSON.stringify(key)} is not in the file`);
  const width = STORED_BYTES[dtype];
  const expected = storage.dtype === undefined ? declared : declared * width;
  if (bytes !== expected)
    throw new Error(`its storage ${JSON.stringify(key)} has ${bytes} bytes, declared are ${expected}`);
  const size = Math.floor(bytes / width);
  if (shape.length !== strides.length || ![offset, ...shape, ...strides].every(isCount))
    throw new Error(`shape [${shape}], strides [${strides}], offset ${offset}: expected whole numbers from 0 on`);
  const elements = elementsIn(shape);
  const extent = elements === 0 ? 0 : shape.reduce((sum, n, axis) => sum + (n - 1) * (strides[axis] ?? 0), 1);
  if (offset + extent > size)
    throw new Error(
      `shape [${shape}], strides [${strides}], offset ${offset} go beyond its storage of ${size} elements`,
    );
  if (elements > Math.max(size, MOST_EXPANDED))
    throw new Error(`shape [${shape}] has ${elements} elements, its storage only ${size}`);
  return { key, dtype, shape, strides, offset, extent };
}

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/**
 * The elements of a tensor in row-major order, as bytes.
 * @param span the bytes that the tensor spans in its storage
 */
export function contiguous({ dtype, shape, strides }: PlacedTensor, span: Uint8Array): Uint8Array {
  if (isContiguous(shape, strides)) return span;
  const width = STORED_BYTES[dtype];
  const elements = elementsIn(shape);
  // Eight bytes are copied as two numbers: as one of 64 bits they would be slow or, as doubles, not always themselves.
  const units = width === 8 ? 2 : 1;
  const source = viewOf(span.slice().buffer, width);
  const result = viewOf(new ArrayBuffer(elements * width), width);
  const [inner = 1, step = 0] = [shape.at(-1), strides.at(-1)];
  const outer = shape.slice(0, -1);
  const index = outer.map(() => 0);
  for (let at = 0, from = 0; at < elements; at += inner) {
    for (let i = 0; i < inner; i++)
      for (let unit = 0; unit < units; unit++)
        result[(at + i) * units + unit] = source[(from + i * step) * units + unit] ?? 0;
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      const [n = 1, stride = 0, i = 0] = [outer[axis], strides[axis], index[axis]];
      from += stride;
      index[axis] = i + 1;
      if (i + 1 < n) break;
      from -= n * stride;
      index[axis] = 0;
    }
  }
  return new Uint8Array(result.buffer);
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const n = shape[axis] ?? 0;
    if (n !== 1 && strides[axis] !== expected) return false;
    expected *= n;
  }
  return true;
}

function viewOf(buffer: ArrayBuffer, width: number): Uint8Array | Uint16Array | Uint32Array {
  return width >= 4 ? new Uint32Array(buffer) : width === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}

/** 0 wherever an axis is empty, also where the others would overflow. */
function elementsIn(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, n) => product * n, 1);
}
