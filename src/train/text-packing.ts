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
  /** i32 [parts, packed], packed being a multiple of ROW_BLOCK: where in a part's flat tokens each kept one stands; the rest repeats the first. */
  readonly rows: Int32Array;
  /** i32 [batch, length]: the kept row, of the part's, of each position; behind a text's end the last one, which is never a text's. */
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
 * @param fewSizes for engines that compile for each: sizes that are further apart, with more padding. @default false
 * @param parts of the batch that are packed by themselves, to one number of rows. @default 1
 */
export function packTexts(
  tokens: Int32Array,
  batch: number,
  context: number,
  { fewSizes = false, parts = 1 }: { readonly fewSizes?: boolean; readonly parts?: number } = {},
): PackedTexts {
  const ends = Array.from({ length: batch }, (_, text) => {
    const row = tokens.subarray(text * context, (text + 1) * context);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b))) + 1;
  });
  const longest = Math.max(...ends);
  const lengthStep = fewSizes ? upTo(context / FEW_LENGTHS, LENGTH_STEP) : LENGTH_STEP;
  const length = Math.min(context, upTo(longest, lengthStep));
  const texts = batch / parts;
  const kept = Array.from({ length: parts }, (_, part) =>
    ends.slice(part * texts, (part + 1) * texts).reduce((sum, end) => sum + end, 0),
  );
  const fine = ROW_BLOCK * Math.max(1, Math.floor(texts / BLOCK_BATCH));
  const step = fewSizes ? upTo((texts * length) / FEW_COUNTS, fine) : fine;
  const packed = upTo(Math.max(...kept) + 1, step);
  const rows = new Int32Array(parts * packed);
  const places = new Int32Array(batch * length).fill(packed - 1);
  const cut = new Int32Array(batch * length);
  let row = 0;
  for (const [text, end] of ends.entries()) {
    cut.set(tokens.subarray(text * context, text * context + length), text * length);
    const [part, within] = [Math.floor(text / texts), text % texts];
    if (within === 0) row = 0;
    for (let t = 0; t < end; t++) {
      rows[part * packed + row] = within * length + t;
      places[text * length + t] = row++;
    }
  }
  return { length, tokens: cut, rows, places };
}

const upTo = (value: number, step: number): number => Math.ceil(value / step) * step;
