import { onBackground } from "./background.ts";
import type { Interpolation } from "./coefficients.ts";
import type { DecodedImage, RgbImage } from "./rgb.ts";
import type { Rectangle } from "./samples.ts";
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
  /**
   * 0 to 255: what pictures are laid on, and made RGB of 8 bits, before anything else.
   * @default nothing: as the official transform, which shows the colours under transparency
   */
  readonly background?: number;
}

/**
 * The evaluation transform of openai/CLIP and open_clip up to the 8-bit pixels, `[height, width, 3]`, bit for bit: the
 * picture is resized, cropped or padded in the mode it was stored in, and converted to RGB after it.
 * @throws one line if a size or the picture's length is wrong
 */
export function preprocess(image: DecodedImage, config: PreprocessConfig): RgbImage {
  const expected = image.width * image.height * 3;
  if (expected === 0 || image.data.length !== expected)
    throw new Error(
      `preprocess: ${image.width} x ${image.height} pixels need ${expected} bytes of RGB, got ${image.data.length}`,
    );
  const { background, fill } = config;
  const picture = onBackground(image, background);
  const { target, crop, interpolation, size } = placementOf(picture, config);
  const part = resizeAndCrop(picture, target.width, target.height, interpolation, crop);
  return padded(part, size, fillOf(picture, fill));
}

/** What becomes of a picture of some size. */
export interface Placement {
  /** Of the whole picture after the resize. */
  readonly target: Size;
  readonly interpolation: Interpolation;
  /** The part of that which is kept. */
  readonly crop: Rectangle;
  /** Of the result: if larger than the crop, the rest is filled. */
  readonly size: Size;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** @throws one line if the configuration is wrong or nothing of the picture would be left */
export function placementOf(image: Size, config: PreprocessConfig): Placement {
  const [height, width] = typeof config.size === "number" ? [config.size, config.size] : config.size;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new Error(`preprocess: size must be a whole number of pixels, got ${String(config.size)}`);
  const { resize, fill } = config;
  if (!(Number.isInteger(fill) && fill >= 0 && fill <= 255))
    throw new Error(`preprocess: fill must be a whole number from 0 to 255, got ${fill}`);
  // torchvision has no say in a size that is not square: open_clip's own class resizes then, always bicubic.
  const isOwnClass = resize === "longest" || (resize === "shortest" && width !== height);
  const interpolation = resize === "shortest" && isOwnClass ? "bicubic" : config.interpolation;
  const size = { width, height };
  const target =
    resize === "squash" ? size : isOwnClass ? scaledBy(image, size, resize === "longest") : shorterSide(image, width);
  const crop = {
    left: target.width > width ? roundHalfToEven((target.width - width) / 2) : 0,
    top: target.height > height ? roundHalfToEven((target.height - height) / 2) : 0,
    width: Math.min(width, target.width),
    height: Math.min(height, target.height),
  };
  return { target, interpolation, crop, size };
}

/** The shorter side becomes `size`, the longer one is truncated (torchvision's `Resize`). */
function shorterSide({ width, height }: Size, size: number): Size {
  return width <= height
    ? { width: size, height: Math.trunc((size * height) / width) }
    : { width: Math.trunc((size * width) / height), height: size };
}

/** Both sides by one factor, rounded (open_clip's `ResizeKeepRatio`). */
function scaledBy(image: Size, size: Size, isFitted: boolean): Size {
  const across = image.width / size.width;
  const down = image.height / size.height;
  const ratio = isFitted ? Math.max(across, down) : Math.min(across, down);
  const target = { width: roundHalfToEven(image.width / ratio), height: roundHalfToEven(image.height / ratio) };
  if (target.width > 0 && target.height > 0) return target;
  const sizes = [image, size, target].map(({ width, height }) => `${width} x ${height}`);
  throw new Error(`preprocess: ${sizes[0]} fitted into ${sizes[1]} would be ${sizes[2]}`);
}

/** In the middle of the result, the smaller half of the border before it. */
export function padded(image: RgbImage, { width, height }: Size, colour: readonly number[]): RgbImage {
  if (image.width === width && image.height === height) return image;
  const data = new Uint8Array(width * height * 3);
  const left = Math.floor((width - image.width) / 2);
  const top = Math.floor((height - image.height) / 2);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3] ?? 0;
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    data.set(row, ((top + y) * width + left) * 3);
  }
  return { width, height, data };
}

/** Python's `round`. */
function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
