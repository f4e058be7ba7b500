/**
 * BMP with the headers, depths, masks and run lengths that Pillow reads, in the mode it gives them. Own code: libvips
 * reads no BMP, and no package for it distinguishes these modes.
 */
import { Bytes } from "./bytes.ts";
import { BLACK_AND_WHITE, grayImage, paletteImage, withAlpha } from "./modes.ts";
import type { DecodedImage } from "./rgb.ts";

interface Header {
  readonly width: number;
  readonly height: number;
  readonly bottomUp: boolean;
  readonly bits: number;
  readonly compression: number;
  readonly colours: number;
  /** Bytes of an entry of the colour table. */
  readonly entry: 3 | 4;
  /** Where the colour table begins. */
  readonly end: number;
  readonly masks?: string;
}

const RAW = 0;
const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;

/** Byte offsets of red, green, blue and alpha in a 32-bit pixel, by the masks in the same order. */
const LAYOUTS: Readonly<Record<string, readonly [r: number, g: number, b: number, a?: number]>> = {
  "ff0000,ff00,ff,0": [2, 1, 0],
  "ff000000,ff0000,ff00,0": [3, 2, 1],
  "ff000000,ff00,ff,0": [3, 1, 0],
  "ff000000,ff0000,ff00,ff": [3, 2, 1, 0],
  "ff,ff00,ff0000,ff000000": [0, 1, 2, 3],
  "ff0000,ff00,ff,ff000000": [2, 1, 0, 3],
  "ff000000,ff00,ff,ff0000": [3, 1, 0, 2],
  "0,0,0,0": [2, 1, 0, 3],
};

export function isBmp(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

/** @throws one line on a damaged file, a layout that Pillow refuses, or more than `maxPixels` */
export function decodeBmp(bytes: Uint8Array, maxPixels: number): DecodedImage {
  const input = new Bytes(bytes, 10);
  const given = input.u32();
  const header = readHeader(input);
  const { width, height, bits, colours, entry, end } = header;
  if (!(width > 0 && height > 0)) throw new Error(`${width} x ${height} pixels`);
  if (width * height > maxPixels) throw new Error(`${width} x ${height} pixels are more than ${maxPixels}`);
  if (bits > 8) return trueColour(bytes, given || end, header);
  const table = bytes.subarray(end, end + entry * colours);
  // Files that place the pixels where the colour table is mean "right behind it".
  const pixels = given === end ? end + entry * colours : given || end + table.length;
  const isRamp = isGrayRamp(table, header);
  const isBilevel = isRamp && colours <= 2;
  const indices = readIndices(bytes, pixels, header, isRamp ? (isBilevel ? 1 : 8) : bits);
  if (isBilevel) return paletteImage(width, height, indices, BLACK_AND_WHITE);
  if (isRamp) return grayImage(width, height, indices);
  if (table.length / entry > 256) throw new Error(`a palette of ${table.length / entry} colours`);
  const palette = new Uint8Array(768);
  for (let i = 0; i * entry < table.length; i++)
    for (let c = 0; c < 3; c++) palette[i * 3 + c] = table[i * entry + 2 - c] ?? 0;
  return paletteImage(width, height, indices, palette);
}

function readHeader(input: Bytes): Header {
  const start = input.position;
  const size = input.u32();
  if (size === 12) {
    const [width, height] = [input.u16(), input.u16()];
    input.skip(2);
    const bits = input.u16();
    checkBits(bits);
    return { width, height, bottomUp: true, bits, compression: RAW, colours: 1 << bits, entry: 3, end: start + 12 };
  }
  if (![40, 52, 56, 64, 108, 124].includes(size)) throw new Error(`a header of ${size} bytes is not supported`);
  const width = input.i32();
  const rows = input.u32();
  // Pillow looks at the highest byte only, which allows 16 million rows.
  const bottomUp = rows < 0xff000000;
  const height = bottomUp ? rows : 2 ** 32 - rows;
  input.skip(2);
  const bits = input.u16();
  checkBits(bits);
  const compression = input.u32();
  if (compression > BITFIELDS) throw new Error(`compression ${compression} is not supported`);
  input.skip(12);
  const colours = input.u32() || 1 << bits;
  input.skip(4);
  const more = input.take(size - 40);
  if (bits <= 8 && colours > 65536) throw new Error(`a palette of ${colours} colours`);
  const common = { width, height, bottomUp, bits, compression, colours, entry: 4 } as const;
  if (compression !== BITFIELDS) return { ...common, end: input.position };
  const fields = size === 40 ? input : new Bytes(more);
  const masks = [fields.u32(), fields.u32(), fields.u32(), size >= 56 ? fields.u32() : 0];
  return { ...common, end: input.position, masks: masks.map((mask) => mask.toString(16)).join() };
}

function checkBits(bits: number): void {
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw new Error(`${bits} bits a pixel are not supported`);
}

/** A table that says no more than "index i is gray i" (black and white for two) makes a gray picture. */
function isGrayRamp(table: Uint8Array, { colours, entry }: Header): boolean {
  for (let i = 0; i < colours; i++) {
    const value = colours === 2 ? i * 255 : i & 255;
    for (let c = 0; c < 3; c++) if (table[i * entry + c] !== value) return false;
  }
  return true;
}

/** One byte a pixel, the top row first. `bits` are those that Pillow reads, which a gray table may change. */
function readIndices(bytes: Uint8Array, start: number, header: Header, bits: number): Uint8Array {
  const { width, height, compression } = header;
  if (compression === RLE8 || compression === RLE4)
    return flipped(runLengths(bytes, start, header, compression === RLE4), header);
  if (compression === BITFIELDS) throw new Error(`masks at ${header.bits} bits a pixel are not supported`);
  const stride = strideOf(header);
  if (stride < Math.ceil((width * bits) / 8)) throw new Error(`rows of ${stride} bytes for ${width} pixels`);
  const data = rowsAt(bytes, start, stride, header, Math.ceil((width * bits) / 8));
  const out = new Uint8Array(width * height);
  const mask = (1 << bits) - 1;
  for (let y = 0, o = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bit = x * bits;
      out[o++] = ((data[y * stride + (bit >> 3)] ?? 0) >> (8 - bits - (bit & 7))) & mask;
    }
  return flipped(out, header);
}

function strideOf({ width, bits }: Header): number {
  return ((width * bits + 31) >> 3) & ~3;
}

/** The last row may lack its padding. */
function rowsAt(bytes: Uint8Array, start: number, stride: number, { height }: Header, last: number): Uint8Array {
  const needed = stride * (height - 1) + last;
  if (bytes.length - start < needed)
    throw new Error(
      `the file is truncated: ${needed} bytes of pixels expected, got ${Math.max(0, bytes.length - start)}`,
    );
  return bytes.subarray(start);
}

function flipped(pixels: Uint8Array, { width, height, bottomUp }: Header): Uint8Array {
  if (!bottomUp) return pixels;
  const out = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) out.set(pixels.subarray(y * width, (y + 1) * width), (height - 1 - y) * width);
  return out;
}

