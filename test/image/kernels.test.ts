import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byKernels, byScript, taps } from "../../src/image/bilinear.ts";
import { fixedPoint, type Interpolation, weightsOf } from "../../src/image/coefficients.ts";
import { loadKernels, Space, simdKernels } from "../../src/image/kernels.ts";
import * as script from "../../src/image/passes.ts";
import * as simd from "../../src/image/simd.ts";

const kernels = simdKernels();
if (!kernels) throw new Error("the kernels are not there: npm run build makes them");

const side = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 100, max: 700 }));
const small = fc.integer({ min: 1, max: 40 });
const share = fc.double({ min: 0, max: 0.999, noNaN: true });

/** Samples at the ends of their range make the sums overshoot most. */
function samples(width: number, height: number, channels: number, seed: number) {
  let state = seed | 1;
  const data = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return seed % 2 ? state >>> 24 : (state >>> 31) * 255;
  });
  return { width, height, channels, data };
}

/** A direction of any kind: enlarged, reduced, a part of the source, a part of the result. */
function weights(length: number, to: number, start: number, part: number, kind: Interpolation) {
  const boxStart = start * length * 0.5;
  const boxSize = (length - boxStart) * (1 - part * 0.9);
  const from = Math.floor(part * to);
  const direction = { sourceSize: length, boxStart, boxSize, outputSize: to, from, wanted: to - from };
  return fixedPoint(weightsOf(direction, kind));
}

describe("the kernels compute what the TypeScript computes", () => {
  const given = [
    side,
    small,
    fc.integer({ min: 1, max: 60 }),
    fc.constantFrom(3, 4),
    share,
    share,
    fc.constantFrom<Interpolation>("bicubic", "bilinear"),
    fc.nat(),
  ] as const;

  test("across", () => {
    fc.assert(
      fc.property(...given, (width, height, to, channels, start, part, kind, seed) => {
        const source = samples(width, height, channels, seed);
        const by = weights(width, to, start, part, kind);
        const rows = 1 + (seed % height);
        const pass = [source, height - rows, rows, 0, by] as const;
        expect(Buffer.compare(simd.horizontalPass(kernels, ...pass).data, script.horizontalPass(...pass).data)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("down", () => {
    fc.assert(
      fc.property(...given, (height, width, to, channels, start, part, kind, seed) => {
        const source = samples(width, height, channels, seed);
        const by = weights(height, to, start, part, kind);
        const columns = 1 + (seed % width);
        const pass = [source, 0, width - columns, columns, by] as const;
        expect(Buffer.compare(simd.verticalPass(kernels, ...pass).data, script.verticalPass(...pass).data)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("two taps", () => {
    fc.assert(
      fc.property(side, side, small, share, share, share, fc.nat(), (width, height, size, scale, left, top, seed) => {
        const image = samples(width, height, 3, seed);
        const part = Math.max(0.01, scale) * Math.min(width, height);
        const across = taps(left * (width - part), part / size, size, width, 3);
        const down = taps(top * (height - part), part / size, size, height, 1);
        const [found, wanted] = [new Uint8Array(3 * size * size + 5), new Uint8Array(3 * size * size + 5)];
        byScript(wanted, 5, image, size, across, down);
        byKernels(new Space(kernels), found, 5, image, size, across, down);
        expect(Buffer.compare(found, wanted)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("a picture larger than a band", () => {
    const source = samples(1201, 1400, 3, 5);
    const across = fixedPoint(
      weightsOf({ sourceSize: 1201, boxStart: 0, boxSize: 1201, outputSize: 31, from: 0, wanted: 31 }, "bicubic"),
    );
    const down = fixedPoint(
      weightsOf({ sourceSize: 1400, boxStart: 0, boxSize: 1400, outputSize: 17, from: 0, wanted: 17 }, "bicubic"),
    );
    const rows = [source, 0, 1400, 0, across] as const;
    const columns = [source, 0, 0, 1201, down] as const;
    expect(Buffer.compare(simd.horizontalPass(kernels, ...rows).data, script.horizontalPass(...rows).data)).toBe(0);
    expect(Buffer.compare(simd.verticalPass(kernels, ...columns).data, script.verticalPass(...columns).data)).toBe(0);
  });
});

test("bytes that are no kernels are refused, and those at hand stay", () => {
  expect(loadKernels(Uint8Array.of(0, 0x61, 0x73, 0x6d))).toBe(false);
  expect(loadKernels(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))).toBe(false);
  expect(simdKernels()).toBe(kernels);
});
