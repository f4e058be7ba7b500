import type { RgbImage } from "../../../image/index.ts";

/** Gray pixels [height, width] as a picture. */
export function grayPicture(gray: Uint8Array, width: number, height: number): RgbImage {
  const data = new Uint8Array(gray.length * 3);
  for (const [i, value] of gray.entries()) data.fill(value, i * 3, i * 3 + 3);
  return { width, height, data };
}
