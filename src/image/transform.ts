import type { Interpolation } from "./coefficients.ts";
import { deepToRgb, resampleDeep } from "./deep.ts";
import { resampleNearest } from "./nearest.ts";
import { resample } from "./resample.ts";
import type { DecodedImage, RgbImage } from "./rgb.ts";
import type { Rectangle, Samples } from "./samples.ts";

/** Resizes the whole picture to `width` x `height` in the mode it was stored in, cuts `crop` out of it, converts to RGB. */
export function resizeAndCrop(
  image: DecodedImage,
  width: number,
  height: number,
  interpolation: Interpolation,
  crop: Rectangle = { left: 0, top: 0, width, height },
  box?: Rectangle,
): RgbImage {
  const options = { width, height, interpolation, crop, ...(box ? { box } : {}) };
  const rgb: Samples = { width: image.width, height: image.height, channels: 3, data: image.data };
  const unchanged = !box && width === image.width && height === image.height;
  if (unchanged) return resample(rgb, options);
  if (image.palette && !box) return resampleNearest(rgb, width, height, crop);
  if (image.deep) return deepToRgb(resampleDeep({ ...rgb, data: image.deep }, options));
  if (image.cmyk) return cmykToRgb(resample({ ...rgb, channels: 4, data: image.cmyk }, options));
  if (image.alpha) return unpremultiply(resample(premultiply(image, image.alpha), options));
  return resample(rgb, options);
}

/** The colour that `fill` is in the picture's own mode, as RGB. */
export function fillOf(image: DecodedImage, fill: number): readonly number[] {
  if (image.cmyk) return [...cmykToRgb({ width: 1, height: 1, channels: 4, data: new Uint8Array(4).fill(fill) }).data];
  if (image.palette) return [...image.palette.subarray(fill * 3, fill * 3 + 3)];
  return [fill, fill, fill];
}

/** `a * b / 255`, rounded as Pillow's MULDIV255 does. */
function multiply255(a: number, b: number): number {
  const t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

function premultiply(image: RgbImage, alpha: Uint8Array): Samples {
  const { width, height, data } = image;
  const out = new Uint8Array(width * height * 4);
  for (let i = 0, p = 0, o = 0; i < alpha.length; i++, p += 3, o += 4) {
    const a = alpha[i] ?? 0;
    out[o] = multiply255(data[p] ?? 0, a);
    out[o + 1] = multiply255(data[p + 1] ?? 0, a);
    out[o + 2] = multiply255(data[p + 2] ?? 0, a);
    out[o + 3] = a;
  }
  return { width, height, channels: 4, data: out };
}

/** Back to colours that are not premultiplied, as Pillow truncates them; alpha is dropped, nothing is blended in. */
function unpremultiply(samples: Samples): RgbImage {
  const { width, height, data } = samples;
  const out = new Uint8Array(width * height * 3);
  for (let p = 0, o = 0; p < data.length; p += 4, o += 3) {
    const a = data[p + 3] ?? 0;
    for (let c = 0; c < 3; c++) {
      const value = data[p + c] ?? 0;
      out[o + c] = a === 0 || a === 255 ? value : Math.min(255, Math.trunc((255 * value) / a));
    }
  }
  return { width, height, data: out };
}

/** Pillow's conversion of CMYK (0 = no ink), without a colour profile. */
export function cmykToRgb(samples: Samples): RgbImage {
  const { width, height, data } = samples;
  const out = new Uint8Array(width * height * 3);
  for (let p = 0, o = 0; p < data.length; p += 4, o += 3) {
    const light = 255 - (data[p + 3] ?? 0);
    for (let c = 0; c < 3; c++) out[o + c] = Math.max(0, light - multiply255(data[p + c] ?? 0, light));
  }
  return { width, height, data: out };
}
