/** Two-tap bilinear sampling of squares, in fixed point, rounded once. */
import type { Space } from "./kernels.ts";
import type { RgbImage } from "./rgb.ts";

/** Fractional bits of one direction's weights: two directions and a byte stay below 2^31. */
const BITS = 11;
const ONE = 1 << BITS;
const HALF = 1 << (2 * BITS - 1);

/** For each place of the result: where its two pixels stand, `unit` numbers each, and the second's weight. */
export function taps(start: number, step: number, size: number, length: number, unit: number): Int32Array {
  const result = new Int32Array(3 * size);
  for (let i = 0; i < size; i++) {
    const position = Math.max(0, Math.min(start + (i + 0.5) * step - 0.5, length - 1));
    const first = Math.floor(position);
    result[3 * i] = first * unit;
    result[3 * i + 1] = Math.min(first + 1, length - 1) * unit;
    result[3 * i + 2] = Math.round((position - first) * ONE);
  }
  return result;
}

/** What `byScript` computes, bit for bit. */
export function byKernels(
  space: Space,
  out: Uint8Array,
  offset: number,
  { width, data }: RgbImage,
  size: number,
  columns: Int32Array,
  rows: Int32Array,
): void {
  const stride = 3 * width;
  const [top, bottom] = [rows[0] ?? 0, (rows.at(-2) ?? 0) + 1];
  const fromTop = rows.map((row, i) => (i % 3 === 2 ? row : row - top));
  const source = space.take((bottom - top) * stride + 16);
  const across = space.take(columns.byteLength);
  const down = space.take(rows.byteLength);
  const result = space.take(3 * size * size + 16);
  const scratch = space.take(2 * (12 * size + 64));
  const { buffer } = space.kernels.memory;
  new Uint8Array(buffer, source).set(data.subarray(top * stride, bottom * stride));
  new Int32Array(buffer, across).set(columns);
  new Int32Array(buffer, down).set(fromTop);
  space.kernels.bilinear(source, stride, result, size, across, down, scratch);
  out.set(new Uint8Array(buffer, result, 3 * size * size), offset);
}

export function byScript(
  out: Uint8Array,
  offset: number,
  { width, data }: RgbImage,
  size: number,
  columns: Int32Array,
  rows: Int32Array,
): void {
  let o = offset;
  for (let y = 0; y < size; y++) {
    const [first = 0, second = 0, w1 = 0] = rows.subarray(3 * y);
    const [upper, lower] = [first * width * 3, second * width * 3];
    for (let x = 0; x < size; x++) {
      const [p = 0, q = 0, v1 = 0] = columns.subarray(3 * x);
      const between = (row: number, c: number): number =>
        (data[row + p + c] ?? 0) * (ONE - v1) + (data[row + q + c] ?? 0) * v1;
      for (let c = 0; c < 3; c++)
        out[o++] = (between(upper, c) * (ONE - w1) + between(lower, c) * w1 + HALF) >> (2 * BITS);
    }
  }
}
