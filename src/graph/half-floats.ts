/** float32 -> float16 as IEEE 754 rounds: to the nearest, ties to even. */

const LARGEST = 65_504;
/** What is nearer to a power beyond the largest half than to it. */
const TOO_LARGE = 65_520;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * The bytes of an array as halves.
 * @throws if a number is beyond what halves hold; the message has no name yet
 */
export function toHalves(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (!(Math.abs(value) < TOO_LARGE)) throw new Error(`element ${i} is ${value}, 16-bit floats end at ${LARGEST}`);
    halves[i] = halfBits(value);
  }
  return halves;
}

function halfBits(value: number): number {
  float[0] = value;
  const [word = 0] = bits;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fff_ffff;
  // Below 2^-14 halves are multiples of 2^-24: adding 0.5 makes the processor round to just those.
  if (magnitude < 0x3880_0000) {
    float[0] = Math.abs(value) + 0.5;
    return sign | ((bits[0] ?? 0) - 0x3f00_0000);
  }
  // 13 bits go; half of the last place is added, less one where the bit that stays is even.
  return sign | ((magnitude - 0x3800_0000 + 0x0fff + ((magnitude >>> 13) & 1)) >>> 13);
}
