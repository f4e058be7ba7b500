/** The inverse DCT of 8 x 8 coefficients, the same bits as libjpeg-turbo's accurate integer one (jidctint). */
import { high, low, pair } from "./lanes";

/** A block that is one value. */
export function flat(dc: i32, out: usize, stride: i32): void {
  const value = max(-128, min(127, (dc + 4) >> 3)) + 128;
  const eight = <u64>value * 0x0101010101010101;
  for (let y = 0; y < 8; y++) store<u64>(out + <usize>(y * stride), eight);
}

export function clear(block: usize): void {
  const zero = i32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) v128.store(block + i, zero);
}

export function inverseDct(block: usize, quant: usize, between: usize, out: usize, stride: i32): void {
  for (let i: usize = 0; i < 128; i += 16)
    v128.store(between + i, i16x8.mul(v128.load(block + i), v128.load(quant + i)));
  clear(block);
  transformAndTranspose(between, 1 << (DESCALE - 1));
  transformAndTranspose(between, 1 << (DESCALE + REST - 1));
  const middle = i8x16.splat(-128);
  for (let y: usize = 0; y < 8; y += 2) {
    const upper = i16x8.shr_s(v128.load(between + (y << 4)), REST);
    const lower = i16x8.shr_s(v128.load(between + (y << 4), 16), REST);
    const bytes = v128.xor(i8x16.narrow_i16x8_s(upper, lower), middle);
    v128.store64_lane(out, bytes, 0);
    v128.store64_lane(out + <usize>stride, bytes, 1);
    out += <usize>(stride << 1);
  }
}

/**
 * The first pass ends with a shift by 11, the second by 18: so that both are the same code with a constant, which is a fourth of
 * the instructions of a variable, the second's rest is left to what follows. Only values that are cut off anyway saturate before.
 */
const DESCALE: i32 = 11;
const REST: i32 = 7;

/** Sums and differences of the even and the odd part, descaled to 16 bits. */
function descaled(a: v128, b: v128): v128 {
  return i16x8.narrow_i32x4_s(i32x4.shr_s(a, DESCALE), i32x4.shr_s(b, DESCALE));
}

/**
 * One dimension of the inverse DCT (Loeffler, Ligtenberg, Moschytz 1989, 13 fractional bits) down the columns of 8 x 8.
 * @param rounding what is added before the shifts, half of the last bit that is kept
 */
