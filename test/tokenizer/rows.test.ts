/** Texts that do not fit a row: counted, cut, or chunked. */
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { officialTokenizer, type Tokenizer, tokenRows } from "../../src/tokenizer/index.ts";
import { chunks } from "../../src/tokenizer/rows.ts";

let clip: Tokenizer;
beforeAll(async () => {
  clip = await officialTokenizer();
});

const rowsOf = ({ ids, lengths, shape }: ReturnType<Tokenizer["tokenize"]>): number[][] =>
  Array.from(lengths, (length, row) => [...ids.subarray(row * shape[1], row * shape[1] + length)]);

/** Least longest part of all ways to cut a list in `parts`, by trying every way. */
function leastLongest(sizes: readonly number[], parts: number): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (parts === 1 || sizes.length <= 1) return total;
  let [best, first] = [total, 0];
  for (const [i, size] of sizes.entries()) {
    first += size;
    best = Math.min(best, Math.max(first, leastLongest(sizes.slice(i + 1), parts - 1)));
  }
  return best;
}

test("chunks are as few as can be and the longest as short as can be, in order, words whole", () => {
  const words = fc.array(fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(words, fc.integer({ min: 5, max: 12 }), (list, room) => {
      const parts = chunks(list, room);
      expect(parts.flat()).toEqual(list.flat());
      const sizes = list.map(({ length }) => length);
      const longest = Math.max(...parts.map(({ length }) => length));
      expect(longest).toBeLessThanOrEqual(room);
      if (parts.length > 1) expect(leastLongest(sizes, parts.length - 1)).toBeGreaterThan(room);
      expect(longest).toBe(leastLongest(sizes, parts.length));
      const ends = new Set(sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0)));
      let end = 0;
      for (const part of parts) {
        end += part.length;
        expect(ends).toContain(end);
      }
    }),
    { numRuns: 500 },
  );
});

test("a word longer than a row is cut, and words without ids make no row", () => {
  expect(chunks([[1], [2, 2, 2, 2, 2], [], [3]], 2)).toEqual([[1], [2, 2], [2, 2], [2, 3]]);
  expect(chunks([[], []], 3)).toEqual([]);
});

test("words of a text together are the text, whatever it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 80 }), (text) => {
      expect(clip.encodeWords(text).flat()).toEqual(clip.encode(text));
    }),
    { numRuns: 1000 },
  );
});

test("chunking a text of the official vocabulary: rows with marks, whose ids together are the text's", () => {
  const long = "A red sailboat on the sea, painted in 1923; ".repeat(12);
  const texts = ["short", long, "another short one"];
  const batch = clip.tokenize(texts, { longText: "chunk" });
  const needed = clip.encode(long).length;
  const parts = Math.ceil(needed / 75);
  expect([...batch.owners]).toEqual([0, ...Array<number>(parts).fill(1), 2]);
  expect(batch.shape).toEqual([parts + 2, 77]);
  const rows = rowsOf(batch).slice(1, -1);
  for (const row of rows) {
    expect([row[0], row.at(-1)]).toEqual([49406, 49407]);
    expect(Math.abs(row.length - needed / parts)).toBeLessThan(12);
    expect(clip.decode(row.slice(1, -1))).toMatch(/[a-z0-9;,] $/);
  }
  expect(rows.flatMap((row) => row.slice(1, -1))).toEqual(clip.encode(long));
  const alone = clip.tokenize(texts[0] ?? "");
  expect(rowsOf(batch)[0]).toEqual(rowsOf(alone)[0]);
});

test("the error says which text, its count and what to do", () => {
  expect(() => clip.tokenize(["a", "b ".repeat(80)])).toThrow(
    /^tokenize: text 1 \("b b .*…"\) has 82 tokens with its marks, more than the context length 77; shorten it, or choose longText "truncate" \(cut it\) or "chunk" \(average its parts\)$/,
  );
});

test("a context that holds nothing but marks cannot chunk: it is cut", () => {
  for (const contextLength of [1, 2]) {
    const { ids, shape } = clip.tokenize("a b c", { contextLength, longText: "chunk" });
    expect(shape).toEqual([1, contextLength]);
    expect(ids.at(-1)).toBe(49407);
  }
});

test("rows without a start, padded by the end", () => {
  const encode = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0) - 96);
  const words = (text: string): number[][] => text.split(" ").map(encode);
  const { ids, lengths } = tokenRows(
    ["ab", "abcd"],
    encode,
    words,
    { end: 99, padding: 98 },
    {
      contextLength: 4,
      longText: "truncate",
    },
  );
  expect([...ids]).toEqual([1, 2, 99, 98, 1, 2, 3, 99]);
  expect([...lengths]).toEqual([3, 4]);
});
