import type { DecodedImage } from "./rgb.ts";

/**
 * A picture as a viewer shows it on a gray level, but for the EXIF rotation: what is transparent lets the level through, 16 bits are scaled
 * down to 8. For models that were not trained behind Pillow, in whose conversion the colours under transparency appear and most 16-bit
 * pictures are white.
 * @param level where there is none, the picture is left to Pillow's conversion
 */
export function onBackground(image: DecodedImage, level: number | undefined): DecodedImage {
  if (level === undefined) return image;
  const { width, height, alpha = image.ignoredAlpha, deep } = image;
  const data = deep instanceof Uint16Array ? highBytes(deep) : image.data;
  if (!alpha) return { width, height, data };
  const out = new Uint8Array(data.length);
  for (let i = 0, o = 0; o < out.length; i++) {
    const a = alpha[i] ?? 255;
    const behind = level * (255 - a) + 127;
    for (let c = 0; c < 3; c++, o++) out[o] = ((data[o] ?? 0) * a + behind) / 255;
  }
  return { width, height, data: out };
}

function highBytes(gray: Uint16Array): Uint8Array {
  const out = new Uint8Array(gray.length * 3);
  for (const [i, value] of gray.entries()) out.fill(value >> 8, 3 * i, 3 * i + 3);
  return out;
}
