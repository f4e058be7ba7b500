export { type Encoded, type EncodedImages, type EncodeImageOptions, encodeImage, encodeText } from "./clip.ts";
export * from "./config.ts";
export { initialise } from "./initialise.ts";
export { contrastiveLoss, pairwiseLogistic, sigmoidLoss, similarityLogits, symmetricCrossEntropy } from "./loss.ts";
export type { Params } from "./parameters.ts";
export { normalizePixels, PIXEL_DEVIATION, PIXEL_MEAN } from "./pixels.ts";
export { type ResizeOptions, resizePositions } from "./positions.ts";
export { OPEN_CLIP_CONFIGS } from "./published.ts";
export { bufferShapes, decays, parameterShapes, type Shapes } from "./shapes.ts";
