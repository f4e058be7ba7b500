import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../src/data/random.ts";
import { cropBilinearInto, drawSquare } from "../../src/image/crop.ts";
import { randomSquareCrop } from "../../src/image/index.ts";
import { SEED } from "../setup.ts";
import { noise } from "./noise.ts";

/** torch's grid_sample(bilinear, border, align_corners=False) as its documentation defines it, in double precision. */
function gridSample(data: Uint8Array, width: number, height: number, x: number, y: number, c: number): number {
  const px = Math.min(width - 1, Math.max(0, x));
  const py = Math.min(height - 1, Math.max(0, y));
  const [x0, y0] = [Math.floor(px), Math.floor(py)];
  const [x1, y1] = [Math.min(width - 1, x0 + 1), Math.min(height - 1, y0 + 1)];
  const at = (u: number, v: number): number => data[(v * width + u) * 3 + c] ?? 0;
  const top = at(x0, y0) * (1 - (px - x0)) + at(x1, y0) * (px - x0);
  const bottom = at(x0, y1) * (1 - (px - x0)) + at(x1, y1) * (px - x0);
  return top * (1 - (py - y0)) + bottom * (py - y0);
}

const fixed = (...values: number[]) => ({ uniform: () => values.shift() ?? 0.5 });

describe("random square crop", () => {
  test("is grid_sample to within its one rounding", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 70 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(),
        (width, height, size, scale, fx, fy, seed) => {
          const image = noise(width, height, seed);
          const side = scale * Math.min(width, height);
          const square = { side, left: fx * (width - side), top: fy * (height - side) };
          const out = new Uint8Array(size * size * 3 + 7).fill(9);
          cropBilinearInto(out, 7, image, square, size);
          expect([...out.subarray(0, 7)]).toEqual([9, 9, 9, 9, 9, 9, 9]);
          const step = side / size;
          for (let i = 0; i < size * size * 3; i++) {
            const x = square.left + ((Math.floor(i / 3) % size) + 0.5) * step - 0.5;
            const y = square.top + (Math.floor(i / 3 / size) + 0.5) * step - 0.5;
            const wanted = gridSample(image.data, width, height, x, y, i % 3);
            // half a level of rounding; weights of 11 bits move it by at most 2 * 255 / 4096
            expect(Math.abs((out[7 + i] ?? 0) - wanted)).toBeLessThan(0.63);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("the yardstick's theta (sx = s, tx) names the same square", () => {
    // affine_grid: x = s * ((2j + 1) / n - 1) + tx in [-1, 1], pixel ((x + 1) * S - 1) / 2, tx = (2u - 1)(1 - s)
    const [S, n, s, u] = [80, 64, 0.83, 0.31];
    const square = drawSquare(S, S, [s, s], fixed(0, u, u));
    for (const j of [0, 17, 63]) {
      const x = s * ((2 * j + 1) / n - 1) + (2 * u - 1) * (1 - s);
      expect(square.left + ((j + 0.5) * square.side) / n - 0.5).toBeCloseTo(((x + 1) * S - 1) / 2, 9);
    }
  });

  test("the whole of a square at its own size is the picture itself", () => {
    const image = noise(16, 16, 3);
    expect(randomSquareCrop(image, 16, [1, 1], fixed()).data).toEqual(image.data);
  });

  test("squares lie inside, and their sides and places fill their ranges", () => {
    const sides: number[] = [];
    const lefts: number[] = [];
    const random = new Random(SEED);
    for (let i = 0; i < 2000; i++) {
      const { left, top, side } = drawSquare(50, 80, [0.5, 0.9], random);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left + side).toBeLessThanOrEqual(50 + 1e-9);
      expect(top + side).toBeLessThanOrEqual(80 + 1e-9);
      sides.push(side / 50);
      lefts.push(left / (50 - side));
    }
    expect(Math.min(...sides)).toBeLessThan(0.51);
    expect(Math.max(...sides)).toBeGreaterThan(0.89);
    expect(Math.min(...lefts)).toBeLessThan(0.02);
    expect(Math.max(...lefts)).toBeGreaterThan(0.98);
  });

  test("a large square is antialiased: a fine checkerboard becomes gray, not stripes", () => {
    const side = 256;
    const data = Uint8Array.from({ length: side * side * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return ((pixel % side) + Math.floor(pixel / side)) % 2 === 0 ? 0 : 255;
    });
    const { data: out } = randomSquareCrop({ width: side, height: side, data }, 32, [0.9, 0.9], fixed());
    expect(Math.min(...out)).toBeGreaterThan(110);
    expect(Math.max(...out)).toBeLessThan(145);
  });

  test("a scale outside (0, 1] is refused", () => {
    expect(() => randomSquareCrop(noise(4, 4, 1), 4, [0, 1], fixed())).toThrow(/scale must be 0 < min <= max <= 1/);
    expect(() => randomSquareCrop(noise(4, 4, 1), 4, [0.9, 0.8], fixed())).toThrow(/scale must be/);
  });
});
