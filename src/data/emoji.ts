import { closeSync, openSync, readSync } from "node:fs";
import type { RgbImage } from "../image/index.ts";
import { type EmojiOptions, openEmojiCache } from "./emoji-cache.ts";
import { drawEmojiCaption } from "./emoji-captions.ts";
import type { EmojiConcept, EmojiDrawing } from "./emoji-join.ts";
import { emojiVendors, trainingVendors } from "./emoji-packages.ts";
import type { PairSource } from "./source.ts";

/** All drawings of all vendors: 9,013 of 1,867 concepts. */
export interface EmojiSet {
  /** Side of a drawing in pixels. */
  readonly size: number;
  /** File of all drawings, [drawings, size, size, 3] bytes. */
  readonly path: string;
  readonly concepts: readonly EmojiConcept[];
  readonly drawings: readonly EmojiDrawing[];
  /** `[size, size, 3]` of one drawing. */
  image(drawing: number): RgbImage;
  close(): void;
}

/** Opens the set; the first time on a machine the drawings are made, which takes half a minute. */
export async function openEmoji(options: EmojiOptions = {}): Promise<EmojiSet> {
  const { size, concepts, drawings, rawPath } = await openEmojiCache(options);
  const bytesEach = size * size * 3;
  // Read one at a time: the system keeps the file in memory once for all workers.
  const file = openSync(rawPath, "r");
  return {
    size,
    path: rawPath,
    concepts,
    drawings,
    image(drawing) {
      if (!drawings[drawing]) throw new Error(`emoji: drawing must be in 0 .. ${drawings.length - 1}, got ${drawing}`);
      const data = new Uint8Array(bytesEach);
      const read = readSync(file, data, 0, bytesEach, drawing * bytesEach);
      if (read !== bytesEach)
        throw new Error(`${rawPath}: drawing ${drawing}: expected ${bytesEach} bytes, got ${read}`);
      return { width: size, height: size, data };
    },
    close: () => closeSync(file),
  };
}

const describeDrawing = ({ vendor, icon }: EmojiDrawing): string => `emoji ${icon} of ${vendor}`;

/**
 * The pairs to train on: the drawings of six vendors (or of `vendors`) of every concept that is not kept unseen,
 * 7,253 of them.
 */
export function emojiTrainingSource(set: EmojiSet, vendors: readonly string[] = trainingVendors): PairSource {
  for (const vendor of vendors) {
    if (!emojiVendors.some((known) => known === vendor)) {
      throw new Error(`emoji: no vendor ${JSON.stringify(vendor)}; expected one of ${emojiVendors.join(", ")}`);
    }
  }
  const pairs = set.drawings.flatMap((drawing, index) => {
    const concept = set.concepts[drawing.concept];
    return concept && !concept.unseen && vendors.includes(drawing.vendor) ? [{ index, drawing, concept }] : [];
  });
  const pairAt = (index: number) => {
    const pair = pairs[index];
    if (!pair) throw new Error(`emoji: pair must be in 0 .. ${pairs.length - 1}, got ${index}`);
    return pair;
  };
  return {
    name: "emoji",
    length: pairs.length,
    image: async (index) => set.image(pairAt(index).index),
    caption: (index, random) => drawEmojiCaption(pairAt(index).concept, random),
    describe: (index) => describeDrawing(pairAt(index).drawing),
    close: () => set.close(),
  };
}
