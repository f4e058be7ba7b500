/** Texts without their padding: most captions are far shorter than the longest of a batch. */

import { type ClipConfig, shortensTexts, wholeText } from "../model/index.ts";

/** Whether nothing behind a text's highest id changes a feature. Where not, texts are computed as they are, padding too. */
export function packsTexts(config: Pick<ClipConfig, "text" | "activation">): boolean {
  return shortensTexts(config) && wholeText(config).pool === "argmax";
}

/** The texts of a batch as a program takes them. */
export interface PackedTexts {
  /** Columns of `tokens`. */
  readonly length: number;
  /** i32 [batch, length]. */
  readonly tokens: Int32Array;
  /** i32 [packed], a multiple of ROW_BLOCK: where in the flat tokens each kept one stands; the rest repeats the first. */
  readonly rows: Int32Array;
  /** i32 [batch, length]: the kept row of each position; behind a text's end the last row, which is never a text's. */
  readonly places: Int32Array;
}

/** Kept rows come in multiples of this many. A power of two: kernels over rows share them out evenly. */
export const ROW_BLOCK = 64;
/** From this batch on they come in more blocks at once, still a small part of all. */
const BLOCK_BATCH = 128;
const LENGTH_STEP = 8;
/** Where few sizes are wanted: about this many lengths, and this many counts of rows for each. */
const [FEW_LENGTHS, FEW_COUNTS] = [4, 8];

/**
 * For models whose texts are packed (`packsTexts`).
 * Drops what lies behind each text's end-of-text (its first highest id): attention is causal and pooling is at the end, so nothing
 * there changes a feature. Few sizes come out, since engines may prepare for each; a batch's sizes depend on the batch alone.
 * @param tokens [batch, context]
 * @param fewSizes for engines that compile for each: sizes that are further apart, with more padding
 */
export function packTexts(tokens: Int32Array, batch: number, context: number, fewSizes = false): PackedTexts {
  const ends = Array.from({ length: batch }, (_, text) => {
    const row = tokens.subarray(text * context, (text + 1) * context);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b))) + 1;
  });
  const longest = Math.max(...ends);
  const lengthStep = fewSizes ? upTo(context / FEW_LENGTHS, LENGTH_STEP) : LENGTH_STEP;
  const length = Math.min(context, upTo(longest, lengthStep));
  const kept = ends.reduce((sum, end) => sum + end, 0);
  const fine = ROW_BLOCK * Math.max(1, Math.floor(batch / BLOCK_BATCH));
  const step = fewSizes ? upTo((batch * length) / FEW_COUNTS, fine) : fine;
  const rows = new Int32Array(upTo(kept + 1, step));
  const places = new Int32Array(batch * length).fill(rows.length - 1);
  const cut = new Int32Array(batch * length);
  let row = 0;
  for (const [text, end] of ends.entries()) {
    cut.set(tokens.subarray(text * context, text * context + length), text * length);
    for (let t = 0; t < end; t++) {
      const position = text * length + t;
      rows[row] = position;
      places[position] = row++;
    }
  }
  return { length, tokens: cut, rows, places };
}

const upTo = (value: number, step: number): number => Math.ceil(value / step) * step;
