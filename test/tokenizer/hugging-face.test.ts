/** SigLIP's tokenizers against transformers' and open_clip's (`test/golden/make/sentencepiece_tokenizers.py`). */
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  huggingFaceTokenizer,
  sentencePieceTokenizer,
  type Tokenizer,
  tokenizerFromJson,
} from "../../src/tokenizer/index.ts";

const FOLDER = new URL("../golden/sentencepiece/", import.meta.url);
const CONTEXT = 16;

type Case = readonly [text: string, siglip: readonly number[], openClip: readonly number[], siglip2: readonly number[]];

const json = async (name: string): Promise<unknown> =>
  JSON.parse(gunzipSync(await readFile(new URL(name, FOLDER))).toString());
const cases = async (): Promise<readonly Case[]> => (await json("cases.json.gz")) as readonly Case[];
const model = (): Promise<Buffer> => readFile(new URL("siglip.model", FOLDER));

const siglip = async (): Promise<Tokenizer> => sentencePieceTokenizer(await model());
const openClip = async (): Promise<Tokenizer> =>
  huggingFaceTokenizer(await json("siglip.json.gz"), { cleaning: "canonicalize", end: "</s>", padding: "</s>" });
const siglip2 = async (): Promise<Tokenizer> =>
  huggingFaceTokenizer(await json("siglip2.json.gz"), { cleaning: "lower", end: "<eos>", padding: "<pad>" });

/** transformers splits texts at special tokens before it cleans them; here they are text like any other. */
const spelled = /<\/s>|<unk>/;

function rowsOf(tokenizer: Tokenizer, texts: readonly string[]): number[][] {
  const { ids } = tokenizer.tokenize(texts, { contextLength: CONTEXT, longText: "truncate" });
  return texts.map((_, row) => [...ids.subarray(row * CONTEXT, (row + 1) * CONTEXT)]);
}

