import { byKernels, byScript, taps } from "./bilinear.ts";
import type { Interpolation } from "./coefficients.ts";
import { Space, simdKernels } from "./kernels.ts";
import type { DecodedImage, RgbImage, UniformSource } from "./rgb.ts";
import { resizeAndCrop } from "./transform.ts";

/** A square part of a picture, in source pixels; fractions allowed. */
export interface Square {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** Side and range as fractions of the shorter side; `[0.7, 1]` is the quickstart's, the paper says only "random". */
export type CropScale = readonly [min: number, max: number];

/** Draws a square: the side uniform in `scale` times the shorter side, the position uniform over where it fits. */
export function drawSquare(width: number, height: number, scale: CropScale, random: UniformSource): Square {
  const [min, max] = scale;
  if (!(min > 0 && min <= max && max <= 1)) {
    throw new Error(`random crop: scale must be 0 < min <= max <= 1, got [${min}, ${max}]`);
  }
  const side = (min + (max - min) * random.uniform()) * Math.min(width, height);
  const left = random.uniform() * (width - side);
  const top = random.uniform() * (height - side);
  return { left, top, side };
}

/** `randomSquareCrop` into `[size, size, 3]` bytes of `out` from `offset` on. */
export function randomSquareCropInto(
  out: Uint8Array,
  offset: number,
  image: DecodedImage,
  size: number,
  scale: CropScale,
  random: UniformSource,
  interpolation: Interpolation = "bicubic",
): void {
  const square = drawSquare(image.width, image.height, scale, random);
  // Two taps see every source pixel only below a factor of two; above it they would alias.
  if (square.side < 2 * size && !image.alpha && !image.cmyk) {
    cropBilinearInto(out, offset, image, square, size);
    return;
  }
  const whole = { left: 0, top: 0, width: size, height: size };
  const box = { left: square.left, top: square.top, width: square.side, height: square.side };
  out.set(resizeAndCrop(image, size, size, interpolation, whole, box).data, offset);
}

/**
 * The only augmentation of CLIP's training: a random square of the picture, resized to `[size, size, 3]`. Two-tap
 * bilinear with half-pixel centres and clamped borders (torch's `grid_sample`, `align_corners=False`) for squares of
 * less than twice `size`, Pillow's antialiased filter for larger ones.
 */
export function randomSquareCrop(
  image: DecodedImage,
  size: number,
  scale: CropScale,
  random: UniformSource,
  interpolation?: Interpolation,
): RgbImage {
  const data = new Uint8Array(size * size * 3);
  randomSquareCropInto(data, 0, image, size, scale, random, interpolation);
  return { width: size, height: size, data };
}

/** Two-tap bilinear sampling in fixed point, rounded once: within one level of exact arithmetic. */
export function cropBilinearInto(out: Uint8Array, offset: number, image: RgbImage, square: Square, size: number): void {
  const step = square.side / size;
  const columns = taps(square.left, step, size, image.width, 3);
  const rows = taps(square.top, step, size, image.height, 1);
  const kernels = simdKernels();
  if (kernels) byKernels(new Space(kernels), out, offset, image, size, columns, rows);
  else byScript(out, offset, image, size, columns, rows);
}
