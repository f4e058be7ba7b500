/**
 * Both passes of Pillow's resampler; `src/image/resample.ts` says what they compute. A weight w of 22 fractional bits is
 * split into w = (high << 11) + low, which fit 16 bits each: two products of 16 bits and their sum are one instruction. Sums
 * wrap modulo 2^32 as Pillow's do, so that the order of summation does not matter.
 *
 * Weights come in pairs of neighbouring taps, `pairs` of them for each output: a word of two low halves and one of two high
 * ones; what is missing is zero. What a zero weight meets must only be readable memory.
 */
import { bytesHigh, bytesLow } from "./lanes";

const BITS: i32 = 22;
const SPLIT: i32 = 11;

/** So many rows are transposed at a time: what becomes of them stays in the processor's first cache. */
const BAND: i32 = 16;
/** Bytes of a transposed column, of which pixels of three bytes leave some empty. */
const COLUMN: i32 = 4 * BAND;

/**
 * `[rows, columns]` pixels to `[rows, width]`: by `down` on the transposed picture, where neighbouring values have the same
 * weights. `rows` must be a multiple of 16; up to 13 bytes are written behind each row.
 * @param stride, outStride bytes from a row to the next
 * @param channels bytes of a pixel, 3 or 4
 * @param scratch 64 * (`columns` + 2 * `pairs` + `width` + 8) bytes
 */
export function across(
  source: usize,
  stride: i32,
  rows: i32,
  columns: i32,
  channels: i32,
  out: usize,
  outStride: i32,
  width: i32,
  starts: usize,
  weights: usize,
  pairs: i32,
  scratch: usize,
): void {
  const resampled = scratch + <usize>((columns + 2 * pairs + 4) * COLUMN);
  const length = BAND * channels;
  for (let y = 0; y < rows; y += BAND) {
    transpose(source, stride, BAND, columns, channels, scratch, COLUMN);
    down(scratch, COLUMN, length, resampled, width, starts, weights, pairs);
    transpose(resampled, length, width, BAND, channels, out, outStride);
    source += <usize>(BAND * stride);
    out += <usize>(BAND * outStride);
  }
}

/**
 * `[rows, columns]` pixels to `[columns, rows]`, four by four: both are rounded up. Behind four pixels of three bytes, four
 * bytes more are written, for the next ones to overwrite.
 */
function transpose(
  source: usize,
  stride: i32,
  rows: i32,
  columns: i32,
  channels: i32,
  out: usize,
  outStride: i32,
): void {
  const same = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const apart = channels == 3 ? i8x16(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1) : same;
  const together = channels == 3 ? i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1) : same;
  for (let y = 0; y < rows; y += 4) {
    let p0 = source;
    let o0 = out;
    for (let x = 0; x < columns; x += 4) {
      const p1 = p0 + <usize>stride;
      const p2 = p1 + <usize>stride;
      const p3 = p2 + <usize>stride;
      const v0 = i8x16.swizzle(v128.load(p0), apart);
      const v1 = i8x16.swizzle(v128.load(p1), apart);
      const v2 = i8x16.swizzle(v128.load(p2), apart);
      const v3 = i8x16.swizzle(v128.load(p3), apart);
      const a = v128.shuffle<u32>(v0, v1, 0, 4, 1, 5);
      const b = v128.shuffle<u32>(v0, v1, 2, 6, 3, 7);
      const c = v128.shuffle<u32>(v2, v3, 0, 4, 1, 5);
      const d = v128.shuffle<u32>(v2, v3, 2, 6, 3, 7);
      const o1 = o0 + <usize>outStride;
      const o2 = o1 + <usize>outStride;
      const o3 = o2 + <usize>outStride;
      v128.store(o0, i8x16.swizzle(v128.shuffle<u64>(a, c, 0, 2), together));
      v128.store(o1, i8x16.swizzle(v128.shuffle<u64>(a, c, 1, 3), together));
      v128.store(o2, i8x16.swizzle(v128.shuffle<u64>(b, d, 0, 2), together));
      v128.store(o3, i8x16.swizzle(v128.shuffle<u64>(b, d, 1, 3), together));
      p0 += <usize>(4 * channels);
      o0 += <usize>(4 * outStride);
    }
    source += <usize>(4 * stride);
    out += <usize>(4 * channels);
  }
}

/** Rows of `length` bytes, `stride` apart, to `[height, length]`; writes up to 15 bytes behind the end. */
export function down(
  source: usize,
  stride: i32,
  length: i32,
  out: usize,
  height: i32,
  starts: usize,
  weights: usize,
  pairs: i32,
): void {
  const zero = i32x4.splat(0);
  for (let y = 0; y < height; y++) {
    const top = source + <usize>load<i32>(starts + ((<usize>y) << 2)) * <usize>stride;
    for (let x = 0; x < length; x += 16) {
      let p = top + <usize>x;
      let w = weights;
      let low0 = zero;
      let low1 = zero;
      let low2 = zero;
      let low3 = zero;
      let high0 = zero;
      let high1 = zero;
      let high2 = zero;
      let high3 = zero;
      for (let k = 0; k < pairs; k++) {
        const a = v128.load(p);
        const b = v128.load(p + <usize>stride);
        const left = bytesLow(a, b);
        const right = bytesHigh(a, b);
        const ab0 = i16x8.extend_low_i8x16_u(left);
        const ab1 = i16x8.extend_high_i8x16_u(left);
        const ab2 = i16x8.extend_low_i8x16_u(right);
        const ab3 = i16x8.extend_high_i8x16_u(right);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(ab0, wl));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(ab1, wl));
        low2 = i32x4.add(low2, i32x4.dot_i16x8_s(ab2, wl));
        low3 = i32x4.add(low3, i32x4.dot_i16x8_s(ab3, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(ab0, wh));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(ab1, wh));
        high2 = i32x4.add(high2, i32x4.dot_i16x8_s(ab2, wh));
        high3 = i32x4.add(high3, i32x4.dot_i16x8_s(ab3, wh));
        p += <usize>(stride << 1);
        w += 8;
      }
      const words0 = i16x8.narrow_i32x4_s(rounded(low0, high0), rounded(low1, high1));
      const words1 = i16x8.narrow_i32x4_s(rounded(low2, high2), rounded(low3, high3));
      v128.store(out + <usize>x, i8x16.narrow_i16x8_u(words0, words1));
    }
    weights += <usize>(pairs << 3);
    out += <usize>length;
  }
}

function rounded(low: v128, high: v128): v128 {
  const sum = i32x4.add(i32x4.shl(high, SPLIT), low);
  return i32x4.shr_s(i32x4.add(sum, i32x4.splat(1 << (BITS - 1))), BITS);
}
