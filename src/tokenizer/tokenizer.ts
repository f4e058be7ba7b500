import { createMergeTable, encodeWord } from "./bpe.ts";
import { bytesOfToken, endOfWord } from "./bytes.ts";
import { cleanText } from "./clean.ts";
import { type TokenBatch, type TokenizeOptions, tokenRows } from "./rows.ts";
import { type TokenizerJson, writeTokenizerJson } from "./tokenizer-json.ts";
import { buildVocabulary, type Merge } from "./vocabulary.ts";
import { createWordCache } from "./word-cache.ts";
import { MARKS, type SpecialTokens, splitWords } from "./words.ts";

export interface Tokenizer {
  /** 512 byte tokens, the merges, two marks: 49,408 for OpenAI's models. */
  readonly vocabSize: number;
  /** The id that begins every text: `vocabSize - 2`; SigLIP's texts have none. */
  readonly startOfText: number | undefined;
  /** The id that ends every text, where the text tower pools: `vocabSize - 1`; SigLIP's is 1. */
  readonly endOfText: number;
  /** The ids of a text, cleaned as the official code does, without the two marks. */
  encode(text: string): number[];
  /** The same, a list for each word that white space sets apart: where a long text may be cut. */
  encodeWords(text: string): number[][];
  /**
   * The text of ids; a space stands after every word, and bytes that are no UTF-8 become U+FFFD.
   * @throws if an id is not of the vocabulary.
   */
  decode(ids: Iterable<number>): string;
  /**
   * Ids for the model: start-of-text, the text, end-of-text, zeros.
   * @throws if a text does not fit and `longText` does not say what to do, or `contextLength` is not a positive integer.
   */
  tokenize(texts: string | readonly string[], options?: TokenizeOptions): TokenBatch;
  /** What to save beside a model, for `tokenizerFromJson`. */
  toJSON(): TokenizerJson;
}

export interface BpeTokenizerOptions {
  /** How many words' ids are remembered, about 200 bytes each. @default 65536 */
  readonly cachedWords?: number;
  /** Which spelling of the two marks a text may contain: `<|endoftext|>` or open_clip's `<end_of_text>`. @default "openai" */
  readonly specialTokens?: SpecialTokens;
}

/**
 * A tokenizer from merges in rank order.
 * @throws if a merge uses a token that no earlier merge made, or makes one that exists.
 */
export function createBpeTokenizer(merges: readonly Merge[], options: BpeTokenizerOptions = {}): Tokenizer {
  const { specialTokens = "openai", cachedWords = 65_536 } = options;
  const [startMark, endMark] = MARKS[specialTokens];
  const vocabulary = buildVocabulary(merges);
  const table = createMergeTable(merges.length);
  const firstMerged = vocabulary.tokens.length - merges.length;
  for (const [rank, [left, right]] of vocabulary.parts.entries()) table.set(left, right, firstMerged + rank);

  const startOfText = vocabulary.tokens.length;
  const endOfText = startOfText + 1;
  const vocabSize = endOfText + 1;
  const tokens = [...vocabulary.tokens, startMark, endMark];
  const tokenBytes = new Array<Uint8Array | undefined>(vocabSize);
  const cache = createWordCache((word) => encodeWord(word, table), cachedWords);

  function encode(text: string): number[] {
    return encodeCleaned(cleanText(text));
  }

  function encodeCleaned(cleaned: string): number[] {
    const ids: number[] = [];
    for (const word of splitWords(cleaned, specialTokens)) {
      if (word === startMark) ids.push(startOfText);
      else if (word === endMark) ids.push(endOfText);
      else for (const id of cache.idsOf(word)) ids.push(id);
    }
    return ids;
  }

  function decode(ids: Iterable<number>): string {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (const id of ids) {
      const token = tokens[id];
      const bytes = tokenBytes[id] ?? (token === undefined ? undefined : bytesOfToken(token));
      if (bytes === undefined) throw new Error(`decode: expected ids from 0 to ${vocabSize - 1}, got ${id}`);
      tokenBytes[id] = bytes;
      pieces.push(bytes);
      length += bytes.length;
    }
    const all = new Uint8Array(length);
    let offset = 0;
    for (const bytes of pieces) {
      all.set(bytes, offset);
      offset += bytes.length;
    }
    // replaced in the text, not per token, as officially: three tokens that spell </w> become a space too
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(all).replaceAll(endOfWord, " ");
  }

  function encodeWords(text: string): number[][] {
    return cleanText(text).split(" ").map(encodeCleaned);
  }

  function tokenize(texts: string | readonly string[], options: TokenizeOptions = {}): TokenBatch {
    const list = typeof texts === "string" ? [texts] : texts;
    return tokenRows(list, encode, encodeWords, { start: startOfText, end: endOfText, padding: 0 }, options);
  }

  const toJSON = (): TokenizerJson => writeTokenizerJson(merges, specialTokens);
  return { vocabSize, startOfText, endOfText, encode, encodeWords, decode, tokenize, toJSON };
}
