import { byteCharacters, endOfWord } from "./bytes.ts";

/** Two tokens, in the characters of the byte alphabet, that become one; the order of a list of merges is their rank. */
export type Merge = readonly [left: string, right: string];

/** How many merges of the official file CLIP uses: 49,408 - 512 byte tokens - 2 marks. */
const clipMergeCount = 48_894;

/**
 * Reads the text of the official merges file (`bpe_simple_vocab_16e6.txt`): a header, then one merge a line, of which
 * the first 48,894 count.
 * @throws if the text has fewer lines, or a line is not two tokens with a space between.
 */
export function parseClipVocabulary(text: string): Merge[] {
  const merges: Merge[] = [];
  let start = text.indexOf("\n") + 1;
  while (merges.length < clipMergeCount) {
    const end = text.indexOf("\n", start);
    if (start === 0 || end < 0) {
      const lines = text.split("\n").length;
      throw new Error(
        `parseClipVocabulary: expected a header and at least ${clipMergeCount} lines of merges, got ${lines} lines`,
      );
    }
    merges.push(parseMerge(text.slice(start, end), () => `parseClipVocabulary: line ${merges.length + 2}`));
    start = end + 1;
  }
  return merges;
}

/** @throws if `line` is not two tokens with one space between; `where` begins the message. */
export function parseMerge(line: string, where: () => string): Merge {
  const end = line.endsWith("\r") ? line.length - 1 : line.length;
  const space = line.indexOf(" ");
  if (space <= 0 || space + 1 >= end || line.indexOf(" ", space + 1) >= 0) {
    throw new Error(`${where()}: expected two tokens separated by a space, got ${quote(line)}`);
  }
  return [line.slice(0, space), line.slice(space + 1, end)];
}

/** Tokens in id order, as strings: 256 bytes, 256 bytes at the end of a word, then what each merge makes. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** The ids of each merge's two parts. */
  readonly parts: readonly (readonly [left: number, right: number])[];
}

/** @throws if a merge uses a token that no earlier line made, or makes one that exists. */
export function buildVocabulary(merges: readonly Merge[]): Vocabulary {
  const tokens = [...byteCharacters, ...byteCharacters.map((character) => character + endOfWord)];
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const parts = merges.map(([left, right], rank): readonly [number, number] => {
    const leftId = idOf.get(left);
    const rightId = idOf.get(right);
    if (leftId === undefined || rightId === undefined) {
      const missing = leftId === undefined ? left : right;
      throw new Error(
        `merge ${rank} (${quote(`${left} ${right}`)}): expected tokens that exist by then, got ${quote(missing)}, which does not`,
      );
    }
    const merged = left + right;
    const existing = idOf.get(merged);
    if (existing !== undefined) {
      throw new Error(`merge ${rank} (${quote(`${left} ${right}`)}): expected a new token, got that of id ${existing}`);
    }
    idOf.set(merged, tokens.length);
    tokens.push(merged);
    return [leftId, rightId];
  });
  return { tokens, parts };
}

/** A text for an error line: quoted, control characters escaped, cut after 80 characters. */
export function quote(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(shown);
}
