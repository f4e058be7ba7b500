import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { permutation } from "../../src/data/permutation.ts";
import { hashKey, Random } from "../../src/data/random.ts";

describe("seeded generator", () => {
  test("one key, one sequence; neighbouring keys, unrelated ones", () => {
    const draws = (...key: number[]): number[] => {
      const random = new Random(...key);
      return Array.from({ length: 8 }, () => random.uniform());
    };
    expect(draws(1, 2, 3)).toEqual(draws(1, 2, 3));
    const all = [draws(1, 2, 3), draws(1, 2, 4), draws(1, 3, 2), draws(1, 2), draws(1, 2, 0), draws(2 ** 32 + 1, 2, 3)];
    expect(new Set(all.flat()).size).toBe(48);
  });

  test("the sequence never changes: runs of earlier versions stay repeatable", () => {
    const random = new Random(7, 1, 42);
    expect([random.bits(), random.bits(), random.bits()]).toMatchInlineSnapshot(`
      [
        107056951,
        295682720,
        2005265342,
      ]
    `);
  });

  test("first draws over consecutive keys are uniform and uncorrelated", () => {
    const n = 20_000;
    const first = Array.from({ length: n }, (_, i) => new Random(0, 0, i).uniform());
    const bins = new Array<number>(20).fill(0);
    for (const x of first) bins[Math.floor(x * 20)] = (bins[Math.floor(x * 20)] ?? 0) + 1;
    const chiSquare = bins.reduce((sum, count) => sum + (count - n / 20) ** 2 / (n / 20), 0);
    expect(chiSquare).toBeLessThan(45); // 19 degrees of freedom: p = 0.0007
    const mean = first.reduce((a, b) => a + b, 0) / n;
    const lagged = first.slice(1).reduce((sum, x, i) => sum + (x - mean) * ((first[i] ?? 0) - mean), 0);
    expect(Math.abs(lagged / n / (1 / 12))).toBeLessThan(0.03);
  });

  test("int, pick and sample stay in range, reach everything and repeat nothing", () => {
    const random = new Random(5);
    expect(new Set(Array.from({ length: 200 }, () => random.int(5)))).toEqual(new Set([0, 1, 2, 3, 4]));
    expect(random.sample([1, 2, 3], 9).sort()).toEqual([1, 2, 3]);
    expect(
      new Set(
        random.sample(
          Array.from({ length: 50 }, (_, i) => i),
          20,
        ),
      ).size,
    ).toBe(20);
    expect(() => random.int(0)).toThrow(/at least 1, got 0/);
    expect(() => random.pick([])).toThrow();
    expect(() => hashKey([0.5])).toThrow(/whole numbers, got 0.5/);
  });
});

describe("permutation", () => {
  test("takes every position once, whatever the length", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), fc.nat(50), (length, seed, epoch) => {
        const at = permutation(length, seed, epoch);
        const seen = new Set(Array.from({ length }, (_, i) => at(i)));
        expect(seen.size).toBe(length);
        expect(Math.min(...seen)).toBe(0);
        expect(Math.max(...seen)).toBe(length - 1);
      }),
      { numRuns: 60 },
    );
  });

  test("every place is as likely as any other, over the epochs", () => {
    const [length, epochs] = [7, 7000];
    const counts = new Array<number>(length * length).fill(0);
    for (let epoch = 0; epoch < epochs; epoch++) {
      const at = permutation(length, 3, epoch);
      for (let i = 0; i < length; i++) counts[i * length + at(i)] = (counts[i * length + at(i)] ?? 0) + 1;
    }
    const expected = epochs / length;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(70); // 36 degrees of freedom: p = 0.0006
  });

  test("neighbours do not stay neighbours", () => {
    const at = permutation(10_000, 1, 0);
    const near = Array.from({ length: 9999 }, (_, i) => Math.abs(at(i) - at(i + 1)) <= 5).filter(Boolean).length;
    expect(near).toBeLessThan(40); // 10 are to be expected
  });

  test("needs no table: a length beyond any memory", () => {
    const length = 2 ** 50 + 3;
    const at = permutation(length, 1, 0);
    const seen = new Set(Array.from({ length: 1000 }, (_, i) => at(length - 1 - i)));
    expect(seen.size).toBe(1000);
    for (const value of seen) expect(Number.isSafeInteger(value) && value >= 0 && value < length).toBe(true);
    expect(() => at(length)).toThrow(/position must be in/);
    expect(() => permutation(0)).toThrow(/length must be/);
  });
});
