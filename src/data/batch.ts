import { type CropScale, type DecodedImage, onBackground, randomSquareCropInto } from "../image/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import { permutation } from "./permutation.ts";
import { Random } from "./random.ts";
import type { PairSource } from "./source.ts";

/** What decides a batch besides the source and the tokenizer. */
export interface BatchOptions {
  /** Ids a caption has at most, both marks included. Longer ones are cut and counted. */
  readonly contextLength: number;
  /** Side of the pictures in pixels. */
  readonly imageSize: number;
  /** Side of the random square crop as fractions of the shorter side; `[1, 1]` leaves only the position random. */
  readonly cropScale: CropScale;
  /** Gray level that pictures are laid on. @default none: colours under transparency show, as in the official transform */
  readonly background?: number;
  readonly batchSize: number;
  readonly seed: number;
  /** Makes only one of so many equal stretches of each batch's rows, as they would be in the whole one. @default all of it */
  readonly part?: { readonly index: number; readonly of: number };
}

export interface Batch {
  readonly step: number;
  readonly epoch: number;
  /** `[rows, imageSize, imageSize, 3]`, 0 to 255; normalised on the device. Rows are `batchSize`, or those of a part. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** `[rows, contextLength]`, padded with 0. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** How many columns of `tokens` are used at all: the longest caption with both marks. */
  readonly maxLength: number;
  /** `[rows]`: which pair of the source each row is. */
  readonly indices: Float64Array<ArrayBuffer>;
}

/** A picture that could not be read; its place went to the next pair that could. */
export interface BadImage {
  readonly index: number;
  /** One line that names it and says why. */
  readonly message: string;
}

export interface MadeBatch {
  readonly batch: Batch;
  readonly bad: readonly BadImage[];
  /** Captions of this batch that did not fit. */
  readonly truncated: number;
}

/** Pictures decoded at once; the decoder has threads of its own. */
const readAtOnce = 8;
/** A source whose pictures are all missing must not be walked to its end, a billion pairs later. */
const maxBadInARow = 1000;

/** Independent draws of one sample. */
const cropStream = 0;
const captionStream = 1;

export const batchesPerEpoch = (source: PairSource, batchSize: number): number => Math.floor(source.length / batchSize);

/** The rows that a step draws, all of them or those of a part. */
function drawnRows(source: PairSource, { batchSize, seed, part = { index: 0, of: 1 } }: BatchOptions, step: number) {
  const perEpoch = batchesPerEpoch(source, batchSize);
  const epoch = Math.floor(step / perEpoch);
  const count = batchSize / part.of;
  const start = (step % perEpoch) * batchSize + part.index * count;
  const order = permutation(source.length, seed, epoch);
  return {
    epoch,
    count,
    drawn: (row: number): number => order(start + row),
    // Keyed by the pair that was drawn, not by one that took its place: that one has its own turn in this epoch.
    random: (drawn: number, stream: number): Random => new Random(seed, epoch, drawn, stream),
  };
}

const tokenized = (tokenizer: Tokenizer, captions: readonly string[], { contextLength }: BatchOptions) =>
  tokenizer.tokenize(captions, { contextLength, longText: "truncate" });

/** The tokens of a step's batch as they are if all of its pictures can be read, without reading any: i32 [rows, contextLength]. */
export function foreseenTokens(
  source: PairSource,
  tokenizer: Tokenizer,
  options: BatchOptions,
  step: number,
): Int32Array {
  const { count, drawn, random } = drawnRows(source, options, step);
  const captions = Array.from({ length: count }, (_, row) =>
    source.caption(drawn(row), random(drawn(row), captionStream)),
  );
  return tokenized(tokenizer, captions, options).ids;
}

/**
 * Makes batches. Batch `step` depends on nothing but the source, the tokenizer and the options: each epoch is a
 * seeded permutation cut into whole batches (the rest of it is left out), each sample draws from its own generator.
 */
export function createBatchMaker(
  source: PairSource,
  tokenizer: Tokenizer,
  options: BatchOptions,
): (step: number) => Promise<MadeBatch> {
  const { contextLength, imageSize, cropScale, background } = options;
  const bytesEach = imageSize * imageSize * 3;

  async function readGood(index: number, bad: BadImage[]): Promise<{ index: number; image: DecodedImage }> {
    const tries = Math.min(source.length, maxBadInARow);
    let first: string | undefined;
    for (let i = 0; i < tries; i++) {
      const candidate = (index + i) % source.length;
      try {
        return { index: candidate, image: await source.image(candidate) };
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        bad.push({ index: candidate, message });
        first ??= message;
      }
    }
    const which = tries === source.length ? `none of its ${tries} pictures` : `none of ${tries} pictures in a row`;
    throw new Error(`${source.name}: ${which} can be read; the first: ${first}`);
  }

  return async (step) => {
    const { epoch, count, drawn: drawnAt, random } = drawnRows(source, options, step);
    const images = new Uint8Array(count * bytesEach);
    const indices = new Float64Array(count);
    const captions = new Array<string>(count).fill("");
    const bad: BadImage[] = [];

    const rows = captions.keys();
    const fillRows = async (): Promise<void> => {
      for (const row of rows) {
        const drawn = drawnAt(row);
        const { index, image } = await readGood(drawn, bad);
        const picture = onBackground(image, background);
        randomSquareCropInto(images, row * bytesEach, picture, imageSize, cropScale, random(drawn, cropStream));
        captions[row] = source.caption(index, random(drawn, captionStream));
        indices[row] = index;
      }
    };
    await Promise.all(Array.from({ length: readAtOnce }, fillRows));

    const { ids, lengths } = tokenized(tokenizer, captions, options);
    const tokens = new Int32Array(ids); // a copy with a buffer of its own, to be transferred
    const isCut = (caption: string, row: number): boolean =>
      lengths[row] === contextLength && tokenizer.encode(caption).length + 2 > contextLength;
    const truncated = captions.filter(isCut).length;
    const maxLength = lengths.reduce((a, b) => Math.max(a, b), 0);
    return { batch: { step, epoch, images, tokens, maxLength, indices }, bad, truncated };
  };
}
