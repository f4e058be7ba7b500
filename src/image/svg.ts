import type { RgbImage } from "./rgb.ts";
import { loadSharp } from "./sharp.ts";

/** Drawings come from strangers: one that nests filters to take hours is given up. */
const MOST_SECONDS = 30;

/**
 * Draws an SVG on white, contained in a square of `size` pixels and centred. An SVG whose width and height are `size`
 * is drawn at exactly that scale. Errors are one line; `name` says which drawing.
 */
export async function renderSvg(svg: string | Uint8Array, size: number, name = "SVG"): Promise<RgbImage> {
  const sharp = await loadSharp();
  try {
    const buffer = typeof svg === "string" ? Buffer.from(svg) : svg;
    const { width = 0, height = 0, format } = await sharp(buffer).metadata();
    if (format !== "svg") throw new Error(`expected an SVG, got ${format ?? "nothing known"}`);
    const longer = Math.max(width, height, 1);
    // Drawn at the wanted size rather than drawn small and enlarged; 72 dots an inch is one pixel a unit.
    const density = Math.min(100_000, Math.max(1, (72 * size) / longer));
    const white = "#fff";
    const data = await sharp(buffer, { density })
      .resize(size, size, { fit: "contain", background: white })
      .flatten({ background: white })
      .toColourspace("srgb")
      .removeAlpha()
      .raw()
      .timeout({ seconds: MOST_SECONDS })
      .toBuffer();
    if (data.length !== size * size * 3) throw new Error(`expected ${size * size * 3} bytes, got ${data.length}`);
    return { width: size, height: size, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (error) {
    throw new Error(
      `${name}: cannot be drawn: ${error instanceof Error ? error.message.trim().split("\n")[0] : error}`,
    );
  }
}

/** Draws an SVG of the picture's size over it. @throws one line */
export async function overlaySvg(image: RgbImage, svg: string): Promise<RgbImage> {
  const sharp = await loadSharp();
  const { width, height } = image;
  const data = await sharp(image.data, { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(svg), left: 0, top: 0 }])
    .removeAlpha()
    .raw()
    .toBuffer();
  if (data.length !== width * height * 3)
    throw new Error(`overlay: expected ${width * height * 3} bytes, got ${data.length}`);
  return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}
