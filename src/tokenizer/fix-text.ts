import { unescapeHtmlStrictly } from "./html-entities.ts";
import { fixEncoding } from "./mojibake.ts";

/*
 * The first cleaning step of the official code is `ftfy.fix_text` (6.3, Robyn Speer) with its default options; this
 * gives the same results. The steps and their order are that function's.
 */

/** ftfy works on a line at a time, and on at most so many characters. */
const longestSegment = 1_000_000;

/** Repairs broken Unicode: entities, mojibake, curly quotes, ligatures, widths, line breaks, control characters; NFC. */
export function fixText(text: string): string {
  const fixed: string[] = [];
  let unescapes = true;
  for (let start = 0; start < text.length; ) {
    const lineEnd = text.indexOf("\n", start) + 1 || text.length;
    const end = Math.min(lineEnd, endOfSegment(text, start));
    const segment = text.slice(start, end);
    // a "<" means that this may be HTML itself, where entities have their purpose; the rest is left alone too
    if (segment.includes("<")) unescapes = false;
    fixed.push(fixSegment(segment, unescapes));
    start = end;
  }
  return fixed.join("");
}

/** Python counts code points, JavaScript halves of them. */
function endOfSegment(text: string, start: number): number {
  if (text.length - start <= longestSegment) return text.length;
  let end = start;
  for (let count = 0; count < longestSegment && end < text.length; count++) {
    end += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
  }
  return end;
}

function fixSegment(segment: string, unescapesHtml: boolean): string {
  for (;;) {
    const before = segment;
    if (unescapesHtml) segment = unescapeHtmlStrictly(segment);
    segment = fixEncoding(segment);
    segment = fixLatinLigatures(segment);
    segment = fixCharacterWidth(segment);
    segment = uncurlQuotes(segment);
    segment = fixLineBreaks(segment);
    segment = fixSurrogates(segment);
    segment = removeTerminalEscapes(segment);
    segment = removeControlCharacters(segment);
    segment = segment.normalize("NFC");
    if (segment === before) return segment;
  }
}

const ligatures: Readonly<Record<string, string>> = {
  Ĳ: "IJ",
  ĳ: "ij",
  ŉ: "ʼn",
  Ǆ: "DŽ",
  ǅ: "Dž",
  ǆ: "dž",
  Ǉ: "LJ",
  ǈ: "Lj",
  ǉ: "lj",
  Ǌ: "NJ",
  ǋ: "Nj",
  ǌ: "nj",
  Ǳ: "DZ",
  ǲ: "Dz",
  ǳ: "dz",
  ﬀ: "ff",
  ﬁ: "fi",
  ﬂ: "fl",
  ﬃ: "ffi",
  ﬄ: "ffl",
  ﬅ: "ſt",
  ﬆ: "st",
};

function fixLatinLigatures(text: string): string {
  return text.replace(/[ĲĳŉǄ-ǌǱ-ǳﬀ-ﬆ]/g, (ligature) => ligatures[ligature] ?? ligature);
}

function fixCharacterWidth(text: string): string {
  return text.replace(/[\u3000\uff01-\uffef]/g, (wide) => wide.normalize("NFKC"));
}

function uncurlQuotes(text: string): string {
  return text.replace(/[\u02bc\u2018-\u201b]/g, "'").replace(/[\u201c-\u201f]/g, '"');
}

function fixLineBreaks(text: string): string {
  return text.replace(/\r\n|[\r\x85\u2028\u2029]/g, "\n");
}

function fixSurrogates(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

function removeTerminalEscapes(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replace(/\x1b\[[\p{Nd};]*[a-zA-Z]/gu, "");
}

function removeControlCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replace(/[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g, "");
}
