import type { RgbImage } from "./rgb.ts";
import { loadSharp } from "./sharp.ts";

/** A picture as the bytes of a JPEG file, colours at half resolution as usual. @param quality 1 to 100 */
export async function encodeJpeg({ width, height, data }: RgbImage, quality: number): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality, chromaSubsampling: "4:2:0" })
    .toBuffer();
}
