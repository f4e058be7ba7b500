/** Two-tap bilinear sampling, `src/image/bilinear.ts` says which; in the same fixed point, bit for bit. */
import { low, pair } from "./lanes";

const BITS: i32 = 11;
const HALF: i32 = 1 << (2 * BITS - 1);

/** A source row across, as `3 * size` sums of 32 bits; reads a byte and writes 4 behind the end. */
function across(source: usize, columns: usize, size: i32, sums: usize): void {
  for (let x = 0; x < size; x++) {
    const weight = load<i32>(columns, 8);
    const first = i16x8.extend_low_i8x16_u(v128.load32_zero(source + <usize>load<i32>(columns)));
    const second = i16x8.extend_low_i8x16_u(v128.load32_zero(source + <usize>load<i32>(columns, 4)));
    v128.store(sums, i32x4.dot_i16x8_s(low(first, second), pair((1 << BITS) - weight, weight)));
    columns += 12;
    sums += 12;
  }
}

function between(upper: usize, lower: usize, w0: v128, w1: v128): v128 {
  const sum = i32x4.add(i32x4.mul(v128.load(upper), w0), i32x4.mul(v128.load(lower), w1));
  return i32x4.shr_s(i32x4.add(sum, i32x4.splat(HALF)), 2 * BITS);
}

/**
 * `[size, size, 3]` bytes; writes up to 15 behind the end.
 * @param source RGB rows of `stride` bytes, and a byte behind them
 * @param columns of each column of the result: the byte at which its first pixel stands in a row, that of the second, the second's weight
 * @param rows of each row: the first source row, the second, the second's weight
 * @param scratch two rows of `12 * size + 64` bytes
 */
export function bilinear(
  source: usize,
  stride: i32,
  out: usize,
  size: i32,
  columns: usize,
  rows: usize,
  scratch: usize,
): void {
  const length = 12 * size;
  let upper = scratch;
  let lower = scratch + <usize>length + 64;
  // Each source row goes across once, not once for each row of the result.
  let upperRow = -1;
  let lowerRow = -1;
  for (let y = 0; y < size; y++) {
    const first = load<i32>(rows);
    const second = load<i32>(rows, 4);
    const weight = load<i32>(rows, 8);
    if (upperRow != first) {
      const free = upper;
      upper = lower;
      lower = free;
      const held = upperRow;
      upperRow = lowerRow;
      lowerRow = held;
    }
    if (upperRow != first) {
      across(source + <usize>first * <usize>stride, columns, size, upper);
      upperRow = first;
    }
    if (lowerRow != second) {
      across(source + <usize>second * <usize>stride, columns, size, lower);
      lowerRow = second;
    }
    const w0 = i32x4.splat((1 << BITS) - weight);
    const w1 = i32x4.splat(weight);
    for (let i = 0; i < length; i += 64) {
      const a = between(upper + <usize>i, lower + <usize>i, w0, w1);
      const b = between(upper + <usize>i + 16, lower + <usize>i + 16, w0, w1);
      const c = between(upper + <usize>i + 32, lower + <usize>i + 32, w0, w1);
      const d = between(upper + <usize>i + 48, lower + <usize>i + 48, w0, w1);
      const words = i16x8.narrow_i32x4_u(a, b);
      v128.store(out + <usize>(i >> 2), i8x16.narrow_i16x8_u(words, i16x8.narrow_i32x4_u(c, d)));
    }
    out += <usize>(3 * size);
    rows += 12;
  }
}
