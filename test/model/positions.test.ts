/** Positional embeddings at another image size, against open_clip's and transformers' (`test/golden/make/variants.py`). */
import { describe, expect, it } from "vitest";
import { hostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, CONFIGS, initialise, parameterShapes, resizePositions } from "../../src/model/index.ts";
import { golden, maxOverMax } from "./goldens.ts";

const NAME = "visual.positional_embedding";
const config = (grid: number, classToken: boolean): ClipConfig => ({
  ...CONFIGS["emoji-vit"],
  imageSize: grid * 8,
  vision: { kind: "vit", width: 6, layers: 1, heads: 1, patchSize: 8, classToken, pool: "average" },
});

describe.each([
  [4, 6],
  [7, 5],
  [3, 7],
  [7, 3],
  [5, 5],
])("a grid of %i to one of %i", (from, to) => {
  it("as open_clip resizes it on loading", async () => {
    const { get } = await golden("variants/positions.safetensors");
    const before = { [NAME]: get(`${from}-${to}.from`), logit_scale: hostTensor("f32", [], [1]) };
    const { tensors, config: after } = resizePositions(before, config(from, true), to * 8);
    const expected = get(`${from}-${to}.open_clip`);
    expect(maxOverMax(tensors[NAME] ?? expected, expected)).toBeLessThan(1e-7);
    expect(tensors[NAME]?.data.slice(0, 6)).toEqual(before[NAME]?.data.slice(0, 6));
    expect(tensors.logit_scale).toBe(before.logit_scale);
    expect(after).toEqual(config(to, true));
  });

  it("as transformers does on the fly", async () => {
    const { get } = await golden("variants/positions.safetensors");
    const { data } = get(`${from}-${to}.from`);
    const before = { [NAME]: hostTensor("f32", [from ** 2, 6], data.slice(6)) };
    const { tensors } = resizePositions(before, config(from, false), to * 8, { antialias: false });
    const expected = get(`${from}-${to}.transformers`);
    expect(maxOverMax(tensors[NAME] ?? expected, expected)).toBeLessThan(1e-7);
  });
});

it("a ResNet's too, its mean token kept; the result is what the new size needs", () => {
  const before = initialise(CONFIGS["emoji-rn"], 1);
  const { tensors, config: after } = resizePositions(before, CONFIGS["emoji-rn"], 128);
  const shapes = parameterShapes(after);
  for (const [name, shape] of Object.entries(shapes)) expect(tensors[name]?.shape, name).toEqual(shape);
  const name = "visual.attnpool.positional_embedding";
  expect(tensors[name]?.data.slice(0, 512)).toEqual(before[name]?.data.slice(0, 512));
});

it("what does not fit is refused in one line", () => {
  const before = { [NAME]: hostTensor("f32", [17, 6], new Float32Array(17 * 6)) };
  expect(() => resizePositions(before, config(4, true), 7)).toThrow("patchSize (8) is larger than imageSize (7)");
  expect(() => resizePositions(before, config(5, true), 16)).toThrow(
    `tensor ${NAME}: expected [26, width], got [17,6]`,
  );
  expect(() => resizePositions({}, config(5, true), 16)).toThrow(`tensor ${NAME}: expected [26, width], got [none]`);
  expect(() => resizePositions(initialise(CONFIGS["emoji-rn"], 1), CONFIGS["emoji-rn"], 100)).toThrow(
    "total stride (32)",
  );
});
