import { readFile, stat } from "node:fs/promises";
import type { Metadata } from "sharp";
import type { DecodedImage } from "./rgb.ts";
import { loadSharp } from "./sharp.ts";
import { cmykToRgb } from "./transform.ts";

export interface DecodeOptions {
  /** Larger pictures are refused by their header, before anything is allocated. @default 89,478,485 (Pillow warns above it) */
  readonly maxPixels?: number;
  /** What errors call the picture. @default its path, or "image" for bytes */
  readonly name?: string;
}

const MAX_PIXELS = 89_478_485;
/** No picture of `maxPixels` is longer than this on disk, but a wrong path can be. */
const MAX_FILE_BYTES = 1 << 30;

const FORMATS = new Set(["jpeg", "png", "webp", "gif", "tiff", "heif"]);

/**
 * Decodes the first frame of a JPEG, PNG, WebP, GIF, TIFF or AVIF picture to 8-bit RGB as the official transform sees
 * it: the EXIF rotation, colour profiles and gamma are not applied; 16-bit pictures keep their high byte. Alpha and the
 * like come along for `preprocess`. Errors are one line that names the file.
 */
export async function decodeImage(input: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  const name = options.name ?? (typeof input === "string" ? input : "image");
  const maxPixels = options.maxPixels ?? MAX_PIXELS;
  const sharp = await loadSharp();
  try {
    const bytes = typeof input === "string" ? await readBounded(input) : input;
    if (bytes.length === 0) throw new Error("the file is empty");
    const source = sharp(bytes, { limitInputPixels: maxPixels, failOn: "error", ignoreIcc: true, pages: 1 });
    const metadata = await source.metadata();
    const { format, width = 0, height = 0 } = metadata;
    if (!format || !FORMATS.has(format)) throw new Error(`format ${format ?? "unknown"} is not supported`);
    if (width * height > maxPixels) throw new Error(`${width} x ${height} pixels are more than ${maxPixels}`);
    const isCmyk = metadata.space === "cmyk";
    const space = isCmyk ? "cmyk" : "srgb";
    const pipeline = isCmyk ? source.pipelineColourspace("cmyk") : source;
    const { data, info } = await pipeline
      .toColourspace(space)
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (isCmyk) return fromCmyk(data, info.width, info.height);
    const ignoreAlpha = format === "png" && !hasAlphaChannel(bytes);
    const palette = isIndexed(metadata) ? paletteOf(bytes, metadata) : undefined;
    return fromChannels(data, info.width, info.height, info.channels, palette, ignoreAlpha);
  } catch (error) {
    throw new Error(`${name}: cannot be decoded: ${firstLine(error)}`);
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes are more than ${MAX_FILE_BYTES}`);
  return readFile(path);
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return (
    message
      .replace(/^Input (buffer|file) /, "the file ")
      .trim()
      .split("\n")[0] ?? ""
  );
}

/** Palette and 1-bit pictures, which Pillow resizes by nearest neighbour. */
function isIndexed(metadata: Metadata): boolean {
  return metadata.format === "gif" || metadata.isPalette === true || metadata.bitsPerSample === 1;
}

const BLACK_AND_WHITE = Uint8Array.from({ length: 768 }, (_, i) => (i < 3 ? 0 : 255));

/** RGB of 256 indices; those that the file does not define are black. */
function paletteOf(bytes: Uint8Array, { format, bitsPerSample, isPalette }: Metadata): Uint8Array {
  if (bitsPerSample === 1 && !isPalette) return BLACK_AND_WHITE;
  const palette = new Uint8Array(768);
  if (format === "png") palette.set(pngChunk(bytes, "PLTE").subarray(0, 768));
  return palette;
}

/** The first chunk of that type before the pixels, empty if there is none. */
function pngChunk(png: Uint8Array, type: string): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let at = 8; at + 12 <= png.length; at += 12 + view.getUint32(at)) {
    const found = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (found === type) return png.subarray(at + 8, at + 8 + view.getUint32(at));
    if (found === "IDAT") break;
  }
  return new Uint8Array(0);
}

/** A PNG of colour type 4 or 6; otherwise transparency comes from a tRNS chunk, which the official transform ignores. */
function hasAlphaChannel(png: Uint8Array): boolean {
  const colourType = png[25];
  return colourType === 4 || colourType === 6;
}

function fromChannels(
  samples: Uint8Array,
  width: number,
  height: number,
  channels: number,
  palette: Uint8Array | undefined,
  ignoreAlpha: boolean,
): DecodedImage {
  const pixels = width * height;
  if (samples.length !== pixels * channels || channels < 1 || channels > 4) {
    throw new Error(`${width} x ${height} x ${channels} samples expected, got ${samples.length}`);
  }
  if (channels === 3) return { width, height, data: tight(samples), ...(palette ? { palette } : {}) };
  const gray = channels < 3;
  const data = new Uint8Array(pixels * 3);
  const alpha = channels === 3 || channels === 1 ? undefined : new Uint8Array(pixels);
  let opaque = true;
  for (let i = 0, p = 0, o = 0; i < pixels; i++, p += channels, o += 3) {
    data[o] = samples[p] ?? 0;
    data[o + 1] = samples[gray ? p : p + 1] ?? 0;
    data[o + 2] = samples[gray ? p : p + 2] ?? 0;
    if (alpha) {
      const a = samples[p + channels - 1] ?? 0;
      alpha[i] = a;
      opaque &&= a === 255;
    }
  }
  const keepAlpha = alpha && !opaque && !palette && !ignoreAlpha;
  return { width, height, data, ...(palette ? { palette } : {}), ...(keepAlpha ? { alpha } : {}) };
}

function fromCmyk(samples: Uint8Array, width: number, height: number): DecodedImage {
  const cmyk = tight(samples);
  if (cmyk.length !== width * height * 4)
    throw new Error(`${width} x ${height} x 4 samples expected, got ${cmyk.length}`);
  return { ...cmykToRgb({ width, height, channels: 4, data: cmyk }), cmyk };
}

/** Small Buffers share a pool; a plain array of exactly these bytes can be transferred to another thread. */
function tight(samples: Uint8Array): Uint8Array {
  return samples.byteLength === samples.buffer.byteLength
    ? new Uint8Array(samples.buffer, 0, samples.length)
    : Uint8Array.from(samples);
}
