import { huggingFaceTokenizer } from "./hugging-face.ts";
import { createBpeTokenizer, type Tokenizer } from "./tokenizer.ts";
import { readHuggingFaceTokenizerJson, readTokenizerJson } from "./tokenizer-json.ts";

export type { TextCleaning } from "./canonical-text.ts";
export { cleanText } from "./clean.ts";
export { huggingFaceTokenizer } from "./hugging-face.ts";
export { loadClipTokenizer } from "./load-vocabulary.ts";
export { type OfficialTokenizerOptions, officialMerges, officialTokenizer } from "./official.ts";
export { type LongText, type RowMarks, type TokenBatch, type TokenizeOptions, tokenRows } from "./rows.ts";
export { sentencePieceTokenizer } from "./sentencepiece-model.ts";
export { type BpeTokenizerOptions, createBpeTokenizer, type Tokenizer } from "./tokenizer.ts";
export type { HuggingFaceTokenizerOptions, TokenizerJson } from "./tokenizer-json.ts";
export { type TrainBpeOptions, type TrainBpeProgress, trainBpe } from "./train-bpe.ts";
export { type Merge, parseClipVocabulary } from "./vocabulary.ts";
export type { SpecialTokens } from "./words.ts";

/**
 * The tokenizer that `toJSON` described.
 * @throws one line that names the entry, what was expected and what came.
 */
export function tokenizerFromJson(json: unknown): Tokenizer {
  const foreign = readHuggingFaceTokenizerJson(json);
  if (foreign) return huggingFaceTokenizer(foreign.tokenizer, foreign.options);
  const { merges, specialTokens } = readTokenizerJson(json);
  return createBpeTokenizer(merges, { specialTokens });
}
