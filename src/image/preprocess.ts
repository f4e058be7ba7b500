import type { Interpolation } from "./coefficients.ts";
import type { Rectangle } from "./resample.ts";
import type { DecodedImage, RgbImage } from "./rgb.ts";
import { fillOf, resizeAndCrop } from "./transform.ts";

/** What a model wants of its pictures: everything that must agree with how its weights were trained. */
export interface PreprocessConfig {
  /** Of the result in pixels: one number for a square, else `[height, width]`. */
  readonly size: number | readonly [height: number, width: number];
  /**
   * - `shortest`: the picture covers the result, its middle is cut out (the official models)
   * - `squash`: both sides to the wanted size, proportions are lost
   * - `longest`: the whole picture fits into the result, the rest is `fill`
   */
  readonly resize: "shortest" | "squash" | "longest";
  readonly interpolation: Interpolation;
  /** Of red, green and blue, for values between 0 and 1: what comes after the pixels is (value / 255 - mean) / deviation. */
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
  /** 0 to 255: what `longest` pads with, in the picture's own mode (for palettes an index). */
  readonly fill: number;
}

/**
 * The evaluation transform of openai/CLIP and open_clip up to the 8-bit pixels, `[height, width, 3]`, bit for bit: the
 * picture is resized, cropped or padded in the mode it was stored in, and converted to RGB after it.
 * @throws one line if a size or the picture's length is wrong
 */
export function preprocess(image: DecodedImage, config: PreprocessConfig): RgbImage {
  const [height, width] = typeof config.size === "number" ? [config.size, config.size] : config.size;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new Error(`preprocess: size must be a whole number of pixels, got ${String(config.size)}`);
  const expected = image.width * image.height * 3;
  if (expected === 0 || image.data.length !== expected)
    throw new Error(
      `preprocess: ${image.width} x ${image.height} pixels need ${expected} bytes of RGB, got ${image.data.length}`,
    );
  const { resize, fill } = config;
  if (!(Number.isInteger(fill) && fill >= 0 && fill <= 255))
    throw new Error(`preprocess: fill must be a whole number from 0 to 255, got ${fill}`);
  // torchvision has no say in a size that is not square: open_clip's own class resizes then, always bicubic.
  const ownClass = resize === "longest" || (resize === "shortest" && width !== height);
  const interpolation = resize === "shortest" && ownClass ? "bicubic" : config.interpolation;
  if (resize === "squash") return resizeAndCrop(image, width, height, interpolation);
  const [toWidth, toHeight] = ownClass
    ? scaledBy(image, width, height, resize === "longest")
    : shorterSide(image, width);
  return cropOrPad(image, toWidth, toHeight, width, height, interpolation, resize === "longest" ? fill : 0);
}

/** The shorter side becomes `size`, the longer one is truncated (torchvision's `Resize`). */
function shorterSide({ width, height }: RgbImage, size: number): [width: number, height: number] {
  return width <= height ? [size, Math.trunc((size * height) / width)] : [Math.trunc((size * width) / height), size];
}

/** Both sides by one factor, rounded (open_clip's `ResizeKeepRatio`). */
function scaledBy(image: RgbImage, width: number, height: number, fit: boolean): [width: number, height: number] {
  const across = image.width / width;
  const down = image.height / height;
  const ratio = fit ? Math.max(across, down) : Math.min(across, down);
  const [toWidth, toHeight] = [roundHalfToEven(image.width / ratio), roundHalfToEven(image.height / ratio)];
  if (toWidth > 0 && toHeight > 0) return [toWidth, toHeight];
  throw new Error(
    `preprocess: ${image.width} x ${image.height} fitted into ${width} x ${height} would be ${toWidth} x ${toHeight}`,
  );
}

/** Resizes, then cuts the middle out of what is larger than the result and pads what is smaller. */
function cropOrPad(
  image: DecodedImage,
  toWidth: number,
  toHeight: number,
  width: number,
  height: number,
  interpolation: Interpolation,
  fill: number,
): RgbImage {
  const crop = {
    left: toWidth > width ? roundHalfToEven((toWidth - width) / 2) : 0,
    top: toHeight > height ? roundHalfToEven((toHeight - height) / 2) : 0,
    width: Math.min(width, toWidth),
    height: Math.min(height, toHeight),
  };
  const part = resizeAndCrop(image, toWidth, toHeight, interpolation, crop);
  return part.width === width && part.height === height ? part : pad(part, width, height, fillOf(image, fill));
}

/** The smaller half of the border is before the picture. */
function pad(image: RgbImage, width: number, height: number, colour: readonly number[]): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const at: Rectangle = {
    left: Math.floor((width - image.width) / 2),
    top: Math.floor((height - image.height) / 2),
    width: image.width,
    height: image.height,
  };
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3] ?? 0;
  for (let y = 0; y < at.height; y++) {
    const row = image.data.subarray(y * at.width * 3, (y + 1) * at.width * 3);
    data.set(row, ((at.top + y) * width + at.left) * 3);
  }
  return { width, height, data };
}

/** Python's `round`. */
function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
