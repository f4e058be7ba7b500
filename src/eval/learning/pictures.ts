/** Pictures that towers are trained on and tested with: read once where they fit into memory, cut anew each time. */

import type { ImageInput } from "../../clip.ts";
import { Random } from "../../data/index.ts";
import {
  type DecodedImage,
  decodeImage,
  type PreprocessConfig,
  preprocess,
  randomSquareCropInto,
} from "../../image/index.ts";
import type { LabelledImages } from "../tasks/task.ts";

/** Kept pictures are larger than what the tower sees by this much, so that a crop loses little. */
const MARGIN = 1.15;
/** A crop's side, as a share of the kept picture's. */
const CROP = [1 / MARGIN, 1] as const;
/** Pictures are kept up to so many bytes; the others are read again each time. */
const MOST_KEPT = 2 ** 31;
/** Pictures decoded at the same time. */
const READ_AT_ONCE = 8;

export interface CroppedPictures {
  /** Random squares of some pictures, u8 [numbers.length, size, size, 3]; the same ones for the same step. */
  crops(numbers: readonly number[], step: number): Promise<Uint8Array>;
}

/** @param images by number, as the data has them */
export function croppedPictures(
  images: LabelledImages,
  config: PreprocessConfig,
  size: number,
  seed: number,
): CroppedPictures {
  const larger = { ...config, size: Math.ceil(MARGIN * size) };
  const kept = new Map<number, DecodedImage>();
  let bytes = 0;
  const picture = async (number: number): Promise<DecodedImage> => {
    const known = kept.get(number);
    if (known) return known;
    const read = preprocess(await decoded(await images.image(number)), larger);
    if (bytes + read.data.length <= MOST_KEPT) {
      kept.set(number, read);
      bytes += read.data.length;
    }
    return read;
  };
  return {
    crops: async (numbers, step) => {
      const each = size * size * 3;
      const pixels = new Uint8Array(numbers.length * each);
      await atOnce(numbers, async (number, row) =>
        randomSquareCropInto(pixels, row * each, await picture(number), size, CROP, new Random(seed, step, row)),
      );
      return pixels;
    },
  };
}

/** Pictures as the model wants them, u8 [numbers.length, size, size, 3]. */
export async function wholePictures(
  images: LabelledImages,
  numbers: readonly number[],
  config: PreprocessConfig,
  size: number,
): Promise<Uint8Array> {
  const each = size * size * 3;
  const pixels = new Uint8Array(numbers.length * each);
  await atOnce(numbers, async (number, row) =>
    pixels.set(preprocess(await decoded(await images.image(number)), config).data, row * each),
  );
  return pixels;
}

async function atOnce(numbers: readonly number[], work: (number: number, row: number) => Promise<void>): Promise<void> {
  const rows = numbers.entries();
  const worker = async (): Promise<void> => {
    for (const [row, number] of rows) await work(number, row);
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, worker));
}

const decoded = async (image: ImageInput): Promise<DecodedImage> =>
  typeof image === "string" || image instanceof Uint8Array ? decodeImage(image) : image;
