import { expect, test } from "vitest";
import { heatOverlay, seenRegion } from "../../src/explain/index.ts";

const grey = (width: number, height: number, value: number) => ({
  ...{ width, height },
  data: new Uint8Array(width * height * 3).fill(value),
});

test("the region that preprocessing leaves", () => {
  const photo = { width: 640, height: 480 };
  const cases = [
    ["shortest", 224, { left: 80, top: 0, width: 480, height: 480 }],
    ["longest", 224, { left: 0, top: -80, width: 640, height: 640 }],
    ["squash", 224, { left: 0, top: 0, width: 640, height: 480 }],
    ["shortest", [100, 200], { left: 0, top: 80, width: 640, height: 320 }],
  ] as const;
  for (const [resize, size, region] of cases) expect(seenRegion(photo, { resize, size })).toEqual(region);
});

test("the hottest cell has the hottest colour, the coldest the coldest, what was not seen is dark", () => {
  const map = { heat: Float32Array.of(0, 1, 2, 4), rows: 2, columns: 2 };
  const region = { left: 10, top: 0, width: 40, height: 40 };
  const { data, width } = heatOverlay(grey(60, 40, 100), map, region);
  const at = (x: number, y: number): number[] => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
  expect(at(5, 20)).toEqual([40, 40, 40]);
  expect(at(55, 20)).toEqual([40, 40, 40]);
  const mixed = (colour: readonly number[], cover: number): number[] =>
    colour.map((value) => Math.round(100 * (1 - cover) + value * cover));
  expect(at(12, 2)).toEqual(mixed([13, 8, 60], 0.35));
  expect(at(48, 38)).toEqual(mixed([252, 255, 164], 0.75));
});

test("heat rises evenly between the cells, and no heat at all is cold everywhere", () => {
  const region = { left: 0, top: 0, width: 80, height: 10 };
  const { data } = heatOverlay(grey(80, 10, 0), { heat: Float32Array.of(1, 3), rows: 1, columns: 2 }, region);
  const reds = Array.from({ length: 80 }, (_, x) => data[x * 3] ?? 0);
  for (const [x, red] of reds.entries()) if (x > 0) expect(red).toBeGreaterThanOrEqual(reds[x - 1] ?? 0);
  expect(reds[0]).toBe(reds[19]);
  const flat = heatOverlay(
    grey(8, 8, 50),
    { heat: new Float32Array(4), rows: 2, columns: 2 },
    { ...region, width: 8, height: 8 },
  );
  expect(new Set(flat.data).size).toBe(3);
});
