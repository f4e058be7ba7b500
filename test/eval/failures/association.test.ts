import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { association, leaning } from "../../../src/eval/failures/association.ts";
import { AUDITS, imbalances, mentions, PEOPLE } from "../../../src/eval/failures/term-groups.ts";

describe("association", () => {
  it("has the closed forms of four and of six", () => {
    const four = association([1, 1], [-1, -1], { resamples: 10 });
    // Mean difference 2, deviation sqrt(4 / 3); one division of six is as far apart.
    expect(four.effectSize).toBeCloseTo(2 / Math.sqrt(4 / 3), 12);
    expect(four).toMatchObject({ pValue: 1 / 6, isExact: true, sizes: { x: 2, y: 2 } });
    const six = association([0.5, 0.1, 0.3], [0.2, 0, 0.4], { resamples: 10 });
    expect(six.effectSize).toBeCloseTo(0.1 / Math.sqrt(0.035), 12);
    // Sums of three of 0 .. 0.5 that are at least 0.9: 0.4+0.5+0, 0.1+0.3+0.5 (itself), 0.2+0.3+0.4 and those above.
    expect(six.pValue).toBeCloseTo(7 / 20, 12);
  });

  it("counts all divisions as by going through all subsets, and turns its sign with the groups", () => {
    const group = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(group, group, (x, y) => {
        const all = [...x, ...y];
        fc.pre(new Set(all).size > 1);
        const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
        let [atLeast, total] = [0, 0];
        for (let mask = 0; mask < 1 << all.length; mask++) {
          const chosen = all.filter((_, i) => (mask >> i) & 1);
          if (chosen.length !== x.length) continue;
          total++;
          if (sum(chosen) >= sum(x)) atLeast++;
        }
        const found = association(x, y, { resamples: 2 });
        expect(found.pValue).toBeCloseTo(atLeast / total, 12);
        expect(association(y, x, { resamples: 2 }).effectSize).toBeCloseTo(-found.effectSize, 12);
        // Reached where each group is one value.
        const most = Math.sqrt((all.length * (all.length - 1)) / (x.length * y.length));
        expect(Math.abs(found.effectSize)).toBeLessThanOrEqual(most + 1e-12);
      }),
      { numRuns: 60 },
    );
  });

  it("samples divisions where there are too many: near the exact share, never nothing, the same for a seed", () => {
    const x = Array.from({ length: 9 }, (_, i) => Math.sin(7 * i) + 0.4);
    const y = Array.from({ length: 9 }, (_, i) => Math.sin(5 * i + 2));
    const exact = association(x, y, { permutations: 1e6, resamples: 2 });
    const sampled = association(x, y, { permutations: 20_000, resamples: 2, seed: 4 });
    expect([exact.isExact, sampled.isExact]).toEqual([true, false]);
    expect(Math.abs(exact.pValue - sampled.pValue)).toBeLessThan(0.012);
    expect(association(x, y, { permutations: 20_000, resamples: 2, seed: 4 })).toEqual(sampled);
    const apart = association(
      x.map((v) => v + 9),
      y,
      { permutations: 1000, resamples: 2 },
    );
    expect(apart.pValue).toBeCloseTo(1 / 1001, 12);
  });

  it("has an interval around what it finds, and says what it cannot do", () => {
    const x = Array.from({ length: 30 }, (_, i) => Math.sin(i) + 0.5);
    const y = Array.from({ length: 40 }, (_, i) => Math.cos(2 * i));
    const { low, high, effectSize } = association(x, y, { resamples: 500 });
    expect(low).toBeLessThan(effectSize);
    expect(high).toBeGreaterThan(effectSize);
    expect(high - low).toBeLessThan(1.4);
    expect(() => association([1], [1, 2])).toThrow("expected two of each group, got 1 and 2");
    expect(() => association([1, 1], [1, 1])).toThrow("all lean exactly alike");
  });

  it("leans by mean cosines", () => {
    const [a, b] = [[Float32Array.of(1, 0)], [Float32Array.of(0, 1), Float32Array.of(0, -1)]];
    expect(leaning(Float32Array.of(0.6, 0.8), a, b)).toBeCloseTo(0.6, 6);
  });
});

describe("terms", () => {
  it("are whole words and phrases", () => {
    const { male, female } = PEOPLE.gender;
    expect(mentions("Woman firefighter", male)).toBe(false);
    expect(mentions("Woman firefighter", female)).toBe(true);
    expect(mentions("human, mankind", male)).toBe(false);
    expect(mentions("a MAN-in-suit", male)).toBe(true);
    expect(mentions("medium-dark skin tone", PEOPLE["skin tone"].dark)).toBe(true);
    expect(mentions("", male)).toBe(false);
  });

  it("count what a data set says, by how often", () => {
    const found = imbalances(["man", "woman running", "old woman", "dog"], [5, 1, 2, 9]);
    const count = (of: string, group: string): number | undefined =>
      found.find((one) => one.of === of && one.group === group)?.count;
    expect([count("gender", "male"), count("gender", "female"), count("age", "old"), count("age", "young")]).toEqual([
      5, 3, 2, 0,
    ]);
  });

  it("of audits are lower case, and no group has another's", () => {
    for (const { x, y, a, b } of AUDITS)
      for (const [one, other] of [
        [x, y],
        [a, b],
      ] as const) {
        expect(one.terms.filter((term) => other.terms.includes(term))).toEqual([]);
        for (const term of [...one.terms, ...other.terms]) expect(term).toBe(term.toLowerCase());
      }
  });
});
