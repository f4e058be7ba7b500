/**
 * Tokenizers of Hugging Face's library, which SigLIP's models have (sentencepiece unigram, Gemma's byte pairs). Models and splitting are
 * the library's JavaScript; normalisation by a compiled map is ours, since the library's is approximate.
 */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { canonicalText } from "./canonical-text.ts";
import { precompiledNormalizer } from "./charsmap.ts";
import { type RowMarks, tokenRows } from "./rows.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { HuggingFaceTokenizerJson, HuggingFaceTokenizerOptions } from "./tokenizer-json.ts";
import { quote } from "./vocabulary.ts";

/** What is used of the library, whose own types do not resolve under Node's rules for modules. */
interface Library {
  readonly normalizer: { normalize(text: string): string } | null;
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { readonly ids: readonly number[]; readonly tokens: readonly string[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  get_vocab(withAddedTokens: boolean): ReadonlyMap<string, number>;
}
const Library: new (json: object, config: object) => Library = LibraryTokenizer;

type Fields = Readonly<Record<string, unknown>>;

/**
 * A tokenizer from the contents of a tokenizer.json. Special tokens that are spelled in a text are read as the library reads them, after
 * the cleaning.
 * @throws one line that says which part is missing or not supported
 */
export function huggingFaceTokenizer(json: unknown, options: HuggingFaceTokenizerOptions): Tokenizer {
  const { cleaning, end, padding, start } = options;
  const { normalizer, ...rest } = fields(json, "tokenizer.json");
  checkPatterns(json, "tokenizer.json");
  const { normalize, library } = inOneLine("tokenizer.json", () => ({
    normalize: normalizerOf(normalizer),
    library: new Library({ ...ABSENT, ...rest }, {}),
  }));
  const idOf = (token: string): number => {
    const id = library.token_to_id(token);
    if (id === undefined) throw new Error(`tokenizer.json: there is no token ${quote(token)}`);
    return id;
  };
  const marks: RowMarks = {
    end: idOf(end),
    padding: idOf(padding),
    ...(start !== undefined && { start: idOf(start) }),
  };
  let vocabSize = 0;
  for (const [token, id] of library.get_vocab(true)) if (!SENTINEL.test(token)) vocabSize = Math.max(vocabSize, id + 1);
  const known = byteFallback(json, library, idOf);
  const idsOf = (cleaned: string): number[] => {
    const normal = normalize(cleaned);
    if (normal === "") return [];
    const { ids, tokens } = library.encode(normal, { add_special_tokens: false });
    return ids.flatMap((id, i) => known(id, tokens[i] ?? ""));
  };
  const encode = (text: string): number[] => idsOf(canonicalText(text, cleaning));
  // A word takes the space before it along, which may be part of its first token. Tokens that span words are not found so.
  const encodeWords = (text: string): number[][] =>
    (canonicalText(text, cleaning).match(/\s*\S+|\s+$/gu) ?? []).map((word) => idsOf(word));
  const decode = (ids: Iterable<number>): string => {
    const list = [...ids];
    for (const id of list)
      if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
        throw new Error(`decode: expected ids from 0 to ${vocabSize - 1}, got ${id}`);
    if (list.length === 0) return "";
    return library.decode(list, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  };
  return {
    vocabSize,
    startOfText: marks.start,
    endOfText: marks.end,
    encode,
    encodeWords,
    decode,
    tokenize: (texts, rows) =>
      tokenRows(typeof texts === "string" ? [texts] : texts, encode, encodeWords, marks, rows ?? {}),
    toJSON: (): HuggingFaceTokenizerJson => ({
      format: "clip-ts/tokenizer",
      version: 1,
      kind: "hugging-face",
      tokenizer: json,
      options,
    }),
  };
}

/** T5's vocabularies end with these, which stand for no text: SigLIP has mT5's, and no embeddings for them. */
const SENTINEL = /^\u2581?<extra_id_\d+>$/;

/** Makes unknown characters the ids of their bytes where a unigram model says so; of byte pairs the library does it itself. */
function byteFallback(
  json: unknown,
  library: Library,
  idOf: (token: string) => number,
): (id: number, token: string) => number | number[] {
  const { type, byte_fallback, unk_id } = fields(fields(json, "tokenizer.json").model, "model");
  if (type !== "Unigram" || byte_fallback !== true) return (id) => id;
  const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, "0");
  const byteIds = Array.from({ length: 256 }, (_, byte) => idOf(`<0x${hex(byte)}>`));
  const encoder = new TextEncoder();
  return (id, token) =>
    id === unk_id && library.token_to_id(token) === undefined
      ? Array.from(encoder.encode(token), (byte) => byteIds[byte] ?? id)
      : id;
}

/** The library wants all parts of a tokenizer.json to be there. */
const ABSENT = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
const EMPTY = { ...ABSENT, model: { type: "BPE", vocab: {}, merges: [] } };

/** All normalizers in order, as one function. */
function normalizerOf(config: unknown): (text: string) => string {
  if (config === null || config === undefined) return (text) => text;
  const { type, normalizers, precompiled_charsmap: charsmap } = fields(config, "normalizer");
  if (type === "Sequence") {
    const steps = Array.isArray(normalizers) ? normalizers.map(normalizerOf) : [];
    return (text) => steps.reduce((x, step) => step(x), text);
  }
  if (type === "Precompiled") {
    if (typeof charsmap !== "string") throw new Error("normalizer: Precompiled has no precompiled_charsmap");
    return precompiledNormalizer(Uint8Array.from(atob(charsmap), (byte) => byte.charCodeAt(0)));
  }
  const { normalizer } = new Library({ ...EMPTY, normalizer: config }, {});
  return (text) => (normalizer ? normalizer.normalize(text) : text);
}

/** Longest regular expression that is believed, and what makes one take exponential time: a repetition of a repetition. */
const LONGEST_PATTERN = 500;
const REPEATED_TWICE = /\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)[*+{]/;

/** Files come from strangers, and their patterns run on the user's texts. */
function checkPatterns(value: unknown, where: string): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    // The vocabulary is large and holds no patterns.
    if (key === "vocab" || key === "merges") continue;
    if (key === "Regex" && (typeof inner !== "string" || inner.length > LONGEST_PATTERN || REPEATED_TWICE.test(inner)))
      throw new Error(`${where}: a pattern that might never end is not run: ${quote(String(inner).slice(0, 60))}`);
    checkPatterns(inner, where);
  }
}

function fields(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${where}: expected an object, got ${value === null ? "null" : typeof value}`);
  return { ...value };
}

/** The library's own errors are those of code that met something else than it thought. */
function inOneLine<T>(where: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const message = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Error(`${where}: not a tokenizer that is supported: ${message}`, { cause: error });
  }
}
