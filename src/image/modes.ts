/** From samples as a file stores them to what the transform needs, for each of Pillow's modes. */
import type { DecodedImage } from "./rgb.ts";

/** Indices of a palette that a file does not define are black. */
export function paletteImage(width: number, height: number, indices: Uint8Array, colours: Uint8Array): DecodedImage {
  const palette = fullPalette(colours);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; o < data.length; i++) {
    const p = (indices[i] ?? 0) * 3;
    data[o++] = palette[p] ?? 0;
    data[o++] = palette[p + 1] ?? 0;
    data[o++] = palette[p + 2] ?? 0;
  }
  return { width, height, data, palette };
}

/** A table of 256 colours. */
export function fullPalette(colours: Uint8Array): Uint8Array {
  const palette = new Uint8Array(768);
  palette.set(colours.subarray(0, 768));
  return palette;
}

/** The palette of a 1-bit picture: everything but 0 is white. */
export const BLACK_AND_WHITE = Uint8Array.from({ length: 768 }, (_, i) => (i < 3 ? 0 : 255));

export function grayImage(width: number, height: number, samples: Uint8Array): DecodedImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; o < data.length; i++) {
    const value = samples[i] ?? 0;
    data[o++] = value;
    data[o++] = value;
    data[o++] = value;
  }
  return { width, height, data };
}

/** Drops an alpha that is 255 everywhere: premultiplying by it changes nothing. */
export function withAlpha(image: DecodedImage, alpha: Uint8Array): DecodedImage {
  return alpha.every((a) => a === 255) ? image : { ...image, alpha };
}

/** The colours of a file that stores them multiplied by alpha, truncated as Pillow does. */
export function unpremultiplied(image: DecodedImage, alpha: Uint8Array): DecodedImage {
  const data = image.data.map((value, i) => {
    const a = alpha[Math.floor(i / 3)] ?? 0;
    return a === 0 ? 0 : Math.min(255, Math.trunc((255 * value) / a));
  });
  return { ...image, data };
}
