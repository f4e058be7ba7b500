import { Random } from "../../data/index.ts";
import type { RgbImage } from "../../image/index.ts";
import { defocusBlur, glassBlur, shaken, zoomBlur } from "./blur.ts";
import { contrast, elastic, jpegCompression, pixelate } from "./digital.ts";
import { gaussianNoise, impulseNoise, shotNoise } from "./noise.ts";
import { fromImage, type Planes, toImage } from "./planes.ts";
import { type SeverityTable, tableFor } from "./severity-tables.ts";
import { brighten, fog, frost, snow } from "./weather.ts";

/** The fifteen of the benchmark, in its order: noise, blur, weather, digital. */
export const CORRUPTIONS = [
  "gaussian noise",
  "shot noise",
  "impulse noise",
  "defocus blur",
  "glass blur",
  "motion blur",
  "zoom blur",
  "snow",
  "frost",
  "fog",
  "brightness",
  "contrast",
  "elastic transform",
  "pixelate",
  "jpeg compression",
] as const;

export type Corruption = (typeof CORRUPTIONS)[number];

export const SEVERITIES = [1, 2, 3, 4, 5] as const;
export type Severity = (typeof SEVERITIES)[number];

type Corrupt = (
  image: RgbImage,
  table: SeverityTable,
  strength: number,
  random: Random,
) => RgbImage | Promise<RgbImage>;

/** Of the entry `strength` of a list in the table; the lists have five. */
function on<Name extends Exclude<keyof SeverityTable, "side">>(
  name: Name,
  change: (image: Planes, parameters: SeverityTable[Name][number], random: Random) => Planes,
): Corrupt {
  return (image, table, strength, random) => toImage(change(fromImage(image), at(table, name, strength), random));
}

function at<Name extends Exclude<keyof SeverityTable, "side">>(
  table: SeverityTable,
  name: Name,
  strength: number,
): SeverityTable[Name][number] {
  const parameters: SeverityTable[Name][number] | undefined = table[name][strength];
  if (parameters === undefined) throw new Error(`corruption: severity must be 1 to 5, got ${strength + 1}`);
  return parameters;
}

const TABLE: Readonly<Record<Corruption, Corrupt>> = {
  "gaussian noise": on("gaussianNoise", gaussianNoise),
  "shot noise": on("shotNoise", shotNoise),
  "impulse noise": on("impulseNoise", impulseNoise),
  "defocus blur": on("defocusBlur", defocusBlur),
  "glass blur": on("glassBlur", glassBlur),
  "motion blur": on("motionBlur", shaken),
  "zoom blur": on("zoomBlur", zoomBlur),
  snow: on("snow", snow),
  frost: on("frost", frost),
  fog: on("fog", fog),
  brightness: on("brightness", brighten),
  contrast: on("contrast", contrast),
  "elastic transform": on("elastic", elastic),
  pixelate: (image, table, strength) => pixelate(image, at(table, "pixelate", strength)),
  "jpeg compression": (image, table, strength) => jpegCompression(image, at(table, "jpeg", strength)),
};

export interface CorruptOptions {
  /** What is random depends on it and on nothing else; the same numbers for all severities, so that only the strength differs. @default 0 */
  readonly seed?: number | readonly number[];
  /** Whose pictures' strengths: 224 (ImageNet-C), 64 (Tiny ImageNet-C) or 32 (CIFAR-10-C). @default the nearest to the shorter side */
  readonly table?: SeverityTable;
}

/**
 * One of the fifteen common corruptions of Hendrycks and Dietterich 2019 (arXiv 1903.12261) at strength 1 to 5; the picture keeps its size.
 * @throws one line if the strength is none or the picture is smaller than 8 pixels
 */
export async function corrupt(
  image: RgbImage,
  corruption: Corruption,
  severity: Severity,
  { seed = 0, table = tableFor(Math.min(image.width, image.height)) }: CorruptOptions = {},
): Promise<RgbImage> {
  const { width, height, data } = image;
  if (Math.min(width, height) < 8 || data.length !== width * height * 3)
    throw new Error(
      `corruption: expected RGB of at least 8 x 8 pixels, got ${width} x ${height} and ${data.length} bytes`,
    );
  const random = new Random(CORRUPTIONS.indexOf(corruption), ...(typeof seed === "number" ? [seed] : seed));
  return TABLE[corruption](image, table, severity - 1, random);
}
