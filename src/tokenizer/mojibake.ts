import { legacyEncodings, windows1252Character } from "./legacy-encodings.ts";
import { looksLikeMojibake } from "./mojibake-signs.ts";

/**
 * Undoes UTF-8 that was decoded as an old 8-bit encoding ("cafÃ©"), several times over if need be: a suspicious text is
 * encoded back and decoded as UTF-8, and if the whole of it does not allow that, the parts that look like it.
 */
export function fixEncoding(text: string): string {
  for (;;) {
    const fixed = fixEncodingOnce(text);
    if (fixed === text) return text;
    text = fixed;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
const ascii = /^[\x00-\x7f]*$/;

function fixEncodingOnce(text: string): string {
  if (ascii.test(text) || !looksLikeMojibake(text)) return text;
  for (const encoding of legacyEncodings()) {
    const bytes = encoding.encode(text);
    if (bytes === undefined) continue;
    // Mac Roman has its no-break space at CA, so there it is no A0 that became a space
    const restored = encoding.name === "macintosh" ? bytes : restoreNoBreakSpaces(bytes);
    const decoded = decodeUtf8(encoding.isSloppy ? replaceLostSequences(restored) : restored);
    if (decoded !== undefined) return decoded;
  }
  const partly = fixParts(text);
  return partly === text ? fixC1Controls(text) : partly;
}

/** U+0080 to U+009F in a text are almost always bytes of Windows-1252 read as Latin-1. */
function fixC1Controls(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (control) => windows1252Character(control.charCodeAt(0)));
}

/*
 * Bytes are strings of U+0000 to U+00FF below, so that regular expressions work on them.
 */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Strict UTF-8, and two dialects of it: surrogate pairs encoded one by one (CESU-8), and C0 80 for zero (Java). ftfy
 * looks for their last byte "or the end", and Python's end is also before a last line feed, which so counts as that byte.
 */
function decodeUtf8(bytes: string): string | undefined {
  const standard = bytes
    .replace(/\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf]|\n$)/g, (pair) => {
      const unit = (at: number): number =>
        0xd000 | ((pair.charCodeAt(at) & 0x3f) << 6) | (pair.charCodeAt(at + 1) & 0x3f);
      const encoded = new TextEncoder().encode(String.fromCharCode(unit(1), unit(4)));
      return String.fromCharCode(...encoded);
    })
    .replace(/\xc0(\x80|\n$)/g, "\0");
  try {
    return utf8.decode(Uint8Array.from(standard, (byte) => byte.charCodeAt(0)));
  } catch {
    return undefined; // not UTF-8: an answer, not a failure
  }
}

/** Sequences in which a byte A0, read as a no-break space, has since become an ordinary space. */
const spacedSequence = new RegExp(
  [
    "[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9] ",
    "[\\xe2\\xe3] [\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]",
    "[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf] ",
    "\\xf0 [\\x80-\\xbf]{2}",
    "\\xf0[\\x80-\\xbf] [\\x80-\\xbf]",
    "\\xf0[\\x80-\\xbf]{2} ",
  ].join("|"),
  "g",
);

/** "Ã " is "à" with that space, or, where a word follows, "à" whose A0 was lost beside the space between words. */
const graveWord = /\xc3 (?! |quele|quela|quilo|s )/g;

function restoreNoBreakSpaces(bytes: string): string {
  if (bytes.search(spacedSequence) < 0) return bytes;
  return bytes.replace(graveWord, "\xc3\xa0 ").replace(spacedSequence, (sequence) => sequence.replaceAll(" ", "\xa0"));
}

/** Sequences with a byte that an earlier program replaced by U+FFFD (here 1A) or by a question mark. */
const lostSequence = new RegExp(
  [
    "[\\xc2-\\xdf]\\x1a",
    "[\\xc2\\xc3]\\?",
    "\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]",
    "\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]",
    "[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]",
    "[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]",
    "[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf]{2}",
    "[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]",
    "[\\xf0-\\xf4][\\x1a\\x80-\\xbf]{2}[\\x1a?]",
    "\\x1a",
  ].join("|"),
  "g",
);

function replaceLostSequences(bytes: string): string {
  return bytes.replace(lostSequence, "\xef\xbf\xbd"); // U+FFFD
}

/** Punctuation that often stands before an innocent capital, so that it does not show that a sequence is under way. */
const ordinaryPunctuation = "–—―‘’‚“”„•…";

let sequences: RegExp | undefined;

/** Runs of characters that are lead and continuation bytes of UTF-8 in one of the encodings, not in mid-sequence. */
function utf8Sequences(): RegExp {
  if (sequences !== undefined) return sequences;
  // not those of Mac Roman and code page 437, whose letters and lines would make too much suspicious
  const tables = legacyEncodings().slice(0, 8);
  const charactersOf = (...bytes: readonly number[]): string =>
    [...new Set(tables.flatMap(({ high }) => bytes.map((byte) => high.charAt(byte - 128))))].join("");
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  const leadOf2 = charactersOf(...range(0xc2, 0xdf));
  const leadOf3 = charactersOf(...range(0xe0, 0xef));
  const leadOf4 = charactersOf(0xf0, 0xf3); // the planes in use: emoji, and tags of flags
  const following = charactersOf(...range(0x80, 0xbf));
  const strict = [...following].filter((character) => !ordinaryPunctuation.includes(character)).join("");
  sequences = new RegExp(
    `(?<![${strict}])(?:[${leadOf2}][ ${following}]|[${leadOf3}][ ${following}]{2}|[${leadOf4}][ ${following}]{3})+`,
    "g",
  );
  return sequences;
}

/** Repairs what looks like mojibake within a text that as a whole is none. */
function fixParts(text: string): string {
  return text.replace(utf8Sequences(), (part) =>
    part.length < text.length && looksLikeMojibake(part) ? fixEncoding(part) : part,
  );
}
