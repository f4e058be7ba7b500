import { expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import { gradients, type HostTensor, hostTensor, mul, reduceSum, type Tensor, trace } from "../../src/graph/index.ts";
import { CONFIGS, encodeText, initialise, parameterShapes } from "../../src/model/index.ts";
import { packTexts } from "../../src/train/text-packing.ts";

const config = {
  ...CONFIGS["emoji-vit"],
  embedDim: 6,
  text: { contextLength: 9, vocabSize: 20, width: 8, layers: 2, heads: 2 },
};
const BATCH = 5;

/** Texts of 2 to 9 tokens; 19 ends a text, and one goes on behind its end. */
function texts(): Int32Array {
  const tokens = new Int32Array(BATCH * 9);
  for (const [row, length] of [2, 9, 4, 3, 7].entries()) {
    for (let t = 0; t < length - 1; t++) tokens[row * 9 + t] = 1 + ((row * 5 + t * 3) % 17);
    tokens[row * 9 + length - 1] = 19;
  }
  tokens.set([4, 19], 2 * 9 + 5);
  return tokens;
}

it.each([1, BATCH])("gives the features and the gradients of the padded texts, in parts: %i", (parts) => {
  const packed = packTexts(texts(), BATCH, 9, { parts });
  expect(packed.length).toBe(9);
  const names = Object.keys(parameterShapes(config)).filter((name) => !name.startsWith("visual."));
  const weights = initialise(config, 3);
  const values: Record<string, HostTensor> = {};
  for (const name of names) {
    const { shape, data } = weights[name] as HostTensor;
    values[name] = hostTensor("f64", shape, Array.from(data));
  }
  values.tokens = hostTensor("i32", [BATCH, 9], packed.tokens);
  const shape = ({ length }: Int32Array): number[] => (parts > 1 ? [parts, length / parts] : [length]);
  values.rows = hostTensor("i32", shape(packed.rows), packed.rows);
  values.places = hostTensor("i32", shape(packed.places), packed.places);
  const run = (packing: boolean) =>
    interpret(
      trace(values, (x) => {
        const { rows, places, tokens } = x as Record<string, Tensor>;
        if (!rows || !places || !tokens) throw new Error("inputs are missing");
        const { features } = packing ? encodeText(x, tokens, config, { rows, places }) : encodeText(x, tokens, config);
        const parameters = names.map((name) => x[name] as Tensor);
        const slopes = gradients(reduceSum(mul(features, features)), parameters);
        return { features, ...Object.fromEntries(names.map((name, i) => [name, slopes[i] as Tensor])) };
      }),
      values,
    );
  const [whole, kept] = [run(false), run(true)];
  for (const [name, { data }] of Object.entries(whole)) {
    const largest = Math.max(...Array.from(data, Math.abs));
    for (const [i, value] of data.entries())
      expect(Math.abs((kept[name]?.data[i] ?? Number.NaN) - value), `${name} ${i}`).toBeLessThanOrEqual(
        1e-12 * largest,
      );
  }
});

it("takes few sizes, which depend on the batch alone, and cuts long contexts to what is used", () => {
  const tokens = new Int32Array(4 * 77);
  for (let row = 0; row < 4; row++) tokens.set([49406, 320, 49407], row * 77);
  const { length, rows, places } = packTexts(tokens, 4, 77);
  expect([length, rows.length, places.length]).toEqual([8, 64, 32]);
  expect(Array.from(rows.subarray(0, 6))).toEqual([0, 1, 2, 8, 9, 10]);
  expect(Array.from(places.subarray(0, 4))).toEqual([0, 1, 2, 63]);
});

it("packs each part by itself, all to the rows of the one that has most", () => {
  const tokens = new Int32Array(8 * 40);
  for (let row = 0; row < 8; row++)
    for (let t = 0; t < (row < 4 ? 30 : 3); t++) tokens[row * 40 + t] = t === (row < 4 ? 29 : 2) ? 99 : 1 + t;
  const { length, rows, places } = packTexts(tokens, 8, 40, { parts: 2 });
  expect([length, rows.length, places.length]).toEqual([32, 2 * 128, 8 * 32]);
  expect(Array.from(rows.subarray(28, 32))).toEqual([28, 29, 32, 33]);
  expect(Array.from(rows.subarray(128, 133))).toEqual([0, 1, 2, 32, 33]);
  expect(Array.from(places.subarray(5 * 32, 5 * 32 + 4))).toEqual([3, 4, 5, 127]);
});
