import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  cleanText,
  type Merge,
  officialMerges,
  officialTokenizer,
  type Tokenizer,
  tokenizerFromJson,
} from "../../src/tokenizer/index.ts";
import { buildVocabulary } from "../../src/tokenizer/vocabulary.ts";
import { golden } from "./golden.ts";

interface TokenizeCase {
  readonly group: string;
  readonly text: string;
  readonly ids: readonly number[];
  readonly padded?: readonly number[];
  readonly too_long?: true;
  readonly padded_truncate?: readonly number[];
}
interface DecodeCase {
  readonly kind: string;
  readonly ids: readonly number[];
  readonly text: string;
}
interface Call {
  readonly texts: string | readonly string[];
  readonly options: { readonly context_length?: number; readonly truncate?: boolean };
  readonly shape?: readonly [number, number];
  readonly ids?: readonly (readonly number[])[];
  readonly error?: string;
}
interface VocabularyCheck {
  readonly vocab_size: number;
  readonly encoder_sha256: string;
  readonly merges_sha256: string;
  readonly byte_encoder: readonly string[];
  readonly samples: readonly (readonly [number, string])[];
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

let tokenizer: Tokenizer;
let merges: readonly Merge[];
beforeAll(async () => {
  tokenizer = await officialTokenizer();
  merges = await officialMerges();
});

test("the vocabulary is the official one, entry by entry", () => {
  const check = golden<VocabularyCheck>("vocab_check.json");
  const tokens = [...buildVocabulary(merges).tokens, "<|startoftext|>", "<|endoftext|>"];
  expect(tokens.length).toBe(check.vocab_size);
  expect(sha256(tokens.map((token, id) => `${token}\t${id}\n`).join(""))).toBe(check.encoder_sha256);
  expect(sha256(merges.map(([left, right]) => `${left} ${right}\n`).join(""))).toBe(check.merges_sha256);
  for (const [id, token] of check.samples) expect(tokens[id]).toBe(token);
  expect([tokenizer.vocabSize, tokenizer.startOfText, tokenizer.endOfText]).toEqual([49408, 49406, 49407]);
});

describe("encode gives the official ids", () => {
  const { cases } = golden<{ cases: readonly TokenizeCase[] }>("tokenize.json.gz");
  expect(cases.length).toBe(1520);
  for (const group of new Set(cases.map((one) => one.group))) {
    const members = cases.filter((one) => one.group === group);
    test(`${group}: ${members.length} texts`, () => {
      const wrong = members
        .map(({ text, ids }) => ({ text, expected: ids, got: tokenizer.encode(text) }))
        .filter(({ expected, got }) => expected.join() !== got.join());
      expect(wrong).toEqual([]);
    });
  }

  test("tokenize pads, and cuts what does not fit", () => {
    let cut = 0;
    for (const one of cases) {
      const expected = one.padded ?? one.padded_truncate;
      const { ids, lengths } = tokenizer.tokenize(one.text, { longText: one.too_long ? "truncate" : "error" });
      expect([...ids], one.text).toEqual(expected);
      expect(lengths[0], one.text).toBe(Math.min(77, one.ids.length + 2));
      if (one.too_long) {
        cut++;
        expect(() => tokenizer.tokenize(one.text)).toThrow(/context length 77/);
      }
    }
    expect(cut).toBe(21);
  });
});

test("2,000 texts that are hard to clean: mojibake, entities, controls, lone surrogates, odd scripts", () => {
  const cases = golden<readonly (readonly [text: string, cleaned: string, ids: readonly number[]])[]>("nasty.json.gz");
  expect(cases.length).toBe(2000);
  const wrong = cases.filter(
    ([text, cleaned, ids]) => cleanText(text) !== cleaned || tokenizer.encode(text).join() !== ids.join(),
  );
  expect(wrong).toEqual([]);
});

test("decode gives the official text", () => {
  const { cases } = golden<{ cases: readonly DecodeCase[] }>("decode.json.gz");
  expect(cases.length).toBe(287);
  const wrong = cases
    .map((one) => ({ ...one, got: tokenizer.decode(one.ids) }))
    .filter(({ text, got }) => text !== got);
  expect(wrong).toEqual([]);
});

test("open_clip's tokenizer differs in the spelling of the marks alone", async () => {
  interface Difference {
    readonly text: string;
    readonly openai_ids: readonly number[];
    readonly open_clip_ids: readonly number[];
  }
  const openClip = await officialTokenizer({ specialTokens: "open_clip" });
  const { special, differences } =
    golden<Record<"special" | "differences", readonly Difference[]>>("open_clip_differences.json");
  expect(special.length + differences.length).toBe(36);
  for (const { text, openai_ids, open_clip_ids } of [...special, ...differences]) {
    expect(tokenizer.encode(text), text).toEqual(openai_ids);
    expect(openClip.encode(text), text).toEqual(open_clip_ids);
  }
  const again = tokenizerFromJson(JSON.parse(JSON.stringify(openClip.toJSON())));
  expect(again.encode("<START_OF_TEXT>a")).toEqual([49406, 320]);
  expect(again.decode([49406, 320])).toBe("<start_of_text>a ");
  expect(await officialTokenizer()).toBe(tokenizer);
});

test("tokenize answers the official calls, errors included", () => {
  const { calls } = golden<{ calls: readonly Call[] }>("tokenize_calls.json");
  expect(calls.length).toBe(18);
  for (const { texts, options, shape, ids, error } of calls) {
    const call = () =>
      tokenizer.tokenize(texts, {
        contextLength: options.context_length ?? 77,
        longText: options.truncate ? "truncate" : "error",
      });
    if (error !== undefined) {
      const limit = /context length (\d+)/.exec(error)?.[1] ?? "?";
      expect(call).toThrow(new RegExp(`^tokenize: text \\d+ \\(".*"\\) has \\d+ tokens .* context length ${limit}`));
      continue;
    }
    const batch = call();
    expect(batch.shape).toEqual(shape);
    expect([...batch.ids]).toEqual(ids?.flat());
  }
});
