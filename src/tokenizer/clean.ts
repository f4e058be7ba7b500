import { fixText } from "./fix-text.ts";
import { unescapeHtml } from "./html-entities.ts";

/** Nothing that the repairs could touch: printable ASCII and white space without `&`. */
const plain = /^[\t\n\f\r\x20-\x25\x27-\x7e]*$/;

/*
 * Python's sets: `str.strip` removes White_Space and U+001C to U+001F, the regular expression's \s matches White_Space.
 * JavaScript's \s has U+FEFF and lacks U+0085.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const outerSpace = /[\p{White_Space}\x1c-\x1f]/u;

/** Python's `str.strip`. By hand: a pattern that ends in `+$` takes quadratic time on long runs of spaces inside. */
function strip(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && outerSpace.test(text.charAt(start))) start++;
  while (end > start && outerSpace.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/** The first half of the official cleaning (`basic_clean`): repaired, unescaped, without white space around. */
export function repairText(text: string): string {
  return strip(plain.test(text) ? text : unescapeHtml(unescapeHtml(fixText(text))));
}

/** The text as the official code cleans it before byte-pair encoding: repaired, unescaped, spaces single, lower case. */
export function cleanText(text: string): string {
  if (plain.test(text)) return text.replace(/\s+/g, " ").trim().toLowerCase();
  return strip(repairText(text).replace(/\p{White_Space}+/gu, " ")).toLowerCase();
}
