export { type CropScale, randomSquareCrop, randomSquareCropInto } from "./crop.ts";
export { type DecodeOptions, decodeImage } from "./decode.ts";
export type { Interpolation } from "./resample.ts";
export type { DecodedImage, RgbImage, UniformSource } from "./rgb.ts";
export { renderSvg } from "./svg.ts";
export { type EvalTransformOptions, evalTransform } from "./transform.ts";
