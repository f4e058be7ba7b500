export const startOfTextMark = "<|startoftext|>";
export const endOfTextMark = "<|endoftext|>";

/*
 * The official pattern is compiled ignoring case and meets lower-cased text, where that leaves two effects, spelled out
 * here because JavaScript's `i` flag has others: the long s equals s, and U+0345 (which folds to a letter without being
 * one) matches neither as a letter nor as punctuation and so disappears.
 */
const wordPattern =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: a set of single code points is meant
  /<\|[sſ]tartoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}\u0345]+/gu;

/** Splits cleaned text into the words that byte-pair encoding works on: letters, one digit, punctuation, a mark. */
export function splitWords(cleaned: string): readonly string[] {
  return cleaned.match(wordPattern) ?? [];
}
