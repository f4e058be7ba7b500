import type { TextCleaning } from "./canonical-text.ts";
import { type Merge, parseMerge, quote } from "./vocabulary.ts";
import { MARKS, type SpecialTokens } from "./words.ts";

const format = "clip-ts/tokenizer";
const version = 1;

/** A tokenizer as it is saved with a model. */
export type TokenizerJson = BpeTokenizerJson | HuggingFaceTokenizerJson;

/** What stands beside a tokenizer.json: in `tokenizer_config.json`, or in a model's code. */
export interface HuggingFaceTokenizerOptions {
  readonly cleaning: TextCleaning;
  /** The token that ends every text, such as `</s>`. */
  readonly end: string;
  /** The token that fills rows; `</s>` in SigLIP, `<pad>` in SigLIP 2. */
  readonly padding: string;
  /** The token that begins every text. @default none */
  readonly start?: string;
}

/** One of Hugging Face's, whole. */
export interface HuggingFaceTokenizerJson {
  readonly format: typeof format;
  readonly version: typeof version;
  readonly kind: "hugging-face";
  /** The contents of its tokenizer.json. */
  readonly tokenizer: unknown;
  readonly options: HuggingFaceTokenizerOptions;
}

/** CLIP's own kind. */
export interface BpeTokenizerJson {
  readonly format: typeof format;
  readonly version: typeof version;
  /** 512 + merges + 2; redundant, so that a cut file is noticed. */
  readonly vocabSize: number;
  /** In rank order, each `"left right"` in the characters of the byte alphabet. */
  readonly merges: readonly string[];
  /** How the two marks are spelled in a text. @default "openai" */
  readonly specialTokens?: SpecialTokens;
}

/** What a saved tokenizer is made of. */
export interface ReadTokenizer {
  readonly merges: readonly Merge[];
  readonly specialTokens: SpecialTokens;
}

export function writeTokenizerJson(merges: readonly Merge[], specialTokens: SpecialTokens): BpeTokenizerJson {
  return {
    format,
    version,
    vocabSize: 512 + merges.length + 2,
    merges: merges.map(([left, right]) => `${left} ${right}`),
    ...(specialTokens === "openai" ? {} : { specialTokens }),
  };
}

/** One of Hugging Face's that was saved; undefined if it is another kind. @throws one line if its options are none */
export function readHuggingFaceTokenizerJson(
  json: unknown,
): Pick<HuggingFaceTokenizerJson, "tokenizer" | "options"> | undefined {
  const fields: { readonly [name: string]: unknown } = typeof json === "object" ? { ...json } : {};
  if (fields.format !== format || fields.version !== version || fields.kind !== "hugging-face") return undefined;
  const { cleaning, end, padding, start }: { readonly [name: string]: unknown } = { ...(fields.options ?? {}) };
  if (!isCleaning(cleaning) || typeof end !== "string" || typeof padding !== "string")
    throw new Error("tokenizer JSON: options: expected cleaning, end and padding");
  if (start !== undefined && typeof start !== "string")
    throw new Error(`tokenizer JSON: options.start: expected a string, got ${describe(start)}`);
  return { tokenizer: fields.tokenizer, options: { cleaning, end, padding, ...(start !== undefined && { start }) } };
}

const isCleaning = (value: unknown): value is TextCleaning =>
  value === "siglip" || value === "canonicalize" || value === "lower" || value === "none";

/** @throws one line that names the entry, what was expected and what came. */
export function readTokenizerJson(json: unknown): ReadTokenizer {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Error(`tokenizer JSON: expected an object, got ${describe(json)}`);
  }
  const fields: { readonly [name: string]: unknown } = { ...json };
  if (fields.format !== format) {
    throw new Error(`tokenizer JSON: expected format ${quote(format)}, got ${describe(fields.format)}`);
  }
  if (fields.version !== version) {
    throw new Error(`tokenizer JSON: expected version ${version}, got ${describe(fields.version)}`);
  }
  const { merges, vocabSize, specialTokens = "openai" } = fields;
  if (!Array.isArray(merges)) {
    throw new Error(`tokenizer JSON: expected merges to be an array, got ${describe(merges)}`);
  }
  if (vocabSize !== 512 + merges.length + 2) {
    throw new Error(
      `tokenizer JSON: expected vocabSize ${512 + merges.length + 2} (512 + ${merges.length} merges + 2), got ${describe(vocabSize)}`,
    );
  }
  if (!isSpecialTokens(specialTokens)) {
    throw new Error(
      `tokenizer JSON: expected specialTokens to be one of ${Object.keys(MARKS).join(", ")}, got ${describe(specialTokens)}`,
    );
  }
  const parsed = merges.map((merge: unknown, rank) => {
    const where = `tokenizer JSON: merges[${rank}]`;
    if (typeof merge !== "string") throw new Error(`${where}: expected a string, got ${describe(merge)}`);
    return parseMerge(merge, () => where);
  });
  return { merges: parsed, specialTokens };
}

const isSpecialTokens = (value: unknown): value is SpecialTokens =>
  typeof value === "string" && Object.hasOwn(MARKS, value);

function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "an array" : value === null ? "null" : typeof value;
}
