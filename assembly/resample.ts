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

/**
 * `[rows, stride bytes]` of RGB to `[rows, width, 3]`; `rows` must be a multiple of four. The twelve values of a pixel in four
 * rows fill the lanes of three vectors: red, green, blue and the next row's red; and so on.
 */
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
  const row = <usize>(width * 3);
  for (let y = 0; y < rows; y += 4) {
    let w = weights;
    let o = out + <usize>y * row;
    for (let x = 0; x < width; x++) {
      let p0 = source + <usize>(load<i32>(starts + ((<usize>x) << 2)) * 3);
      let lowA = i32x4.splat(0);
      let lowB = i32x4.splat(0);
      let lowC = i32x4.splat(0);
      let highA = i32x4.splat(0);
      let highB = i32x4.splat(0);
      let highC = i32x4.splat(0);
      for (let k = 0; k < pairs >> 1; k++) {
        // Four taps of a row: r0 g0 b0 r1 g1 b1 r2 ...; of each channel 0 and 1 go to the lower half, 2 and 3 to the upper.
        const p1 = p0 + <usize>stride;
        const p2 = p1 + <usize>stride;
        const v0 = v128.load(p0);
        const v1 = v128.load(p1);
        const v2 = v128.load(p2);
        const v3 = v128.load(p2 + <usize>stride);
        const a = v128.shuffle<u8>(v0, v1, 0, 3, 1, 4, 2, 5, 16, 19, 6, 9, 7, 10, 8, 11, 22, 25);
        const b = v128.shuffle<u8>(v1, v2, 1, 4, 2, 5, 16, 19, 17, 20, 7, 10, 8, 11, 22, 25, 23, 26);
        const c = v128.shuffle<u8>(v2, v3, 2, 5, 16, 19, 17, 20, 18, 21, 8, 11, 22, 25, 23, 26, 24, 27);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        const a0 = i16x8.extend_low_i8x16_u(a);
        const b0 = i16x8.extend_low_i8x16_u(b);
        const c0 = i16x8.extend_low_i8x16_u(c);
        lowA = i32x4.add(lowA, i32x4.dot_i16x8_s(a0, wl));
        highA = i32x4.add(highA, i32x4.dot_i16x8_s(a0, wh));
        lowB = i32x4.add(lowB, i32x4.dot_i16x8_s(b0, wl));
        highB = i32x4.add(highB, i32x4.dot_i16x8_s(b0, wh));
        lowC = i32x4.add(lowC, i32x4.dot_i16x8_s(c0, wl));
        highC = i32x4.add(highC, i32x4.dot_i16x8_s(c0, wh));
        const wl2 = v128.load32_splat(w, 8);
        const wh2 = v128.load32_splat(w, 12);
        const a1 = i16x8.extend_high_i8x16_u(a);
        const b1 = i16x8.extend_high_i8x16_u(b);
        const c1 = i16x8.extend_high_i8x16_u(c);
        lowA = i32x4.add(lowA, i32x4.dot_i16x8_s(a1, wl2));
        highA = i32x4.add(highA, i32x4.dot_i16x8_s(a1, wh2));
        lowB = i32x4.add(lowB, i32x4.dot_i16x8_s(b1, wl2));
        highB = i32x4.add(highB, i32x4.dot_i16x8_s(b1, wh2));
        lowC = i32x4.add(lowC, i32x4.dot_i16x8_s(c1, wl2));
        highC = i32x4.add(highC, i32x4.dot_i16x8_s(c1, wh2));
        p0 += 12;
        w += 16;
      }
      if (pairs & 1) {
        const p1 = p0 + <usize>stride;
        const p2 = p1 + <usize>stride;
        const v1 = v128.load64_zero(p1);
        const v2 = v128.load64_zero(p2);
        const a = v128.shuffle<u8>(v128.load64_zero(p0), v1, 0, 3, 1, 4, 2, 5, 16, 19, 0, 0, 0, 0, 0, 0, 0, 0);
        const b = v128.shuffle<u8>(v1, v2, 1, 4, 2, 5, 16, 19, 17, 20, 0, 0, 0, 0, 0, 0, 0, 0);
        const v3 = v128.load64_zero(p2 + <usize>stride);
        const c = v128.shuffle<u8>(v2, v3, 2, 5, 16, 19, 17, 20, 18, 21, 0, 0, 0, 0, 0, 0, 0, 0);
        const wl = v128.load32_splat(w);
        const wh = v128.load32_splat(w, 4);
        const a0 = i16x8.extend_low_i8x16_u(a);
        const b0 = i16x8.extend_low_i8x16_u(b);
        const c0 = i16x8.extend_low_i8x16_u(c);
        lowA = i32x4.add(lowA, i32x4.dot_i16x8_s(a0, wl));
        highA = i32x4.add(highA, i32x4.dot_i16x8_s(a0, wh));
        lowB = i32x4.add(lowB, i32x4.dot_i16x8_s(b0, wl));
        highB = i32x4.add(highB, i32x4.dot_i16x8_s(b0, wh));
        lowC = i32x4.add(lowC, i32x4.dot_i16x8_s(c0, wl));
        highC = i32x4.add(highC, i32x4.dot_i16x8_s(c0, wh));
        w += 8;
      }
      const ab = i16x8.narrow_i32x4_s(rounded(lowA, highA), rounded(lowB, highB));
      const cc = i16x8.narrow_i32x4_s(rounded(lowC, highC), highC);
      const bytes = i8x16.narrow_i16x8_u(ab, cc);
      v128.store16_lane(o, bytes, 0);
      v128.store8_lane(o, bytes, 2, 2);
      const o1 = o + row;
      v128.store8_lane(o1, bytes, 3);
      v128.store16_lane(o1, bytes, 2, 1);
      const o2 = o1 + row;
      v128.store16_lane(o2, bytes, 3);
      v128.store8_lane(o2, bytes, 8, 2);
      const o3 = o2 + row;
      v128.store8_lane(o3, bytes, 9);
      v128.store16_lane(o3, bytes, 5, 1);
      o += 3;
    }
    source += <usize>(stride << 2);
  }
}

/** The same of four channels, two rows at a time. */
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
