/** From planes to RGB, the same bits as libjpeg-turbo's "fancy" upsampling (jdsample) and 16-bit conversion (jdcolor). */
import { bytesHigh, bytesLow, high, low, pair } from "./lanes";

/**
 * Rows `top` to `bottom` of three planes to RGB, `width` pixels each, one row behind the other; up to 49 bytes are written
 * behind the last.
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

/** Twice as wide by a triangle filter: the nearer of two rows counts three times (they may be one), as does the nearer column. */
function upsample(near: usize, far: usize, width: i32, v: i32, sums: usize, out: usize): void {
  const three = i16x8.splat(3);
  for (let x = 0; x < width; x += 8) {
    const sum = i16x8.add(i16x8.mul(v128.load8x8_u(near + <usize>x), three), v128.load8x8_u(far + <usize>x));
    v128.store(sums + ((<usize>x) << 1), sum);
  }
  // The edges stand for what is beyond them.
  store<i16>(sums - 2, load<i16>(sums));
  store<i16>(sums + ((<usize>width) << 1), load<i16>(sums + ((<usize>(width - 1)) << 1)));
  // Sixteenths, of which a half goes up and down in turns; if halved in one direction only, a fourth and a half go up.
  const evenHalf = i16x8.splat(v == 2 ? 8 : 4);
  const oddHalf = i16x8.splat(v == 2 ? 7 : 8);
  for (let x = 0; x < width; x += 8) {
    const at = sums + ((<usize>x) << 1);
    const here = i16x8.mul(v128.load(at), three);
    const even = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(at - 2)), evenHalf), 4);
    const odd = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(at, 2)), oddHalf), 4);
    v128.store(out + ((<usize>x) << 1), v128.or(even, i16x8.shl(odd, 8)));
  }
}

/**
 * R = Y + 1.402 Cr, G = Y - 0.344136286 Cb - 0.714136286 Cr, B = Y + 1.772 Cb, each product rounded to an integer (of G their
 * sum). Factors are less a whole number, which is added apart, so that they fit 16 bits: of red and blue times 2^15, which
 * rounds as libjpeg-turbo's 2^16 for all values of chroma.
 */
function convertRow(luma: usize, blue: usize, red: usize, width: i32, out: usize): void {
  const middle = i8x16.splat(-128);
  const together = i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  for (let x = 0; x < width; x += 16) {
    const y = v128.load(luma + <usize>x);
    const cb = v128.xor(v128.load(blue + <usize>x), middle);
    const cr = v128.xor(v128.load(red + <usize>x), middle);
    const y0 = i16x8.extend_low_i8x16_u(y);
    const y1 = i16x8.extend_high_i8x16_u(y);
    const cb0 = i16x8.extend_low_i8x16_s(cb);
    const cb1 = i16x8.extend_high_i8x16_s(cb);
    const cr0 = i16x8.extend_low_i8x16_s(cr);
    const cr1 = i16x8.extend_high_i8x16_s(cr);
    const r = i8x16.narrow_i16x8_u(redOf(y0, cr0), redOf(y1, cr1));
    const g = i8x16.narrow_i16x8_u(greenOf(y0, cb0, cr0), greenOf(y1, cb1, cr1));
    const b = i8x16.narrow_i16x8_u(blueOf(y0, cb0), blueOf(y1, cb1));
    // Four bytes a pixel, of which three are kept: the fourth is overwritten by the next one's.
    const rg0 = bytesLow(r, g);
    const rg1 = bytesHigh(r, g);
    const b0 = bytesLow(b, b);
    const b1 = bytesHigh(b, b);
    v128.store(out, i8x16.swizzle(low(rg0, b0), together));
    v128.store(out, i8x16.swizzle(high(rg0, b0), together), 12);
    v128.store(out, i8x16.swizzle(low(rg1, b1), together), 24);
    v128.store(out, i8x16.swizzle(high(rg1, b1), together), 36);
    out += 48;
  }
}

function redOf(y: v128, cr: v128): v128 {
  return i16x8.add(i16x8.add(y, cr), i16x8.q15mulr_sat_s(cr, i16x8.splat(13173)));
}

function blueOf(y: v128, cb: v128): v128 {
  return i16x8.add(i16x8.add(y, i16x8.add(cb, cb)), i16x8.q15mulr_sat_s(cb, i16x8.splat(-7471)));
}

function greenOf(y: v128, cb: v128, cr: v128): v128 {
  const by = pair(-22554, 18734);
  const half = i32x4.splat(32768);
  const product = i16x8.narrow_i32x4_s(
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(low(cb, cr), by), half), 16),
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(high(cb, cr), by), half), 16),
  );
  return i16x8.add(i16x8.sub(y, cr), product);
}
