/** Normalised pixels are the official transform's to the last bit. */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/graph/index.ts";
import { normalizePixels, PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";
import { engines, running } from "./engines.ts";

describe.each(engines())("on $name", (engine) => {
  const compute = running(engine);
  it("for every byte and channel", async () => {
    // Byte i stands in all three channels of pixel i.
    const images = {
      dtype: "u8",
      shape: [1, 16, 16, 3],
      data: Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3)),
    } as const;
    const { y, half } = await compute({ images }, (x) => ({
      y: normalizePixels(x.images as Tensor),
      half: normalizePixels(x.images as Tensor, { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] }),
    }));
    expect(y.shape).toEqual([1, 3, 16, 16]);
    const f = Math.fround;
    for (let channel = 0; channel < 3; channel++)
      for (let byte = 0; byte < 256; byte++) {
        // PyTorch: each of the three steps in float32.
        const expected = (mean: number, deviation: number): number => f(f(f(byte / 255) - f(mean)) / f(deviation));
        const at = channel * 256 + byte;
        expect(y.data[at]).toBe(expected(PIXEL_MEAN[channel] ?? 0, PIXEL_DEVIATION[channel] ?? 1));
        expect(half.data[at]).toBe(expected(0.5, 0.5));
      }
  });
});
