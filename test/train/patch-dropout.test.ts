import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CONFIGS } from "../../src/model/index.ts";
import { drawPatches, keptPatches } from "../../src/train/patch-dropout.ts";
import { SEED } from "../setup.ts";

describe("patch dropout", () => {
  it("keeps as many patches as open_clip does", () => {
    const b16 = CONFIGS["ViT-B/16"];
    expect([0, 0.25, 0.5, 0.75, 0.999].map((rate) => keptPatches(b16, rate))).toEqual([196, 147, 98, 49, 1]);
    expect(keptPatches(CONFIGS["ViT-B/32"], 0.5)).toBe(24);
    expect(() => keptPatches(b16, 1)).toThrow("expected a share from 0 to below 1, got 1");
    expect(() => keptPatches(b16, Number.NaN)).toThrow("expected a share from 0 to below 1, got NaN");
    expect(() => keptPatches(CONFIGS.RN50, 0.5)).toThrow("expected a vision transformer, got a ResNet");
  });

  it("draws different patches of each picture, ascending", () => {
    const sizes = fc
      .integer({ min: 1, max: 60 })
      .chain((patches) => fc.record({ patches: fc.constant(patches), kept: fc.integer({ min: 1, max: patches }) }));
    const property = fc.property(sizes, fc.integer(), fc.nat(), fc.nat(), ({ patches, kept }, seed, step, row) => {
      const drawn = drawPatches({ seed, step, row }, 3, patches, kept);
      expect(drawn.length).toBe(3 * kept);
      for (let picture = 0; picture < 3; picture++) {
        const own = [...drawn.subarray(picture * kept, (picture + 1) * kept)];
        expect(own).toEqual([...new Set(own)].sort((a, b) => a - b));
        expect(own.every((patch) => patch >= 0 && patch < patches)).toBe(true);
      }
    });
    fc.assert(property);
  });

  it("depends on seed, step and row alone: pieces of a batch draw what the whole does", () => {
    const whole = drawPatches({ seed: 1, step: 9, row: 0 }, 8, 49, 12);
    expect(drawPatches({ seed: 1, step: 9, row: 4 }, 4, 49, 12)).toEqual(whole.subarray(4 * 12));
    for (const other of [
      { seed: 2, step: 9, row: 0 },
      { seed: 1, step: 10, row: 0 },
      { seed: 1, step: 9, row: 1 },
    ])
      expect(drawPatches(other, 8, 49, 12)).not.toEqual(whole);
  });

  it("draws every patch equally often", () => {
    const [pictures, patches, kept] = [4000, 16, 4];
    const counts = new Array<number>(patches).fill(0);
    for (const patch of drawPatches({ seed: SEED, step: 0, row: 0 }, pictures, patches, kept))
      counts[patch] = (counts[patch] ?? 0) + 1;
    // 1,000 expected of each, 27 the standard deviation.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(6 * 27);
  });
});
