import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { memorySource, readSafetensors } from "../../src/checkpoint/index.ts";
import { recall, retrievalRanks } from "../../src/eval/retrieval.ts";
import { memoryMatrix, normalizedMatrix } from "../../src/eval/tasks/features.ts";
import type { HostTensor } from "../../src/graph/index.ts";

const folder = new URL("../golden/evaluation/", import.meta.url);
const official = JSON.parse(readFileSync(new URL("retrieval.json", folder), "utf8")) as Record<
  "text_to_image" | "image_to_text",
  Record<string, number>
>;

let tensors: Map<string, HostTensor>;
beforeAll(async () => {
  const bytes = new Uint8Array(gunzipSync(readFileSync(new URL("retrieval.safetensors.gz", folder))));
  tensors = await readSafetensors(memorySource("retrieval", bytes));
});
const numbers = (name: string): number[] => Array.from(tensors.get(name)?.data ?? [], Number);
const rows = (name: string) => normalizedMatrix(memoryMatrix(Float32Array.from(numbers(name)), 64));

describe("the official figures", () => {
  it.each([7, 64, 2048])("in blocks of %i", async (block) => {
    const owners = Int32Array.from(numbers("text_owner"));
    const done: number[] = [];
    const found = await retrievalRanks(rows("text_features"), rows("image_features"), owners, {
      block,
      onProgress: (pairs) => done.push(pairs),
    });
    expect([...found.textToImage]).toEqual(numbers("rank_text_to_image"));
    expect([...found.imageToText]).toEqual(numbers("rank_image_to_text"));
    expect(done.at(-1)).toBe(500 * 100);
    for (const [ranks, name] of [
      [found.textToImage, "text_to_image"],
      [found.imageToText, "image_to_text"],
    ] as const) {
      const { recall1, recall5, recall10, meanRank, medianRank } = recall(ranks);
      const { "R@1": r1, "R@5": r5, "R@10": r10, mean_rank, median_rank } = official[name];
      expect([recall1, recall5, recall10, meanRank, medianRank]).toEqual([r1, r5, r10, mean_rank, median_rank]);
    }
  });
});

/** By sorting, as one would by hand: equal scores in the order of their numbers. */
function sorted(scores: readonly (readonly number[])[], owners: readonly number[], images: number) {
  const order = (list: readonly number[]): number[] =>
    [...list.keys()].sort((a, b) => (list[b] ?? 0) - (list[a] ?? 0) || a - b);
  return {
    textToImage: scores.map((row, text) => order(row).indexOf(owners[text] ?? -1)),
    imageToText: Array.from({ length: images }, (_, image) =>
      order(scores.map((row) => row[image] ?? 0)).findIndex((text) => owners[text] === image),
    ),
  };
}

describe("any scores", () => {
  // Few different numbers, so that ties are the rule.
  const vectors = (count: number) =>
    fc.array(fc.tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -1, max: 1 })), {
      minLength: count,
      maxLength: count,
    });
  const cases = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 6 })).chain(([texts, images]) =>
    fc.record({
      texts: vectors(texts),
      images: vectors(images),
      owners: fc.array(fc.integer({ min: 0, max: images - 1 }), { minLength: texts, maxLength: texts }),
      block: fc.integer({ min: 1, max: 10 }),
      noise: fc.constantFrom(0, 1e-6),
    }),
  );

  it("are ranked as by sorting, whatever an engine's rounding makes of ties", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ texts, images, owners, block, noise }) => {
        const matrix = (list: readonly (readonly [number, number])[]) =>
          memoryMatrix(Float32Array.from(list.flat()), 2);
        let sign = 1;
        const products = (a: Float32Array, b: Float32Array): Float32Array => {
          const across = b.length / 2;
          return Float32Array.from({ length: (a.length / 2) * across }, (_, i) => {
            const [row, column] = [2 * Math.floor(i / across), 2 * (i % across)];
            sign = -sign;
            return (a[row] ?? 0) * (b[column] ?? 0) + (a[row + 1] ?? 0) * (b[column + 1] ?? 0) + sign * noise;
          });
        };
        const found = await retrievalRanks(matrix(texts), matrix(images), Int32Array.from(owners), { block, products });
        const scores = texts.map(([x, y]) => images.map(([u, v]) => x * u + y * v));
        const expected = sorted(scores, owners, images.length);
        expect([...found.textToImage]).toEqual(expected.textToImage);
        expect([...found.imageToText]).toEqual(expected.imageToText);
      }),
      { numRuns: 300 },
    );
  });
});

it("says what does not fit, and stops when asked", async () => {
  const two = memoryMatrix(Float32Array.of(1, 0, 0, 1), 2);
  await expect(retrievalRanks(two, memoryMatrix(new Float32Array(3), 3), Int32Array.of(0, 1))).rejects.toThrow(
    "retrieval: texts have 2 numbers each, pictures 3",
  );
  await expect(retrievalRanks(two, two, Int32Array.of(0))).rejects.toThrow("retrieval: 2 texts have 1 owners");
  await expect(retrievalRanks(two, two, Int32Array.of(0, 2))).rejects.toThrow(
    "text 1 belongs to picture 2, there are 2",
  );
  const stopped = AbortSignal.abort(new Error("stopped"));
  await expect(retrievalRanks(two, two, Int32Array.of(0, 1), { signal: stopped })).rejects.toThrow("stopped");
});

it("pictures without a text are no query", async () => {
  const unit = memoryMatrix(Float32Array.of(1, 0, 0, 1), 2);
  const { imageToText } = await retrievalRanks(memoryMatrix(Float32Array.of(0, 1), 2), unit, Int32Array.of(1));
  expect([...imageToText]).toEqual([-1, 0]);
  expect(recall(imageToText).queries).toBe(1);
});
