/** Work ahead: order, bounds, errors, stopping early. */
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inBatches, mapAhead } from "../../src/ahead.ts";

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe("mapAhead", () => {
  it("keeps the order, whatever takes how long, and never has more at work than it may", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 20 }), fc.integer({ min: 1, max: 5 }), async (waits, ahead) => {
        let [running, most] = [0, 0];
        const found = await all(
          mapAhead(waits.entries(), ahead, async ([i, wait]) => {
            most = Math.max(most, ++running);
            await setTimeout(wait);
            running--;
            return i;
          }),
        );
        expect(found).toEqual([...waits.keys()]);
        expect(most).toBe(Math.min(ahead, waits.length));
      }),
      { numRuns: 30 },
    ));

  it("takes from an endless sequence only what is wanted", async () => {
    let taken = 0;
    let closed = false;
    const endless = function* (): Generator<number> {
      try {
        for (;;) yield taken++;
      } finally {
        closed = true;
      }
    };
    for await (const x of mapAhead(endless(), 4, async (n) => n)) if (x === 10) break;
    expect(taken).toBe(14); // 0 to 10, and three ahead
    expect(closed).toBe(true);
  });

  it("throws an error at its place and begins nothing behind it", async () => {
    const begun: number[] = [];
    const results = mapAhead([0, 1, 2, 3, 4, 5], 2, async (n) => {
      begun.push(n);
      if (n === 2) throw new Error("two");
      return n;
    });
    const found: number[] = [];
    await expect(
      (async () => {
        for await (const n of results) found.push(n);
      })(),
    ).rejects.toThrow("two");
    expect(found).toEqual([0, 1]);
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it("waits for what is at work when it is stopped", async () => {
    let finished = 0;
    const results = mapAhead([1, 2, 3], 3, async (n) => {
      await setTimeout(10 * n);
      finished++;
      return n;
    });
    for await (const n of results) if (n === 1) break;
    expect(finished).toBe(3);
  });
});

it("inBatches cuts a sequence, the last piece shorter", async () => {
  expect(await all(inBatches([1, 2, 3, 4, 5], 2))).toEqual([[1, 2], [3, 4], [5]]);
  expect(await all(inBatches([1, 2], 2))).toEqual([[1, 2]]);
  expect(await all(inBatches([], 2))).toEqual([]);
});
