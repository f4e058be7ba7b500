import type { Interpolation } from "./coefficients.ts";
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

/** Fractional bits of one direction's weights: two directions and a byte stay below 2^31. */
const BITS = 11;
const ONE = 1 << BITS;
const HALF = 1 << (2 * BITS - 1);

/** Two-tap bilinear sampling in fixed point, rounded once: within one level of exact arithmetic. */
export function cropBilinearInto(out: Uint8Array, offset: number, image: RgbImage, square: Square, size: number): void {
  const { width, height, data } = image;
  const step = square.side / size;
  const column = new Int32Array(size);
  const next = new Int32Array(size);
  const weight = new Int32Array(size);
  for (let x = 0; x < size; x++) {
    const position = clamp(square.left + (x + 0.5) * step - 0.5, width - 1);
    const first = Math.floor(position);
    column[x] = first * 3;
    next[x] = Math.min(first + 1, width - 1) * 3;
    weight[x] = Math.round((position - first) * ONE);
  }
  // The two source rows at hand, already resampled across: each source row is resampled once, not once per output row.
  const rowLength = size * 3;
  let upper = new Int32Array(rowLength);
  let lower = new Int32Array(rowLength);
  let upperRow = -1;
  let lowerRow = -1;
  let o = offset;
  for (let y = 0; y < size; y++) {
    const position = clamp(square.top + (y + 0.5) * step - 0.5, height - 1);
    const first = Math.floor(position);
    const second = Math.min(first + 1, height - 1);
    const w1 = Math.round((position - first) * ONE);
    const w0 = ONE - w1;
    if (upperRow !== first && lowerRow === first) {
      [upper, lower] = [lower, upper];
      upperRow = lowerRow;
      lowerRow = -1;
    }
    if (upperRow !== first) {
      resampleRow(upper, data, first * width * 3, column, next, weight);
      upperRow = first;
    }
    if (lowerRow !== second) {
      resampleRow(lower, data, second * width * 3, column, next, weight);
      lowerRow = second;
    }
    for (let i = 0; i < rowLength; i++) {
      out[o++] = (Math.imul(upper[i] ?? 0, w0) + Math.imul(lower[i] ?? 0, w1) + HALF) >> (2 * BITS);
    }
  }
}

function resampleRow(
  row: Int32Array,
  data: Uint8Array,
  start: number,
  column: Int32Array,
  next: Int32Array,
  weight: Int32Array,
): void {
  for (let x = 0, i = 0; x < column.length; x++, i += 3) {
    const p = start + (column[x] ?? 0);
    const q = start + (next[x] ?? 0);
    const w1 = weight[x] ?? 0;
    const w0 = ONE - w1;
    row[i] = Math.imul(data[p] ?? 0, w0) + Math.imul(data[q] ?? 0, w1);
    row[i + 1] = Math.imul(data[p + 1] ?? 0, w0) + Math.imul(data[q + 1] ?? 0, w1);
    row[i + 2] = Math.imul(data[p + 2] ?? 0, w0) + Math.imul(data[q + 2] ?? 0, w1);
  }
}

function clamp(x: number, max: number): number {
  return Math.max(0, Math.min(x, max));
}