function transformAndTranspose(at: usize, rounding: i32): void {
  const in0 = v128.load(at);
  const in1 = v128.load(at, 16);
  const in2 = v128.load(at, 32);
  const in3 = v128.load(at, 48);
  const in4 = v128.load(at, 64);
  const in5 = v128.load(at, 80);
  const in6 = v128.load(at, 96);
  const in7 = v128.load(at, 112);

  // Even part. Constants times 2^13: 0.541196100 = 4433, 0.765366865 = 6270, 1.847759065 = 15137.
  const e0 = low(in2, in6);
  const e1 = high(in2, in6);
  const k3 = pair(4433 + 6270, 4433);
  const k2 = pair(4433, 4433 - 15137);
  const t3l = i32x4.dot_i16x8_s(e0, k3);
  const t3h = i32x4.dot_i16x8_s(e1, k3);
  const t2l = i32x4.dot_i16x8_s(e0, k2);
  const t2h = i32x4.dot_i16x8_s(e1, k2);
  const sum = i16x8.add(in0, in4);
  const dif = i16x8.sub(in0, in4);
  // Each result contains one of these.
  const half = i32x4.splat(rounding);
  const t0l = i32x4.add(i32x4.shl(i32x4.extend_low_i16x8_s(sum), 13), half);
  const t0h = i32x4.add(i32x4.shl(i32x4.extend_high_i16x8_s(sum), 13), half);
  const t1l = i32x4.add(i32x4.shl(i32x4.extend_low_i16x8_s(dif), 13), half);
  const t1h = i32x4.add(i32x4.shl(i32x4.extend_high_i16x8_s(dif), 13), half);
  const a0l = i32x4.add(t0l, t3l);
  const a0h = i32x4.add(t0h, t3h);
  const a3l = i32x4.sub(t0l, t3l);
  const a3h = i32x4.sub(t0h, t3h);
  const a1l = i32x4.add(t1l, t2l);
  const a1h = i32x4.add(t1h, t2h);
  const a2l = i32x4.sub(t1l, t2l);
  const a2h = i32x4.sub(t1h, t2h);

  // Odd part. 1.175875602 = 9633, 1.961570560 = 16069, 0.390180644 = 3196, 0.298631336 = 2446, 2.053119869 = 16819,
  // 3.072711026 = 25172, 1.501321110 = 12299, 0.899976223 = 7373, 2.562915447 = 20995.
  const z3 = i16x8.add(in7, in3);
  const z4 = i16x8.add(in5, in1);
  const zl = low(z3, z4);
  const zh = high(z3, z4);
  const kz3 = pair(9633 - 16069, 9633);
  const kz4 = pair(9633, 9633 - 3196);
  const z3l = i32x4.dot_i16x8_s(zl, kz3);
  const z3h = i32x4.dot_i16x8_s(zh, kz3);
  const z4l = i32x4.dot_i16x8_s(zl, kz4);
  const z4h = i32x4.dot_i16x8_s(zh, kz4);
  const p71l = low(in7, in1);
  const p71h = high(in7, in1);
  const p53l = low(in5, in3);
  const p53h = high(in5, in3);
  const k7 = pair(2446 - 7373, -7373);
  const k1 = pair(-7373, 12299 - 7373);
  const k5 = pair(16819 - 20995, -20995);
  const k33 = pair(-20995, 25172 - 20995);
  const o0l = i32x4.add(i32x4.dot_i16x8_s(p71l, k7), z3l);
  const o0h = i32x4.add(i32x4.dot_i16x8_s(p71h, k7), z3h);
  const o3l = i32x4.add(i32x4.dot_i16x8_s(p71l, k1), z4l);
  const o3h = i32x4.add(i32x4.dot_i16x8_s(p71h, k1), z4h);
  const o1l = i32x4.add(i32x4.dot_i16x8_s(p53l, k5), z4l);
  const o1h = i32x4.add(i32x4.dot_i16x8_s(p53h, k5), z4h);
  const o2l = i32x4.add(i32x4.dot_i16x8_s(p53l, k33), z3l);
  const o2h = i32x4.add(i32x4.dot_i16x8_s(p53h, k33), z3h);

  const r0 = descaled(i32x4.add(a0l, o3l), i32x4.add(a0h, o3h));
  const r7 = descaled(i32x4.sub(a0l, o3l), i32x4.sub(a0h, o3h));
  const r1 = descaled(i32x4.add(a1l, o2l), i32x4.add(a1h, o2h));
  const r6 = descaled(i32x4.sub(a1l, o2l), i32x4.sub(a1h, o2h));
  const r2 = descaled(i32x4.add(a2l, o1l), i32x4.add(a2h, o1h));
  const r5 = descaled(i32x4.sub(a2l, o1l), i32x4.sub(a2h, o1h));
  const r3 = descaled(i32x4.add(a3l, o0l), i32x4.add(a3h, o0h));
  const r4 = descaled(i32x4.sub(a3l, o0l), i32x4.sub(a3h, o0h));

  // Three rounds of interleaving rows i and i + 4 transpose 8 x 8.
  const b0 = low(r0, r4);
  const b1 = high(r0, r4);
  const b2 = low(r1, r5);
  const b3 = high(r1, r5);
  const b4 = low(r2, r6);
  const b5 = high(r2, r6);
  const b6 = low(r3, r7);
  const b7 = high(r3, r7);
  const c0 = low(b0, b4);
  const c1 = high(b0, b4);
  const c2 = low(b1, b5);
  const c3 = high(b1, b5);
  const c4 = low(b2, b6);
  const c5 = high(b2, b6);
  const c6 = low(b3, b7);
  const c7 = high(b3, b7);
  v128.store(at, low(c0, c4));
  v128.store(at, high(c0, c4), 16);
  v128.store(at, low(c1, c5), 32);
  v128.store(at, high(c1, c5), 48);
  v128.store(at, low(c2, c6), 64);
  v128.store(at, high(c2, c6), 80);
  v128.store(at, low(c3, c7), 96);
  v128.store(at, high(c3, c7), 112);
}
