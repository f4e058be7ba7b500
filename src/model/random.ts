/** Reproducible random numbers: the same seed and name give the same numbers on every machine. */

/**
 * A stream of uniform numbers in [0, 1), 32 bits each: xoshiro128** (Blackman and Vigna 2018), its state filled from the seed and
 * the stream's name, so that a tensor's values do not depend on which others were drawn before.
 */
export function uniformStream(seed: number, name: string): () => number {
  const mix = mixer(seed, name);
  let [a, b, c, d] = [mix(), mix(), mix(), mix()];
  return () => {
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11);
    return result / 2 ** 32;
  };
}

/** Standard normal numbers made of uniform ones (Box and Muller 1958). */
export function normalStream(uniform: () => number): () => number {
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())); // 1 - u is never 0
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

const rotated = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** Well-mixed 32-bit numbers from a seed and a name: FNV-1a, then steps of splitmix32. */
function mixer(seed: number, name: string): () => number {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${seed} ${name}`)) state = Math.imul(state ^ byte, 0x01000193);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return x ^ (x >>> 15);
  };
}
