import { closeSync, fstat, open, read, readFile } from "node:fs";
import { promisify } from "node:util";
import type { Sharp } from "sharp";
import { decodeBmp, isBmp } from "./bmp.ts";
import { deepToRgb } from "./deep.ts";
import { decodeGif, isGif } from "./gif.ts";
import { decodeJpeg, decodePart, type JpegHeader, readJpegHeader } from "./jpeg.ts";
import { type Kernels, Space, simdKernels } from "./kernels.ts";
import { BLACK_AND_WHITE, fullPalette, grayImage, unpremultiplied, withAlpha } from "./modes.ts";
import { readPngHeader } from "./png.ts";
import { type PreprocessConfig, padded, placementOf, preprocess } from "./preprocess.ts";
import { resamplingOf } from "./resample.ts";
import type { DecodedImage, RgbImage } from "./rgb.ts";
import { loadSharp } from "./sharp.ts";
import { resamplePlaced } from "./simd.ts";
import { readTiffHeader } from "./tiff.ts";
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

const FORMATS = new Set(["jpeg", "png", "webp", "tiff", "heif"]);

/**
 * Decodes the first frame of a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF picture to 8-bit RGB as Pillow sees it: the EXIF
 * rotation, colour profiles and gamma are not applied; 16 bits keep their high byte, in gray they are cut off at 255. Alpha
 * and the like come along for `preprocess`. Errors are one line that names the file.
 */
export function decodeImage(input: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  return withBytes(input, options, async (bytes, maxPixels) => {
    const jpeg = jpegHere(bytes, maxPixels);
    return (jpeg && decodeJpeg(jpeg.kernels, bytes, jpeg.header)) ?? decodeOther(bytes, maxPixels);
  });
}

/** `preprocess(await decodeImage(input))`, but of a JPEG no more is computed than the result needs. */
export function preprocessFile(
  input: string | Uint8Array,
  config: PreprocessConfig,
  options: DecodeOptions = {},
): Promise<RgbImage> {
  return withBytes(input, options, async (bytes, maxPixels) => {
    const jpeg = jpegHere(bytes, maxPixels);
    return (jpeg && preprocessJpeg(jpeg, bytes, config)) ?? preprocess(await decodeOther(bytes, maxPixels), config);
  });
}

async function withBytes<Result>(
  input: string | Uint8Array,
  { name = typeof input === "string" ? input : "image", maxPixels = MAX_PIXELS }: DecodeOptions,
  decode: (bytes: Uint8Array, maxPixels: number) => Promise<Result>,
): Promise<Result> {
  try {
    const use = async (bytes: Uint8Array): Promise<Result> => {
      if (bytes.length === 0) throw new Error("the file is empty");
      return decode(bytes, maxPixels);
    };
    return await (typeof input === "string" ? readBounded(input, use) : use(input));
  } catch (error) {
    throw new Error(`${name}: cannot be decoded: ${firstLine(error)}`);
  }
}

function decodeOther(bytes: Uint8Array, maxPixels: number): DecodedImage | Promise<DecodedImage> {
  if (isGif(bytes)) return decodeGif(bytes, maxPixels);
  if (isBmp(bytes)) return decodeBmp(bytes, maxPixels);
  return decodeBySharp(bytes, maxPixels);
}

/** Most pictures are no larger than this: read at once, without asking for the size. */
const USUAL_BYTES = 1 << 18;

/** Used again and again: fresh memory costs more than reading into it. Absent while a picture is in it. */
let spare: Uint8Array | undefined;

/** Calls back with a file's bytes, which are valid until its promise is settled. */
async function readBounded<Result>(path: string, use: (bytes: Uint8Array) => Promise<Result>): Promise<Result> {
  const space = spare ?? new Uint8Array(USUAL_BYTES);
  spare = undefined;
  try {
    return await use(await readInto(space, path));
  } finally {
    spare = space;
  }
}

const openFile = promisify(open);
const readPart = promisify(read);
const statFile = promisify(fstat);
const readAll = promisify(readFile);