function runLengths(bytes: Uint8Array, start: number, { width, height }: Header, isNibbles: boolean): Uint8Array {
  const input = new Bytes(bytes, Math.min(start, bytes.length));
  const out = new Uint8Array(width * height);
  let o = 0;
  let x = 0;
  while (o < out.length) {
    const pair = input.upTo(2);
    if (pair.length < 2) break;
    const [count = 0, value = 0] = pair;
    if (count > 0) {
      const n = Math.min(count, Math.max(0, width - x));
      for (let i = 0; i < n && o < out.length; i++)
        out[o++] = isNibbles ? (i % 2 === 0 ? value >> 4 : value & 15) : value;
      x += n;
    } else if (value === 0) {
      o = Math.ceil(o / width) * width;
      x = 0;
    } else if (value === 1) break;
    else if (value === 2) {
      const move = input.upTo(2);
      if (move.length < 2) break;
      o = Math.min(out.length, o + (move[0] ?? 0) + (move[1] ?? 0) * width);
      x = o % width;
    } else {
      const n = Math.min(out.length - o, value);
      const wanted = isNibbles ? (n + 1) >> 1 : n;
      const run = input.upTo(wanted);
      for (let i = 0; i < n && (isNibbles ? i >> 1 : i) < run.length; i++) {
        const byte = run[isNibbles ? i >> 1 : i] ?? 0;
        out[o++] = isNibbles ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte;
      }
      if (run.length < wanted || o === out.length) break;
      x += value;
      if (input.position % 2 !== 0) input.upTo(1);
    }
  }
  if (o < out.length) throw new Error(`the file is truncated: ${out.length} pixels expected, got ${o}`);
  return out;
}

function trueColour(bytes: Uint8Array, start: number, header: Header): DecodedImage {
  const { width, height, bottomUp, bits, compression, masks = "" } = header;
  const size = bits / 8;
  const stride = strideOf(header);
  if (compression === RLE8 || compression === RLE4) throw new Error(`run lengths at ${bits} bits a pixel`);
  const source = rowsAt(bytes, start, stride, header, width * size);
  const data = new Uint8Array(width * height * 3);
  const layout = compression === RAW ? ([2, 1, 0] as const) : bits === 32 ? LAYOUTS[masks] : ([2, 1, 0] as const);
  const rgb = masks.split(",").slice(0, 3).join();
  const green = bits === 16 && compression === BITFIELDS && rgb === "f800,7e0,1f" ? 6 : 5;
  if (!layout || (compression === BITFIELDS && bits < 32 && !isKnown(bits, rgb)))
    throw new Error(`masks ${masks} at ${bits} bits a pixel are not supported`);
  const [r, g, b, a] = layout;
  const alpha = a === undefined ? undefined : new Uint8Array(width * height);
  for (let y = 0, o = 0; y < height; y++) {
    let p = (bottomUp ? height - 1 - y : y) * stride;
    for (let x = 0; x < width; x++, p += size, o += 3) {
      if (bits === 16) {
        const pixel = (source[p] ?? 0) | ((source[p + 1] ?? 0) << 8);
        data[o] = expand(pixel >> (5 + green), 5);
        data[o + 1] = expand(pixel >> 5, green);
        data[o + 2] = expand(pixel, 5);
      } else {
        data[o] = source[p + r] ?? 0;
        data[o + 1] = source[p + g] ?? 0;
        data[o + 2] = source[p + b] ?? 0;
        if (alpha && a !== undefined) alpha[y * width + x] = source[p + a] ?? 0;
      }
    }
  }
  const image = { width, height, data };
  return alpha ? withAlpha(image, alpha) : image;
}

function isKnown(bits: number, rgb: string): boolean {
  return bits === 24 ? rgb === "ff0000,ff00,ff" : rgb === "f800,7e0,1f" || rgb === "7c00,3e0,1f";
}

function expand(value: number, bits: number): number {
  const most = (1 << bits) - 1;
  return Math.trunc(((value & most) * 255) / most);
}
