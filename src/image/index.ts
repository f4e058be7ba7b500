export type { Interpolation } from "./coefficients.ts";
export { type CropScale, randomSquareCrop, randomSquareCropInto } from "./crop.ts";
export { type DecodeOptions, decodeImage, preprocessFile } from "./decode.ts";
export { encodePng } from "./encode-png.ts";
export { loadKernels } from "./kernels.ts";
export { type PreprocessConfig, preprocess } from "./preprocess.ts";
export type { DecodedImage, RgbImage, UniformSource } from "./rgb.ts";
export { renderSvg } from "./svg.ts";
export { toTensor } from "./tensor.ts";
