import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  createBpeTokenizer,
  loadClipTokenizer,
  officialMerges,
  officialTokenizer,
  parseClipVocabulary,
  tokenizerFromJson,
} from "../../src/tokenizer/index.ts";

const good = { format: "clip-ts/tokenizer", version: 1, vocabSize: 516, merges: ["a b", "ab c</w>"] };

test("a saved tokenizer is checked, and the error names the entry", () => {
  expect(tokenizerFromJson(good).encode("abc")).toEqual([513]);
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [null, /expected an object, got null/],
    [[], /expected an object, got an array/],
    [{ ...good, format: "x" }, /expected format "clip-ts\/tokenizer", got "x"/],
    [{ ...good, specialTokens: "siglip" }, /expected specialTokens to be one of openai, open_clip, got "siglip"/],
    [{ ...good, version: 2 }, /expected version 1, got 2/],
    [{ ...good, merges: "a b" }, /expected merges to be an array, got "a b"/],
    [{ ...good, vocabSize: 515 }, /expected vocabSize 516 .* got 515/],
    [{ ...good, merges: ["a b", 3] }, /merges\[1\]: expected a string, got 3/],
    [{ ...good, merges: ["a b", "abc"] }, /merges\[1\]: expected two tokens separated by a space, got "abc"/],
    [{ ...good, merges: ["a b", "a b c"] }, /merges\[1\]: expected two tokens/],
    [{ ...good, merges: ["a b", "ac c"] }, /merge 1 \("ac c"\): expected tokens that exist by then, got "ac"/],
    [{ ...good, merges: ["a b", "a b"] }, /merge 1 \("a b"\): expected a new token, got that of id 512/],
  ];
  for (const [json, message] of cases) {
    expect(() => tokenizerFromJson(json)).toThrow(message);
    expect(() => tokenizerFromJson(json)).toThrow(/^[^\n]+$/);
  }
});

test("a merges file that is cut or is none", () => {
  expect(() => parseClipVocabulary("header\ni n\n")).toThrow(/at least 48894 lines of merges, got 3 lines/);
  const wrong = `header\n${"i n\n".repeat(10)}t h e\n${"i n\n".repeat(49_000)}`;
  expect(() => parseClipVocabulary(wrong)).toThrow(/line 12: expected two tokens separated by a space, got "t h e"/);
});

test("the context length is checked, and the error is one line that says text, count and limit", () => {
  const tokenizer = createBpeTokenizer([]);
  expect(() => tokenizer.tokenize(["a", "b\nb cc"], { contextLength: 3 })).toThrow(
    'tokenize: text 1 ("b\\nb cc") has 6 tokens with its marks, more than the context length 3; shorten it, or choose longText "truncate" (cut it) or "chunk" (average its parts)',
  );
  for (const contextLength of [0, -1, 1.5, Number.NaN]) {
    expect(() => tokenizer.tokenize("a", { contextLength })).toThrow(/contextLength to be a positive integer/);
  }
});

test("the vocabulary file loads plain and compressed; errors name the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-"));
  try {
    const merges = await officialMerges();
    const text = `header\n${merges.map((merge) => merge.join(" ")).join("\n")}\n`;
    const plain = join(folder, "merges.txt");
    const packed = join(folder, "merges.txt.gz");
    await Promise.all([writeFile(plain, text), writeFile(packed, gzipSync(text))]);
    const expected = (await officialTokenizer()).encode("A photo of an axolotl");
    expect((await loadClipTokenizer(plain)).encode("A photo of an axolotl")).toEqual(expected);
    expect((await loadClipTokenizer(packed)).encode("A photo of an axolotl")).toEqual(expected);

    await writeFile(packed, gzipSync(text).subarray(0, 1000));
    await expect(loadClipTokenizer(packed)).rejects.toThrow(/^loadClipTokenizer: .*merges\.txt\.gz: /);
    await expect(loadClipTokenizer(join(folder, "none"))).rejects.toThrow(/none: ENOENT/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
