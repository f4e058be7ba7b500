import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { byteSymbols, createMergeTable, encodeWord, mergeByHeap, mergeByScan } from "../../src/tokenizer/bpe.ts";
import { createHeap } from "../../src/tokenizer/heap.ts";
import {
  cleanText,
  createBpeTokenizer,
  officialTokenizer,
  type Tokenizer,
  tokenizerFromJson,
  trainBpe,
} from "../../src/tokenizer/index.ts";

let clip: Tokenizer;
beforeAll(async () => {
  clip = await officialTokenizer();
});

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.string({ maxLength: 60 }),
);
/** Lone surrogates included. */
const codeUnits = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 })
  .map((units) => String.fromCharCode(...units));
const withoutSpace = (text: string): string => text.replace(/\p{White_Space}|\u0345/gu, "");

test("decode(encode(x)) is the cleaned text, but for spaces", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      // a literal </w> decodes as a space, as officially
      fc.pre(!text.includes("</w>"));
      expect(withoutSpace(clip.decode(clip.encode(text)))).toBe(withoutSpace(cleanText(text)));
    }),
    { numRuns: 1000 },
  );
});

test("plain ASCII, which skips the repairs, is cleaned as within a text that does not", () => {
  const plain = fc.string({
    unit: fc.integer({ min: 9, max: 0x7f }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  });
  fc.assert(
    fc.property(plain, (text) => {
      const among = cleanText(`日 ${text} 日`);
      expect(among).toBe(`日 ${cleanText(`${text} 日`)}`);
      expect(among.slice(2, -1).trim()).toBe(cleanText(text));
    }),
    { numRuns: 2000 },
  );
});

test("no text crashes, all ids are of the vocabulary, and a row ends with end-of-text", () => {
  fc.assert(
    fc.property(fc.oneof(anyText, codeUnits), fc.integer({ min: 1, max: 90 }), (text, contextLength) => {
      const { ids, lengths, shape } = clip.tokenize(text, { contextLength, longText: "truncate" });
      const length = lengths[0] ?? 0;
      expect(shape).toEqual([1, contextLength]);
      expect(ids[length - 1]).toBe(clip.endOfText);
      expect(ids.subarray(length).every((id) => id === 0)).toBe(true);
      expect(ids.every((id) => id >= 0 && id < clip.vocabSize)).toBe(true);
      expect(length).toBe(Math.min(contextLength, clip.encode(text).length + 2));
    }),
    { numRuns: 1000 },
  );
});

test("decode takes any ids of the vocabulary and no others", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 49_407 }), { maxLength: 40 }), (ids) => {
      expect(typeof clip.decode(ids)).toBe("string");
    }),
  );
  for (const id of [-1, 49_408, 0.5, Number.NaN]) {
    expect(() => clip.decode([id])).toThrow(`decode: expected ids from 0 to 49407, got ${id}`);
  }
});

test("training, then encoding with what was learned, round-trips; JSON keeps every id", async () => {
  const captions = fc.array(anyText, { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(captions, fc.integer({ min: 514, max: 700 }), async (texts, vocabSize) => {
      const merges = await trainBpe(texts, { vocabSize });
      const tokenizer = createBpeTokenizer(merges);
      const again = tokenizerFromJson(JSON.parse(JSON.stringify(tokenizer)));
      expect(tokenizer.vocabSize).toBeLessThanOrEqual(vocabSize);
      for (const text of texts) {
        if (text.includes("</w>")) continue;
        const ids = tokenizer.encode(text);
        expect(withoutSpace(tokenizer.decode(ids))).toBe(withoutSpace(cleanText(text)));
        expect(again.encode(text)).toEqual(ids);
      }
      // the order of captions does not matter
      expect(await trainBpe([...texts].reverse(), { vocabSize })).toEqual(merges);
    }),
    { numRuns: 150 },
  );
});

test("the two ways of merging a word agree", async () => {
  const merges = await trainBpe(["aaaa aaab abab bbab", "babab aabb ab ab ab", "aaaaaaa bbbbbb abcabc"], {
    vocabSize: 560,
  });
  const ids = new Map<string, number>();
  const known = createBpeTokenizer(merges);
  for (let id = 0; id < 512; id++) ids.set(known.decode([id]), id);
  const table = createMergeTable(merges.length);
  const { buildVocabulary } = await import("../../src/tokenizer/vocabulary.ts");
  for (const [rank, [left, right]] of buildVocabulary(merges).parts.entries()) table.set(left, right, 512 + rank);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 300 }), (word) => {
      const byScan = mergeByScan(byteSymbols(word), table);
      expect(mergeByHeap(byteSymbols(word), table)).toEqual(byScan);
      expect(encodeWord(word, table)).toEqual(byScan);
    }),
    { numRuns: 500 },
  );
});

test("a word of a megabyte is encoded in seconds", () => {
  const started = process.cpuUsage();
  expect(clip.encode("abcdefgh".repeat(2 ** 17)).length).toBeGreaterThan(1000);
  expect(process.cpuUsage(started).user).toBeLessThan(30e6); // microseconds, whatever else the machine does
});

test("a heap pops in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const heap = createHeap<number>((a, b) => a < b);
      for (const number of numbers) heap.push(number);
      expect(numbers.map(() => heap.pop())).toEqual([...numbers].sort((a, b) => a - b));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});
