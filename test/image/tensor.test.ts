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
