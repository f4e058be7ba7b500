/**
 * A small seeded generator (xoshiro128**, Blackman and Vigna). Every sample of a training run draws from one of its own,
 * derived from where the sample stands (seed, epoch, index), so that no draw depends on what was drawn before: a run
 * resumes anywhere, and any number of workers gives the same batches.
 */
export class Random {
  readonly #state: Uint32Array;

  /** `key`: whole numbers that say whose generator this is; any other key gives an unrelated sequence. */
  constructor(...key: readonly number[]) {
    this.#state = hashKey(key);
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state;
    const s0 = s[0] ?? 0;
    const s1 = s[1] ?? 0;
    const s2 = (s[2] ?? 0) ^ s0;
    const s3 = (s[3] ?? 0) ^ s1;
    const product = Math.imul(s1, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    s[1] = s1 ^ s2;
    s[0] = s0 ^ s3;
    s[2] = s2 ^ (s1 << 9);
    s[3] = (s3 << 11) | (s3 >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.bits() >>> 5) * 0x4000000 + (this.bits() >>> 6)) / 0x20000000000000;
  }

  /** A whole number uniform in [0, n). */
  int(n: number): number {
    if (!(Number.isSafeInteger(n) && n >= 1))
      throw new Error(`random int: expected a whole number of at least 1, got ${n}`);
    return Math.floor(this.uniform() * n);
  }

  /** One of the items; they must not be none. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.int(items.length)];
    if (item === undefined) throw new Error("random pick: an item is undefined");
    return item;
  }

  /** `count` different items in random order (all of them if there are fewer). */
  sample<T>(items: readonly T[], count: number): T[] {
    const pool = [...items];
    const drawn: T[] = [];
    while (drawn.length < count && pool.length > 0) drawn.push(...pool.splice(this.int(pool.length), 1));
    return drawn;
  }
}

/** MurmurHash3's finaliser: every bit of the input reaches every bit of the output. */
export function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** 128 bits from whole numbers of any size; four lanes that start differently and absorb every word. */
export function hashKey(key: readonly number[]): Uint32Array {
  const lanes = Uint32Array.of(0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667);
  const absorb = (word: number): void => {
    for (let i = 0; i < 4; i++) lanes[i] = mix32((lanes[i] ?? 0) ^ mix32(word + Math.imul(i + 1, 0x9e3779b1)));
    // Lanes see each other, so that no two keys can agree in one lane for good.
    for (let i = 0; i < 4; i++) lanes[i] = ((lanes[i] ?? 0) + (lanes[(i + 3) & 3] ?? 0)) >>> 0;
  };
  for (const number of key) {
    if (!Number.isSafeInteger(number)) throw new Error(`random key: expected whole numbers, got ${number}`);
    absorb(number >>> 0);
    absorb(Math.floor(number / 0x100000000) >>> 0);
  }
  absorb(key.length);
  if (lanes.every((lane) => lane === 0)) lanes[0] = 1; // xoshiro never leaves the all-zero state
  return lanes;
}
