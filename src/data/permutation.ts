import { hashKey, mix32 } from "./random.ts";

const ROUNDS = 8;
/** Half of a block has at least this many bits: with fewer, a Feistel network has too few different permutations. */
const MIN_HALF_BITS = 4;

/**
 * A seeded permutation of 0 .. length-1, computed position by position: a data set of a billion pairs is shuffled
 * without a table. A Feistel network permutes the next even power of two; a position that lands outside the range is
 * sent through again until it lands inside (cycle walking), which keeps it a permutation of the range.
 */
export function permutation(length: number, ...key: readonly number[]): (position: number) => number {
  if (!(Number.isSafeInteger(length) && length >= 1 && length <= 2 ** 52)) {
    throw new Error(`permutation: length must be a whole number from 1 to 2^52, got ${length}`);
  }
  const bits = Math.max(1, Math.ceil(Math.log2(length)));
  const halfBits = Math.max(MIN_HALF_BITS, Math.ceil(bits / 2));
  const half = 2 ** halfBits;
  const mask = half - 1;
  const roundKeys = Array.from({ length: ROUNDS }, (_, round) => hashKey([...key, round]));

  const permuteBlock = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (const [k0 = 0, k1 = 0] of roundKeys) {
      const scrambled = mix32(mix32(right ^ k0) + k1) & mask;
      [left, right] = [right, left ^ scrambled];
    }
    return left * half + right;
  };

  return (position) => {
    if (!(Number.isSafeInteger(position) && position >= 0 && position < length)) {
      throw new Error(`permutation: position must be in 0 .. ${length - 1}, got ${position}`);
    }
    let value = permuteBlock(position);
    while (value >= length) value = permuteBlock(value);
    return value;
  };
}