async function readInto(space: Uint8Array, path: string): Promise<Uint8Array> {
  const file = await openFile(path, "r");
  try {
    const { bytesRead } = await readPart(file, space, 0, space.length, 0);
    if (bytesRead < space.length) return space.subarray(0, bytesRead);
    const { size } = await statFile(file);
    if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes are more than ${MAX_FILE_BYTES}`);
    return await readAll(file);
  } finally {
    // Closing what was only read does not wait, and going through another thread would cost more than reading did.
    closeSync(file);
  }
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

/** Larger JPEGs are decoded in sharp's threads instead, lest they block everything else for more than some 10 ms. */
const MAX_PIXELS_HERE = 1 << 21;

interface JpegHere {
  readonly header: JpegHeader;
  readonly kernels: Kernels;
}

function jpegHere(bytes: Uint8Array, maxPixels: number): JpegHere | undefined {
  const header = readJpegHeader(bytes);
  if (!header || header.width * header.height > Math.min(maxPixels, MAX_PIXELS_HERE)) return;
  const kernels = simdKernels();
  return kernels && { header, kernels };
}

function preprocessJpeg(
  { header, kernels }: JpegHere,
  bytes: Uint8Array,
  config: PreprocessConfig,
): RgbImage | undefined {
  const { target, interpolation, crop, size } = placementOf(header, config);
  const resampling = resamplingOf(header, { ...target, interpolation, crop });
  const space = new Space(kernels);
  const part = decodePart(space, bytes, header, resampling.needed);
  if (!part) return;
  const { fill } = config;
  return padded(resamplePlaced(space, part, resampling), size, [fill, fill, fill]);
}

async function decodeBySharp(bytes: Uint8Array, maxPixels: number): Promise<DecodedImage> {
  const sharp = await loadSharp();
  const source = sharp(bytes, { limitInputPixels: maxPixels, failOn: "error", ignoreIcc: true, pages: 1 });
  const { format, space, depth = "uchar", width = 0, height = 0 } = await source.metadata();
  if (!format || !FORMATS.has(format)) throw new Error(`format ${format ?? "unknown"} is not supported`);
  if (width * height > maxPixels) throw new Error(`${width} x ${height} pixels are more than ${maxPixels}`);
  // Of all formats, Pillow turns only TIFFs as their orientation says.
  const pipeline = format === "tiff" ? source.autoOrient() : source;
  const isDeep = format === "png" ? isDeepPng(bytes) : format === "tiff" && depth !== "uchar";
  if (isDeep && (space === "grey16" || space === "b-w")) return decodeDeep(pipeline, depth);
  const isCmyk = space === "cmyk";
  const { data, info } = await (isCmyk ? pipeline.pipelineColourspace("cmyk") : pipeline)
    .toColourspace(isCmyk ? "cmyk" : "srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  if (isCmyk) return fromCmyk(data, info.width, info.height);
  return inItsMode(fromChannels(data, info.width, info.height, info.channels), bytes);
}

/** Gray of more than 8 bits, in Pillow's modes I;16, I and F. */
async function decodeDeep(source: Sharp, depth: string): Promise<DecodedImage> {
  const [space, kind] = (
    {
      ushort: ["grey16", "ushort"],
      short: ["b-w", "int"],
      int: ["b-w", "int"],
      uint: ["b-w", "int"],
      float: ["b-w", "float"],
    } as const
  )[depth] ?? [undefined, undefined];
  if (!space) throw new Error(`samples of type ${depth} are not supported`);
  const { data, info } = await source
    .extractChannel(0) // a transparent gray level of a PNG comes as a second channel
    .pipelineColourspace(space)
    .toColourspace(space)
    .raw({ depth: kind })
    .toBuffer({ resolveWithObject: true });
  const { buffer } = tight(data);
  const { width, height, channels } = info;
  if (channels !== 1) throw new Error(`${channels} channels of type ${depth} are not supported`);
  const deep =
    kind === "ushort" ? new Uint16Array(buffer) : kind === "int" ? new Int32Array(buffer) : new Float32Array(buffer);
  if (deep.length !== width * height) throw new Error(`${width} x ${height} samples expected, got ${deep.length}`);
  return { ...deepToRgb({ width, height, data: deep }), deep };
}

function isDeepPng(bytes: Uint8Array): boolean {
  const header = readPngHeader(bytes);
  return header?.colourType === 0 && header.bits === 16;
}

/** What Pillow's mode makes of the channels that the decoder gives: transparency that is not a channel, or of palettes, it ignores. */
function inItsMode(image: DecodedImage, bytes: Uint8Array): DecodedImage {
  const { alpha, ...rgb } = image;
  const png = readPngHeader(bytes);
  if (png) {
    if (png.colourType >= 4) return image;
    const ignored = { ...rgb, ...(alpha && { ignoredAlpha: alpha }) };
    if (png.colourType === 3) return { ...ignored, palette: fullPalette(png.palette) };
    return png.bits === 1 ? { ...ignored, palette: BLACK_AND_WHITE } : ignored;
  }
  if (isWebpWithoutAlpha(bytes)) return rgb;
  const tiff = readTiffHeader(bytes);
  if (!tiff) return image;
  if (tiff.palette) return { ...rgb, palette: fullPalette(tiff.palette) };
  if (tiff.isBilevel) return { ...rgb, palette: BLACK_AND_WHITE };
  if (tiff.extra === "unspecified") return rgb;
  return alpha && tiff.extra === "premultiplied" ? { ...unpremultiplied(rgb, alpha), alpha } : image;
}

/** The extended header of a WebP decides, whatever is around the first frame of an animation. */
function isWebpWithoutAlpha(bytes: Uint8Array): boolean {
  const isExtended = String.fromCharCode(...bytes.subarray(8, 16)) === "WEBPVP8X";
  return isExtended && ((bytes[20] ?? 0) & 0x10) === 0;
}

function fromChannels(samples: Uint8Array, width: number, height: number, channels: number): DecodedImage {
  const pixels = width * height;
  if (samples.length !== pixels * channels || channels < 1 || channels > 4)
    throw new Error(`${width} x ${height} x ${channels} samples expected, got ${samples.length}`);
  if (channels === 3) return { width, height, data: tight(samples) };
  if (channels === 1) return grayImage(width, height, samples);
  const data = new Uint8Array(pixels * 3);
  const alpha = new Uint8Array(pixels);
  const step = channels === 2 ? 0 : 1;
  for (let i = 0, p = 0, o = 0; i < pixels; i++, p += channels, o += 3) {
    data[o] = samples[p] ?? 0;
    data[o + 1] = samples[p + step] ?? 0;
    data[o + 2] = samples[p + 2 * step] ?? 0;
    alpha[i] = samples[p + channels - 1] ?? 0;
  }
  return withAlpha({ width, height, data }, alpha);
}

function fromCmyk(samples: Uint8Array, width: number, height: number): DecodedImage {
  const cmyk = tight(samples);
  if (cmyk.length !== width * height * 4)
    throw new Error(`${width} x ${height} x 4 samples expected, got ${cmyk.length}`);
  return { ...cmykToRgb({ width, height, channels: 4, data: cmyk }), cmyk };
}

/** Small Buffers share a pool; a plain array of exactly these bytes can be transferred to another thread. */
function tight(samples: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = samples;
  return buffer instanceof ArrayBuffer && samples.byteLength === buffer.byteLength
    ? new Uint8Array(buffer)
    : Uint8Array.from(samples);
}
