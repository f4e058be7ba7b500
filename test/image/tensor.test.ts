import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { toTensor } from "../../src/image/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";

const lut = z
  .object({ openai: z.string(), half: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../golden/preprocess/lut.json", import.meta.url), "utf8")));

// Byte i stands in all three channels of pixel i.
const image = { width: 32, height: 8, data: Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3)) };

test.each([
  { name: "CLIP's statistics", wanted: lut.openai, mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION },
  { name: "one half", wanted: lut.half, mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
] as const)("$name: torchvision's floats to the last bit", ({ wanted, ...statistics }) => {
  expect(Buffer.from(toTensor(image, statistics).buffer).toString("base64")).toBe(wanted);
});

test("into a batch, where it fits", () => {
  const statistics = { mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };
  const batch = toTensor(image, statistics, new Float32Array(2 * 768 + 1).fill(7), 768);
  expect([...batch.subarray(768, 1536)]).toEqual([...toTensor(image, statistics)]);
  expect([...batch.subarray(0, 768), batch[1536]]).toEqual(new Array(769).fill(7));
  expect(() => toTensor(image, statistics, batch, 770)).toThrow("768 floats from 770 on do not fit into 1537");
});

test.each([1, 3, 129])("each float is its byte's, with %i rows of 255", (height) => {
  const statistics = { mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };
  const table = toTensor(image, statistics);
  const pixels = 255 * height;
  const data = Uint8Array.from({ length: 3 * pixels }, (_, i) => (i * 7919) >> 4);
  const wanted = Float32Array.from({ length: 3 * pixels }, (_, i) => {
    const c = Math.floor(i / pixels);
    return table[256 * c + (data[3 * (i % pixels) + c] ?? 0)] ?? Number.NaN;
  });
  expect(toTensor({ width: 255, height, data }, statistics)).toEqual(wanted);
  expect(() => toTensor({ width: 255, height, data: data.subarray(1) }, statistics)).toThrow(/need \d+ bytes of RGB/);
});
