import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Interpolation, preprocess } from "../../src/image/index.ts";
import { resample } from "../../src/image/resample.ts";
import { resizeAndCrop } from "../../src/image/transform.ts";
import { noise } from "./noise.ts";
import { official } from "./official.ts";

/** The same filter in floating point, without rounding between the passes: no shared code but the definition. */
function inFloat(data: Uint8Array, width: number, height: number, toWidth: number, toHeight: number, cubic: boolean) {
  const kernel = (x: number): number => {
    x = Math.abs(x);
    if (!cubic) return Math.max(0, 1 - x);
    return x < 1 ? 1.5 * x ** 3 - 2.5 * x ** 2 + 1 : x < 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
  };
  const weights = (from: number, to: number): number[][] => {
    const scale = from / to;
    const wide = Math.max(1, scale);
    return Array.from({ length: to }, (_, i) => {
      const row = Array.from({ length: from }, (_, s) => kernel((s + 0.5 - (i + 0.5) * scale) / wide));
      const sum = row.reduce((a, b) => a + b, 0);
      return row.map((w) => w / sum);
    });
  };
  const across = weights(width, toWidth);
  const down = weights(height, toHeight);
  const out = new Float64Array(toWidth * toHeight * 3);
  for (let y = 0; y < toHeight; y++) {
    for (let x = 0; x < toWidth; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        down[y]?.forEach((wy, sy) => {
          if (wy === 0) return;
          across[x]?.forEach((wx, sx) => {
            if (wx !== 0) sum += wy * wx * (data[(sy * width + sx) * 3 + c] ?? 0);
          });
        });
        out[(y * toWidth + x) * 3 + c] = Math.max(0, Math.min(255, sum));
      }
    }
  }
  return out;
}

const side = fc.integer({ min: 1, max: 24 });
const interpolation = fc.constantFrom<Interpolation>("bicubic", "bilinear");

describe("resampler", () => {
  test("stays within a level of exact arithmetic where nothing overshoots", () => {
    fc.assert(
      fc.property(side, side, side, side, fc.nat(), (width, height, toWidth, toHeight, seed) => {
        const image = noise(width, height, seed);
        const got = resizeAndCrop(image, toWidth, toHeight, "bilinear").data;
        const wanted = inFloat(image.data, width, height, toWidth, toHeight, false);
        for (const [i, value] of got.entries()) expect(Math.abs(value - (wanted[i] ?? 0))).toBeLessThanOrEqual(1.01);
      }),
      { numRuns: 60 },
    );
  });

  test("a smooth picture comes out alike in fixed and floating point, bicubic too", () => {
    const [width, height] = [37, 29];
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const x = Math.floor(i / 3) % width;
      const y = Math.floor(i / 3 / width);
      return 120 + 60 * Math.sin(x / 6 + (i % 3)) + 50 * Math.cos(y / 5);
    });
    for (const [toWidth, toHeight] of [
      [64, 50],
      [16, 12],
      [30, 7],
    ] as const) {
      const got = resizeAndCrop({ width, height, data }, toWidth, toHeight, "bicubic").data;
      const wanted = inFloat(data, width, height, toWidth, toHeight, true);
      for (const [i, value] of got.entries()) expect(Math.abs(value - (wanted[i] ?? 0))).toBeLessThanOrEqual(1.2);
    }
  });

  test("a crop of the result is the same as cropping afterwards", () => {
    fc.assert(
      fc.property(side, side, side, side, interpolation, fc.nat(), (width, height, toWidth, toHeight, kind, seed) => {
        const image = noise(width, height, seed);
        const whole = resizeAndCrop(image, toWidth, toHeight, kind).data;
        const crop = {
          left: seed % toWidth,
          top: seed % toHeight,
          width: toWidth - (seed % toWidth),
          height: toHeight - (seed % toHeight),
        };
        const part = resizeAndCrop(image, toWidth, toHeight, kind, crop).data;
        for (let y = 0; y < crop.height; y++) {
          const from = ((crop.top + y) * toWidth + crop.left) * 3;
          const row = part.subarray(y * crop.width * 3, (y + 1) * crop.width * 3);
          expect(row).toEqual(whole.subarray(from, from + crop.width * 3));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("colours under full transparency do not bleed; half transparency keeps its colour", () => {
    const data = Uint8Array.of(255, 0, 0, 0, 255, 0, 255, 0, 0, 0, 255, 0);
    const alpha = Uint8Array.of(255, 0, 255, 0);
    const { data: mixed } = preprocess(
      { width: 2, height: 2, data, alpha },
      official(1, { interpolation: "bilinear" }),
    );
    expect([...mixed]).toEqual([255, 0, 0]);
  });

  test("an image that already fits is copied, not filtered", () => {
    const image = noise(20, 20, 1);
    expect(preprocess(image, official(20)).data).toEqual(image.data);
  });

  test("wrong sizes are refused with what was expected and what came", () => {
    expect(() => preprocess({ width: 2, height: 2, data: new Uint8Array(11) }, official(2))).toThrow(
      "preprocess: 2 x 2 pixels need 12 bytes of RGB, got 11",
    );
    expect(() => preprocess(noise(4, 4, 1), official(0))).toThrow(/size must be a whole number/);
    const samples = { ...noise(4, 4, 1), channels: 3 };
    const box = { left: 2, top: 0, width: 3, height: 4 };
    expect(() => resample(samples, { width: 2, height: 2, interpolation: "bicubic", box })).toThrow(
      /box must lie inside 4 x 4/,
    );
  });
});
