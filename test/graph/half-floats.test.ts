/** Halves against every number that they hold, and the rule of IEEE 754 between them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeElements } from "../../src/checkpoint/stored-dtypes.ts";
import { toHalves } from "../../src/graph/index.ts";

const widened = (bits: Uint16Array<ArrayBuffer>): Float32Array =>
  Float32Array.from(decodeElements(new Uint8Array(bits.buffer.slice(0)), "F16", "f32"));

const every = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
const values = widened(every);

test("every half comes back as it is, both zeros too", () => {
  expect(Buffer.from(toHalves(values).buffer).equals(Buffer.from(every.buffer))).toBe(true);
});

test("what is between two goes to the nearer, at equal distance to the even one", () => {
  const positive = [...values.entries()].filter(([i]) => i < 0x7c00).map(([, x]) => x);
  const middles = positive.slice(1).map((x, i) => (x + (positive[i] ?? 0)) / 2);
  expect([...toHalves(middles)]).toEqual(middles.map((_, i) => (i % 2 === 0 ? i : i + 1)));
});

test("no half is nearer than the chosen one", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: -65504, max: 65504 }), (x) => {
      const [bits = 0] = toHalves([x]);
      const [chosen = 0, above = 0, below = 0] = widened(Uint16Array.of(bits, bits + 1, bits - 1));
      for (const other of [above, below])
        if (Number.isFinite(other) && Math.sign(other) === Math.sign(x))
          expect(Math.abs(chosen - x)).toBeLessThanOrEqual(Math.abs(other - x));
    }),
  );
});

test("beyond them: one line", () => {
  expect(Array.from(widened(toHalves([65_519.99, -65_519.99])))).toEqual([65504, -65504]);
  for (const x of [65_520, -1e9, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => toHalves([0, x])).toThrow(`element 1 is ${x}, 16-bit floats end at 65504`);
});
