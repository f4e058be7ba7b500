import { constant, convert, div, sub, type Tensor, transpose } from "../graph/index.ts";

/** Mean and standard deviation of the red, green and blue of CLIP's training images, of values between 0 and 1. */
export const PIXEL_MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
export const PIXEL_DEVIATION = [0.26862954, 0.26130258, 0.27577711] as const;

/**
 * What the networks see of 8-bit pixels: (value / 255 - mean) / deviation, the operations and their order being the
 * official transform's, so that the floats are equal to the last bit.
 * @param images u8 [batch, height, width, 3]
 * @returns f32 [batch, 3, height, width]
 */
export function normalizePixels(
  images: Tensor,
  { mean = PIXEL_MEAN, deviation = PIXEL_DEVIATION }: { mean?: readonly number[]; deviation?: readonly number[] } = {},
): Tensor {
  const channels = (values: readonly number[]): Tensor => constant(Float32Array.from(values), "f32", [3]);
  const unit = div(convert(images, "f32"), 255);
  return transpose(div(sub(unit, channels(mean)), channels(deviation)), [0, 3, 1, 2]);
}
