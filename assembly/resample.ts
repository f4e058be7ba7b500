/**
 * Both passes of Pillow's resampler; `src/image/resample.ts` says what they compute. A weight w of 22 fractional bits is
 * split into w = (high << 11) + low, which fit 16 bits each: two products of 16 bits and their sum are one instruction. Sums
 * wrap modulo 2^32 as Pillow's do, so that the order of summation does not matter.
 *
 * Weights come in pairs of neighbouring taps, `pairs` of them for each output: a word of two low halves and one of two high
 * ones; what is missing is zero. What a zero weight meets must only be readable memory.
 */
const BITS: i32 = 22;
const SPLIT: i32 = 11;

function rounded(low: v128, high: v128): v128 {
  const sum = i32x4.add(i32x4.shl(high, SPLIT), low);
  return i32x4.shr_s(i32x4.add(sum, i32x4.splat(1 << (BITS - 1))), BITS);
}

/** One pixel of each of two rows, 4 bytes each. */
function twoPixels(low0: v128, high0: v128, low1: v128, high1: v128): v128 {
  const words = i16x8.narrow_i32x4_s(rounded(low0, high0), rounded(low1, high1));
  return i8x16.narrow_i16x8_u(words, words);
}

/** `[rows, stride bytes]` of RGB to `[rows, width, 3]`; `rows` must be even. */
export function acrossRgb(
  source: usize,
  stride: i32,
  rows: i32,
  out: usize,
  width: i32,
  starts: usize,
  weights: usize,
  pairs: i32,
): void {
  for (let y = 0; y < rows; y += 2) {
    let w = weights;
    let o = out + <usize>(y * width * 3);
    const o1 = <usize>(width * 3);
    for (let x = 0; x < width; x++) {
      let p = source + <usize>(load<i32>(starts + ((<usize>x) << 2)) * 3);
      let low0 = i32x4.splat(0);
      let high0 = i32x4.splat(0);
      let low1 = i32x4.splat(0);
      let high1 = i32x4.splat(0);
      for (let k = 0; k < pairs >> 1; k++) {
        // r0 g0 b0 r1 g1 b1 r2 ... -> r0 r1 g0 g1 b0 b1 - -, the same of 2 and 3; then 16 bits each
        const v0 = v128.load(p);
        const v1 = v128.load(p + <usize>stride);
        const s0 = v128.shuffle<u8>(v0, v0, 0, 3, 1, 4, 2, 5, 0, 0, 6, 9, 7, 10, 8, 11, 0, 0);
        const s1 = v128.shuffle<u8>(v1, v1, 0, 3, 1, 4, 2, 5, 0, 0, 6, 9, 7, 10, 8, 11, 0, 0);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        const a0 = i16x8.extend_low_i8x16_u(s0);
        const a1 = i16x8.extend_low_i8x16_u(s1);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a0, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a0, wh));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(a1, wl));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(a1, wh));
        const wl2 = v128.load32_splat(w, 8);
        const wh2 = v128.load32_splat(w, 12);
        const b0 = i16x8.extend_high_i8x16_u(s0);
        const b1 = i16x8.extend_high_i8x16_u(s1);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(b0, wl2));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(b0, wh2));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(b1, wl2));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(b1, wh2));
        p += 12;
        w += 16;
      }
      if (pairs & 1) {
        const v0 = v128.load64_zero(p);
        const v1 = v128.load64_zero(p + <usize>stride);
        const a0 = i16x8.extend_low_i8x16_u(v128.shuffle<u8>(v0, v0, 0, 3, 1, 4, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        const a1 = i16x8.extend_low_i8x16_u(v128.shuffle<u8>(v1, v1, 0, 3, 1, 4, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a0, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a0, wh));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(a1, wl));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(a1, wh));
        w += 8;
      }
      const two = twoPixels(low0, high0, low1, high1);
      v128.store16_lane(o, two, 0);
      v128.store8_lane(o, two, 2, 2);
      v128.store16_lane(o + o1, two, 2);
      v128.store8_lane(o + o1, two, 6, 2);
      o += 3;
    }
    source += <usize>(stride << 1);
  }
}

/** The same of four channels. */
export function acrossFour(
  source: usize,
  stride: i32,
  rows: i32,
  out: usize,
  width: i32,
  starts: usize,
  weights: usize,
  pairs: i32,
): void {
  for (let y = 0; y < rows; y += 2) {
    let w = weights;
    let o = out + <usize>((y * width) << 2);
    const o1 = <usize>(width << 2);
    for (let x = 0; x < width; x++) {
      let p = source + <usize>(load<i32>(starts + ((<usize>x) << 2)) << 2);
      let low0 = i32x4.splat(0);
      let high0 = i32x4.splat(0);
      let low1 = i32x4.splat(0);
      let high1 = i32x4.splat(0);
      for (let k = 0; k < pairs >> 1; k++) {
        const v0 = v128.load(p);
        const v1 = v128.load(p + <usize>stride);
        const s0 = v128.shuffle<u8>(v0, v0, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
        const s1 = v128.shuffle<u8>(v1, v1, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        const a0 = i16x8.extend_low_i8x16_u(s0);
        const a1 = i16x8.extend_low_i8x16_u(s1);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a0, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a0, wh));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(a1, wl));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(a1, wh));
        const wl2 = v128.load32_splat(w, 8);
        const wh2 = v128.load32_splat(w, 12);
        const b0 = i16x8.extend_high_i8x16_u(s0);
        const b1 = i16x8.extend_high_i8x16_u(s1);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(b0, wl2));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(b0, wh2));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(b1, wl2));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(b1, wh2));
        p += 16;
        w += 16;
      }
      if (pairs & 1) {
        const v0 = v128.load64_zero(p);
        const v1 = v128.load64_zero(p + <usize>stride);
        const a0 = i16x8.extend_low_i8x16_u(v128.shuffle<u8>(v0, v0, 0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0));
        const a1 = i16x8.extend_low_i8x16_u(v128.shuffle<u8>(v1, v1, 0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0));
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a0, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a0, wh));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(a1, wl));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(a1, wh));
        w += 8;
      }
      const two = twoPixels(low0, high0, low1, high1);
      v128.store32_lane(o, two, 0);
      v128.store32_lane(o + o1, two, 1);
      o += 4;
    }
    source += <usize>(stride << 1);
  }
}

/** Rows of `length` bytes, `stride` apart, to `[height, length]`; writes up to 7 bytes behind the end. */
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
  for (let y = 0; y < height; y++) {
    const top = source + <usize>load<i32>(starts + ((<usize>y) << 2)) * <usize>stride;
    for (let x = 0; x < length; x += 8) {
      let p = top + <usize>x;
      let w = weights;
      let low0 = i32x4.splat(0);
      let low1 = i32x4.splat(0);
      let high0 = i32x4.splat(0);
      let high1 = i32x4.splat(0);
      for (let k = 0; k < pairs; k++) {
        const a = v128.load8x8_u(p);
        const b = v128.load8x8_u(p + <usize>stride);
        const left = v128.shuffle<u16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        const right = v128.shuffle<u16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(left, wl));
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(right, wl));
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(left, wh));
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(right, wh));
        p += <usize>(stride << 1);
        w += 8;
      }
      const words = i16x8.narrow_i32x4_s(rounded(low0, high0), rounded(low1, high1));
      v128.store64_lane(out + <usize>x, i8x16.narrow_i16x8_u(words, words), 0);
    }
    weights += <usize>(pairs << 3);
    out += <usize>length;
  }
}