describe.each([
  ["transformers' SiglipTokenizer, from its sentencepiece model", siglip, 1, 1200],
  ["open_clip's for SigLIP, from its tokenizer.json", openClip, 2, 1200],
  ["transformers' Siglip2Tokenizer", siglip2, 3, 1500],
] as const)("%s", (_, load, column, vocabSize) => {
  it("gives the same rows of ids", async () => {
    const all = (await cases()).filter(([text]) => column !== 1 || !spelled.test(text));
    expect(all.length).toBeGreaterThan(340);
    const rows = rowsOf(
      await load(),
      all.map(([text]) => text),
    );
    for (const [i, row] of rows.entries()) expect(row, JSON.stringify(all[i]?.[0])).toEqual(all[i]?.[column]);
  });

  it("says what it is, and comes back from what it saves", async () => {
    const tokenizer = await load();
    expect(tokenizer.vocabSize).toBe(vocabSize);
    expect([tokenizer.startOfText, tokenizer.endOfText]).toEqual([undefined, 1]);
    const again = tokenizerFromJson(JSON.parse(JSON.stringify(tokenizer.toJSON())));
    const texts = (await cases()).map(([text]) => text);
    expect(rowsOf(again, texts)).toEqual(rowsOf(tokenizer, texts));
  });

  it("cuts texts between words without losing any", async () => {
    const tokenizer = await load();
    for (const [text] of await cases()) {
      const [parts, whole] = [tokenizer.encodeWords(text).flat(), tokenizer.encode(text)];
      // The byte pairs of this small model span words.
      if (column === 3) expect(tokenizer.decode(parts), JSON.stringify(text)).toBe(tokenizer.decode(whole));
      else expect(parts, JSON.stringify(text)).toEqual(whole);
    }
  });

  it("decodes what it encodes", async () => {
    const tokenizer = await load();
    expect(tokenizer.decode(tokenizer.encode("a photo of a latin small letter")).trim()).toBe(
      "a photo of a latin small letter",
    );
    expect(tokenizer.decode([])).toBe("");
    expect(() => tokenizer.decode([vocabSize])).toThrow(`decode: expected ids from 0 to ${vocabSize - 1}, got`);
  });

  it("takes any text", async () => {
    const tokenizer = await load();
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        for (const id of tokenizer.encode(text)) expect(id >= 0 && id < tokenizer.vocabSize).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe("mT5's kind, which SigLIP's multilingual models have", () => {
  const ofPieces = async (): Promise<Tokenizer> =>
    sentencePieceTokenizer(await readFile(new URL("multilingual.model", FOLDER)));
  const ofJson = async (): Promise<Tokenizer> =>
    huggingFaceTokenizer(await json("multilingual.json.gz"), {
      cleaning: "canonicalize",
      end: "</s>",
      padding: "</s>",
    });

  it.each([
    ["sentencepiece's file, as transformers reads it", ofPieces, 1],
    ["tokenizer.json", ofJson, 2],
  ] as const)("unknown characters are their bytes: %s", async (_, load, column) => {
    const all = (await json("multilingual-cases.json.gz")) as readonly (readonly [string, number[], number[]])[];
    expect(all.length).toBeGreaterThan(250);
    const rows = rowsOf(
      await load(),
      all.map(([text]) => text),
    );
    for (const [i, row] of rows.entries()) expect(row, JSON.stringify(all[i]?.[0])).toEqual(all[i]?.[column]);
  });

  it("bytes become characters again, and sentinels are no ids that a text needs", async () => {
    for (const load of [ofPieces, ofJson]) expect((await load()).vocabSize).toBe(700);
    const tokenizer = await ofPieces();
    expect(tokenizer.decode(tokenizer.encode("日本語 of a cat")).trim()).toBe("日本語 of a cat");
  });
});

describe("what is no tokenizer is refused in one line", () => {
  const marks = { cleaning: "none", end: "</s>", padding: "</s>" } as const;
  const unigram = (more: object): object => ({
    added_tokens: [],
    model: { type: "Unigram", unk_id: 0, vocab: [["</s>", 0]] },
    ...more,
  });
  it.each([
    [null, /^tokenizer\.json: expected an object, got null$/],
    [{}, /^tokenizer\.json: not a tokenizer that is supported: .+$/],
    [
      unigram({ model: { type: "Unigram", unk_id: 0, vocab: [["</s>", 0]], byte_fallback: true } }),
      /^tokenizer\.json: there is no token "<0x00>"$/,
    ],
    [unigram({ model: { type: "Magic", vocab: [] } }), /^tokenizer\.json: not a tokenizer that is supported: .+$/],
    [unigram({ normalizer: { type: "Magic" } }), /^tokenizer\.json: not a tokenizer that is supported: .+Magic.*$/],
    [unigram({ normalizer: { type: "Precompiled", precompiled_charsmap: "/////w==" } }), /charsmap: expected a trie/],
    [
      unigram({ normalizer: { type: "Replace", pattern: { Regex: "(a+)+$" }, content: "" } }),
      /^tokenizer\.json: a pattern that might never end is not run: "\(a\+\)\+\$"$/,
    ],
    [
      unigram({ model: { type: "Unigram", unk_id: 0, vocab: [["a", 0]] } }),
      /^tokenizer\.json: there is no token "<\/s>"$/,
    ],
  ])("tokenizer.json %#", (value, message) => {
    expect(() => huggingFaceTokenizer(value, marks)).toThrow(message);
  });

  it("damaged sentencepiece models", async () => {
    const whole = await model();
    expect(() => sentencePieceTokenizer(new Uint8Array(0))).toThrow("sentencepiece model: there are no pieces");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
        const damaged = cut ? whole.subarray(0, at) : Buffer.from(whole);
        if (!cut) damaged[at] = byte;
        try {
          sentencePieceTokenizer(damaged).encode("a photo of a cat");
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect((error as Error).message).toMatch(/^(sentencepiece model|tokenizer\.json|charsmap): [^\n]+$/);
        }
      }),
      { numRuns: 30 },
    );
  });
});
