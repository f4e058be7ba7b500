/** How start and end of text are spelled where they stand in a text: OpenAI's tokenizer and open_clip's differ in this alone. */
export type SpecialTokens = "openai" | "open_clip";

export const MARKS: Readonly<Record<SpecialTokens, readonly [start: string, end: string]>> = {
  openai: ["<|startoftext|>", "<|endoftext|>"],
  open_clip: ["<start_of_text>", "<end_of_text>"],
};

/*
 * The official pattern is compiled ignoring case and meets lower-cased text, where that leaves two effects, spelled out
 * here because JavaScript's `i` flag has others: the long s equals s, and U+0345 (which folds to a letter without being
 * one) matches neither as a letter nor as punctuation and so disappears.
 */
// biome-ignore lint/suspicious/noMisleadingCharacterClass: a set of single code points is meant
const words = /'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}\u0345]+/u;

function pattern([start, end]: readonly [string, string]): RegExp {
  const marks = [start.replace("<s", "<[sſ]").replace("|s", "|[sſ]"), end];
  return new RegExp([...marks.map((mark) => mark.replaceAll("|", "\\|")), words.source].join("|"), "gu");
}

const PATTERNS: Readonly<Record<SpecialTokens, RegExp>> = {
  openai: pattern(MARKS.openai),
  open_clip: pattern(MARKS.open_clip),
};

/** Splits cleaned text into the words that byte-pair encoding works on: letters, one digit, punctuation, a mark. */
export function splitWords(cleaned: string, specialTokens: SpecialTokens = "openai"): readonly string[] {
  return cleaned.match(PATTERNS[specialTokens]) ?? [];
}
