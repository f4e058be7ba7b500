/** Sets of labelled pictures that are made from others. */

import { Random } from "../../data/index.ts";
import { type DecodedImage, decodeImage } from "../../image/index.ts";
import { hashOf } from "./content-hash.ts";
import type { LabelledImages } from "./task.ts";

/** The pixels of a picture. @throws one line that names it */
export async function pixelsOf(images: LabelledImages, index: number): Promise<DecodedImage> {
  const picture = await images.image(index);
  if (typeof picture === "string") return decodeImage(picture);
  return picture instanceof Uint8Array ? decodeImage(picture, { name: images.describe(index) }) : picture;
}

/** Some of the pictures, by their numbers, in the order given. */
export function subset(images: LabelledImages, numbers: ArrayLike<number>): LabelledImages {
  const { several, classNames } = images;
  const chosen = Int32Array.from(numbers);
  const classes = classNames.length;
  const of = (index: number): number => {
    const number = chosen[index];
    if (number === undefined || number < 0 || number >= images.count)
      throw new Error(`${images.name}: picture must be in 0 .. ${chosen.length - 1}, got ${index}`);
    return number;
  };
  const rows = several && new Int8Array(chosen.length * classes);
  if (rows)
    for (const [row, i] of chosen.entries()) rows.set(several.subarray(i * classes, (i + 1) * classes), row * classes);
  return {
    ...images,
    count: chosen.length,
    labels: chosen.map((i) => images.labels[i] ?? -1),
    ...(rows && { several: rows }),
    contentHash: hashOf("subset", images.contentHash, [...chosen]),
    image: (index) => images.image(of(index)),
    describe: (index) => images.describe(of(index)),
  };
}

/** At most `count` of the pictures, drawn with the seed, in their order. */
export function someOf(images: LabelledImages, count: number, seed: number): LabelledImages {
  return count >= images.count ? images : subset(images, drawn(images.count, count, seed));
}

/** `count` numbers below `total`, drawn with the seed, in ascending order. */
export function drawn(total: number, count: number, seed: number): Int32Array {
  const numbers = Int32Array.from({ length: total }, (_, i) => i);
  const random = new Random(seed, total);
  for (let i = 0; i < count; i++) {
    const j = i + random.int(total - i);
    [numbers[i], numbers[j]] = [numbers[j] ?? 0, numbers[i] ?? 0];
  }
  return numbers.slice(0, count).sort();
}

/**
 * The pictures, each changed when it is read.
 * @param change what is done to them and with which numbers, as plain data: features are kept by it
 */
export function changed(
  images: LabelledImages,
  change: unknown,
  name: string,
  apply: (image: DecodedImage, index: number) => DecodedImage | Promise<DecodedImage>,
): LabelledImages {
  return {
    ...images,
    name,
    contentHash: hashOf("changed", images.contentHash, change),
    image: async (index) => apply(await pixelsOf(images, index), index),
  };
}
