/** Pictures under the typographic attack. */
import { Random } from "../../data/index.ts";
import { type DecodedImage, type PreprocessConfig, preprocess, type RgbImage } from "../../image/index.ts";
import type { EvalContext } from "../evaluator.ts";
import { changed } from "../tasks/labelled-images.ts";
import type { LabelledImages } from "../tasks/task.ts";
import { writable } from "./stroke-font.ts";
import { nonsense, writeWord } from "./written-word.ts";

/** Without a word, with the name of another class, with letters that say nothing. */
export const VARIANTS = ["clean", "word", "nonsense"] as const;
export type Variant = (typeof VARIANTS)[number];

/** Raised whenever the pictures come out otherwise. */
const VERSION = 1;

/** Numbers of the classes whose names can be written. */
export const writableClasses = (classNames: readonly string[]): number[] =>
  classNames.flatMap((name, label) => (writable(name).trim() === "" ? [] : [label]));

/** [pictures]: another class than the picture's, drawn among those whose names can be written; -1 if there is none. */
export function writtenClasses(labels: Int32Array, classNames: readonly string[], seed: number): Int32Array {
  const possible = writableClasses(classNames);
  return labels.map((label, picture) => {
    const random = new Random(seed, picture, 1);
    const others = possible.filter((other) => other !== label);
    return others.length > 0 ? random.pick(others) : -1;
  });
}

/** As the model sees it, so that no word is cut off. */
export const fitted = (image: DecodedImage, size: number, { background }: PreprocessConfig): RgbImage =>
  preprocess(image, {
    ...{ size, resize: "shortest", interpolation: "bicubic", fill: 0, ...(background !== undefined && { background }) },
    ...{ mean: [0, 0, 0], deviation: [1, 1, 1] },
  });

/** @param word what the variant "word" has written on it */
export function attacked(
  variant: Variant,
  image: RgbImage,
  word: string,
  random: Random,
): RgbImage | Promise<RgbImage> {
  if (variant === "clean") return image;
  // The place is drawn first, so that both stand in the same one.
  const place = new Random(random.bits());
  return writeWord(image, variant === "word" ? word : nonsense(word, random), place);
}

/** @param words [pictures]: the class that is written on each */
export function variantImages(
  { clip, seed, classNames }: EvalContext,
  images: LabelledImages,
  words: Int32Array,
  variant: Variant,
): LabelledImages {
  const size = clip.config.imageSize;
  const change = { version: VERSION, typographic: variant, size, seed, classNames };
  return changed(images, change, `${images.name}, ${variant}`, (image, index) =>
    attacked(
      variant,
      fitted(image, size, clip.preprocess),
      classNames[words[index] ?? 0] ?? "",
      new Random(seed, index),
    ),
  );
}
