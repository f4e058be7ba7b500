import { quote } from "./vocabulary.ts";

/** What becomes of a text that does not fit: an error that says its count, a cut at the context's end, several rows. */
export type LongText = "error" | "truncate" | "chunk";

export interface TokenizeOptions {
  /** How many ids a row has. @default 77 */
  readonly contextLength?: number;
  /**
   * `"truncate"` keeps what fits and the end-of-text id in the last place. `"chunk"` gives a long text as few rows as hold
   * it, of lengths as equal as can be, cut between words; only a word that fills a row by itself is cut. @default "error"
   */
  readonly longText?: LongText;
}

export interface TokenBatch {
  /** `[rows, contextLength]`, row by row, padded. */
  readonly ids: Int32Array;
  /** As many rows as texts, unless long ones are chunked. */
  readonly shape: [rows: number, contextLength: number];
  /** For each row, the position of its end-of-text id plus one: how much of it is not padding. */
  readonly lengths: Int32Array;
  /** For each row, which text it is of; ascending. */
  readonly owners: Int32Array;
}

export interface RowMarks {
  /** Stands before every text; none if left out. */
  readonly start?: number;
  readonly end: number;
  readonly padding: number;
}

/**
 * Rows of ids for a model.
 * @param encode ids of a text, without marks
 * @param encodeWords the same, cut wherever white space stands
 * @throws if a text does not fit and `longText` is `"error"`, or `contextLength` is not a positive integer
 */
export function tokenRows(
  texts: readonly string[],
  encode: (text: string) => readonly number[],
  encodeWords: (text: string) => readonly (readonly number[])[],
  marks: RowMarks,
  { contextLength = 77, longText = "error" }: TokenizeOptions,
): TokenBatch {
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    throw new Error(`tokenize: expected contextLength to be a positive integer, got ${contextLength}`);
  }
  const beside = marks.start === undefined ? 1 : 2;
  const rows: (readonly number[])[] = [];
  const owners: number[] = [];
  for (const [owner, text] of texts.entries()) {
    const ids = encode(text);
    const needed = ids.length + beside;
    if (needed > contextLength && longText === "error") {
      throw new Error(
        `tokenize: text ${owner} (${quote(text)}) has ${needed} tokens with its marks, more than the context length ${contextLength}; ` +
          'shorten it, or choose longText "truncate" (cut it) or "chunk" (average its parts)',
      );
    }
    const room = Math.max(0, contextLength - beside);
    const parts = needed > contextLength && longText === "chunk" && room > 0 ? chunks(encodeWords(text), room) : [ids];
    for (const part of parts) {
      rows.push(part);
      owners.push(owner);
    }
  }

  const { start, end, padding } = marks;
  const ids = new Int32Array(rows.length * contextLength).fill(padding);
  const lengths = new Int32Array(rows.length);
  for (const [row, part] of rows.entries()) {
    const length = Math.min(part.length + beside, contextLength);
    const offset = row * contextLength;
    if (start !== undefined) ids[offset] = start;
    for (let i = beside - 1; i < length - 1; i++) ids[offset + i] = part[i - beside + 1] ?? 0;
    ids[offset + length - 1] = end;
    lengths[row] = length;
  }
  return { ids, shape: [rows.length, contextLength], lengths, owners: Int32Array.from(owners) };
}

/** Joins words to as few parts of at most `room` ids as can be, the longest of which is as short as can be. */
export function chunks(words: readonly (readonly number[])[], room: number): number[][] {
  const pieces = words.flatMap((word) =>
    Array.from({ length: Math.ceil(word.length / room) }, (_, i) => word.slice(i * room, (i + 1) * room)),
  );
  const fewest = filled(pieces, room).length;
  let [low, high] = [1, room];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (filled(pieces, middle).length <= fewest) high = middle;
    else low = middle + 1;
  }
  return filled(pieces, high);
}

/** Pieces in order, a new part wherever the next one does not fit any more. */
function filled(pieces: readonly (readonly number[])[], room: number): number[][] {
  const parts: number[][] = [];
  let part: number[] = [];
  for (const piece of pieces) {
    if (part.length > 0 && part.length + piece.length > room) {
      parts.push(part);
      part = [];
    }
    for (const id of piece) part.push(id);
  }
  if (part.length > 0) parts.push(part);
  return parts;
}
