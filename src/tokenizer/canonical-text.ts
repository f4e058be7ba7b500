import { repairText } from "./clean.ts";

/** How SigLIP's texts are cleaned. Python's sets of characters, which differ from JavaScript's (U+0085, U+001C, U+FEFF). */

/**
 * - `"siglip"`: lower case, no ASCII punctuation, spaces single (transformers' `SiglipTokenizer`)
 * - `"canonicalize"`: the same of a repaired text (mojibake, entities: as for CLIP), and `_` becomes a space (open_clip's
 *   `clean="canonicalize"`; big_vision's has no repairs)
 * - `"lower"`: lower case (transformers' `Siglip2Tokenizer`)
 * - `"none"`
 */
export type TextCleaning = "siglip" | "canonicalize" | "lower" | "none";

/** `string.punctuation`. */
const punctuation = /[!-/:-@[-`{-~]/g;
/** `str.split`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts them as white space
const spaces = /[\p{White_Space}\x1c-\x1f]+/u;

export function canonicalText(text: string, cleaning: TextCleaning): string {
  switch (cleaning) {
    case "none":
      return text;
    case "lower":
      // Character by character, as Hugging Face's library does: a sigma is never a final one.
      return text.replaceAll("\u03a3", "\u03c3").toLowerCase();
    case "siglip":
      // sentencepiece's mark for a space is one.
      return singleSpaces(text.replaceAll("\u2581", " ").toLowerCase().replace(punctuation, ""));
    case "canonicalize":
      return singleSpaces(repairText(text).replaceAll("_", " ").replace(punctuation, "").toLowerCase());
  }
}

function singleSpaces(text: string): string {
  return text
    .split(spaces)
    .filter((word) => word !== "")
    .join(" ");
}
