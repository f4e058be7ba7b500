/** `preprocessor_config.json` of Hugging Face's `CLIPImageProcessor` and `SiglipImageProcessor`. */
import { z } from "zod";
import type { PreprocessConfig } from "../image/index.ts";
import { checked } from "../json-file.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../model/index.ts";
import type { HuggingFaceKind } from "./hugging-face-config.ts";

const count = z.int().positive();
const size = z.union([
  count.transform((side) => ({ shortest_edge: side })),
  z.strictObject({ shortest_edge: count }),
  z.strictObject({ height: count, width: count }),
]);
const triple = z.tuple([z.number(), z.number(), z.number()]);

const schema = z.looseObject({
  do_resize: z.literal(true).nullish(),
  size: size.nullish(),
  resample: z.union([z.literal(2), z.literal(3)]).nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: z
    .union([count.transform((side) => ({ height: side, width: side })), z.looseObject({ height: count, width: count })])
    .nullish(),
  do_rescale: z.literal(true).nullish(),
  rescale_factor: z.number().nullish(),
  do_normalize: z.literal(true).nullish(),
  image_mean: triple.nullish(),
  image_std: triple.nullish(),
});

/** Pillow's numbers for its filters. */
const FILTERS = { 2: "bilinear", 3: "bicubic" } as const;

/** What transformers does where a file does not say otherwise. */
export function huggingFaceDefault(kind: HuggingFaceKind, imageSize: number): PreprocessConfig {
  const half = [0.5, 0.5, 0.5] as const;
  return {
    size: imageSize,
    resize: kind === "clip" ? "shortest" : "squash",
    interpolation: "bicubic",
    mean: kind === "clip" ? PIXEL_MEAN : half,
    deviation: kind === "clip" ? PIXEL_DEVIATION : half,
    fill: 0,
  };
}

/** @throws one line that names the file and the field, if it is wrong or asks for something else than our transforms do */
export function readHuggingFacePreprocess(
  json: unknown,
  path: string,
  kind: HuggingFaceKind,
  imageSize: number,
): PreprocessConfig {
  const given = checked(schema, json, path);
  const fail = (field: string, what: string): never => {
    throw new Error(`${path}: ${field}: ${what}`);
  };
  if (given.rescale_factor != null && Math.abs(given.rescale_factor * 255 - 1) > 1e-6)
    fail("rescale_factor", `expected 1 / 255, got ${given.rescale_factor}`);
  if (given.image_std?.some((x) => !(x > 0))) fail("image_std", `expected numbers above 0, got [${given.image_std}]`);
  const usual = huggingFaceDefault(kind, imageSize);
  const crops = given.do_center_crop ?? kind === "clip";
  const resize = given.size ?? (crops ? { shortest_edge: imageSize } : { height: imageSize, width: imageSize });
  const [height, width] =
    "height" in resize ? [resize.height, resize.width] : [resize.shortest_edge, resize.shortest_edge];
  if (height !== imageSize || width !== imageSize)
    fail("size", `${height} x ${width} is not the model's image size, ${imageSize}`);
  const crop = given.crop_size ?? { height, width };
  if (crops && (crop.height !== height || crop.width !== width))
    fail("crop_size", `${crop.height} x ${crop.width} of pictures of ${height} x ${width} is not supported`);
  if ("shortest_edge" in resize && !crops) fail("do_center_crop", "false with size.shortest_edge gives no squares");
  return {
    ...usual,
    resize: "height" in resize ? "squash" : "shortest",
    interpolation: FILTERS[given.resample ?? 3],
    mean: given.image_mean ?? usual.mean,
    deviation: given.image_std ?? usual.deviation,
  };
}
