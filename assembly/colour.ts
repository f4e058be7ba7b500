/** From planes to RGB, the same bits as libjpeg-turbo's "fancy" upsampling (jdsample) and 16-bit conversion (jdcolor). */
import { high, low, pair } from "./lanes";

/**
 * Rows `top` to `bottom` of three planes to RGB, `width` pixels each, one row behind the other.
 * @param h, v how often a chroma sample stands for a luma sample: 1 1, 2 1 or 2 2
 * @param scratch two rows of `width` + 32 bytes and one of as many words
 */
export function toRgb(
  luma: usize,
  lumaStride: i32,
  blue: usize,
  red: usize,
  chromaStride: i32,
  chromaWidth: i32,
  chromaHeight: i32,
  h: i32,
  v: i32,
  width: i32,
  top: i32,
  bottom: i32,
  out: usize,
  scratch: usize,
): void {
  const blueRow = scratch;
  const redRow = scratch + <usize>((width + 47) & ~15);
  const sums = redRow + <usize>((width + 47) & ~15) + 16;
  for (let y = top; y < bottom; y++) {
    const near = v == 2 ? y >> 1 : y;
    const far = v == 2 ? min(max(y & 1 ? near + 1 : near - 1, 0), chromaHeight - 1) : near;
    let b = blue + <usize>(near * chromaStride);
    let r = red + <usize>(near * chromaStride);
    if (h == 2) {
      upsample(b, blue + <usize>(far * chromaStride), chromaWidth, v, sums, blueRow);
      upsample(r, red + <usize>(far * chromaStride), chromaWidth, v, sums, redRow);
      b = blueRow;
      r = redRow;
    }
    convertRow(luma + <usize>(y * lumaStride), b, r, width, out);
    out += <usize>(width * 3);
  }
}

/** Twice as wide by a triangle filter; with two rows, the nearer counts three times. */
function upsample(near: usize, far: usize, width: i32, v: i32, sums: usize, out: usize): void {
  const three = i16x8.splat(3);
  for (let x = 0; x < width; x += 8) {
    let sum = v128.load8x8_u(near + <usize>x);
    if (v == 2) sum = i16x8.add(i16x8.mul(sum, three), v128.load8x8_u(far + <usize>x));
    v128.store(sums + ((<usize>x) << 1), sum);
  }
  // The edges stand for what is beyond them.
  store<i16>(sums - 2, load<i16>(sums));
  store<i16>(sums + ((<usize>width) << 1), load<i16>(sums + ((<usize>(width - 1)) << 1)));
  const shift = v == 2 ? 4 : 2;
  const evenHalf = i16x8.splat(v == 2 ? 8 : 1);
  const oddHalf = i16x8.splat(v == 2 ? 7 : 2);
  for (let x = 0; x < width; x += 8) {
    const at = sums + ((<usize>x) << 1);
    const here = i16x8.mul(v128.load(at), three);
    const even = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(at - 2)), evenHalf), shift);
    const odd = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(at, 2)), oddHalf), shift);
    v128.store(out + ((<usize>x) << 1), v128.or(even, i16x8.shl(odd, 8)));
  }
}

/**
 * R = Y + 1.402 Cr, G = Y - 0.344136286 Cb - 0.714136286 Cr, B = Y + 1.772 Cb, each product rounded to an integer (of G their
 * sum); factors times 2^16, of which the whole part is added apart so that the rest fits 16 bits.
 */
function convertRow(luma: usize, blue: usize, red: usize, width: i32, out: usize): void {
  const middle = i16x8.splat(128);
  const half = i32x4.splat(32768);
  const kr = pair(0, 26345);
  const kg = pair(-22554, 18734);
  const kb = pair(-14942, 0);
  for (let x = 0; x < width; x += 8) {
    const y = v128.load8x8_u(luma + <usize>x);
    const cb = i16x8.sub(v128.load8x8_u(blue + <usize>x), middle);
    const cr = i16x8.sub(v128.load8x8_u(red + <usize>x), middle);
    const l = low(cb, cr);
    const h = high(cb, cr);
    const r = i16x8.add(i16x8.add(y, cr), rounded16(l, h, kr, half));
    const g = i16x8.add(i16x8.sub(y, cr), rounded16(l, h, kg, half));
    const b = i16x8.add(i16x8.add(y, i16x8.shl(cb, 1)), rounded16(l, h, kb, half));
    const rg = i8x16.narrow_i16x8_u(r, g);
    const bb = i8x16.narrow_i16x8_u(b, b);
    v128.store(out, v128.shuffle<u8>(rg, bb, 0, 8, 16, 1, 9, 17, 2, 10, 18, 3, 11, 19, 4, 12, 20, 5));
    v128.store64_lane(out, v128.shuffle<u8>(rg, bb, 13, 21, 6, 14, 22, 7, 15, 23, 0, 0, 0, 0, 0, 0, 0, 0), 0, 16);
    out += 24;
  }
}

function rounded16(l: v128, h: v128, by: v128, half: v128): v128 {
  return i16x8.narrow_i32x4_s(
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(l, by), half), 16),
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(h, by), half), 16),
  );
}
