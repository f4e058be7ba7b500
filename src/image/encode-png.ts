import type { RgbImage } from "./rgb.ts";
import { loadSharp } from "./sharp.ts";

/** A picture as the bytes of a PNG file, losslessly. */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
