/**
 * The first frame of a GIF as Pillow sees it: indices on the whole screen, not blended, with the colours that lie under
 * transparency. Own code, since the decoders at hand give black there and refuse or repair other files than Pillow.
 */
import { Bytes } from "./bytes.ts";
import { grayImage, paletteImage } from "./modes.ts";
import type { DecodedImage } from "./rgb.ts";

export function isGif(bytes: Uint8Array): boolean {
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  return magic === "GIF87a" || magic === "GIF89a";
}

/** @throws one line on a damaged file or more than `maxPixels` */
export function decodeGif(bytes: Uint8Array, maxPixels: number): DecodedImage {
  const input = new Bytes(bytes, 6);
  let width = input.u16();
  let height = input.u16();
  const flags = input.u8();
  input.skip(2);
  const global = flags & 128 ? colourTable(input, flags) : undefined;
  let transparent: number | undefined;
  for (;;) {
    const kind = input.u8();
    if (kind === 0x21) {
      const label = input.u8();
      const block = input.take(input.u8());
      const first = block[0] ?? 0;
      if (label === 249 && first & 1) transparent = block[3] ?? 0;
      if (block.length > 0) skipBlocks(input);
    } else if (kind === 0x2c) break;
    else if (kind === 0x3b) throw new Error("the file has no picture");
  }
  const frame = { left: input.u16(), top: input.u16(), width: input.u16(), height: input.u16() };
  const local = input.u8();
  const table = local & 128 ? colourTable(input, local) : global;
  // A frame that sticks out enlarges the screen.
  width = Math.max(width, frame.left + frame.width);
  height = Math.max(height, frame.top + frame.height);
  if (width * height > maxPixels) throw new Error(`${width} x ${height} pixels are more than ${maxPixels}`);
  if (frame.width === 0 || frame.height === 0) throw new Error(`the frame has ${frame.width} x ${frame.height} pixels`);
  const indices = new Uint8Array(width * height).fill(transparent ?? 0);
  const rows = rowOrder(frame.height, (local & 64) !== 0);
  decodeLzw(input, indices, { start: frame.top * width + frame.left, stride: width, width: frame.width, rows });
  // A table that says no more than "index i is gray i" makes a gray picture.
  const image =
    !table || isGrayRamp(table) ? grayImage(width, height, indices) : paletteImage(width, height, indices, table);
  return transparent !== undefined && indices.includes(transparent)
    ? { ...image, ignoredAlpha: indices.map((index) => (index === transparent ? 0 : 255)) }
    : image;
}

function colourTable(input: Bytes, flags: number): Uint8Array {
  return input.take(3 << ((flags & 7) + 1));
}

function isGrayRamp(table: Uint8Array): boolean {
  return table.every((value, i) => value === Math.floor(i / 3));
}

function skipBlocks(input: Bytes): void {
  for (let size = input.u8(); size > 0; size = input.u8()) input.skip(size);
}

const TABLE = 1 << 12;

/** Where a frame's pixels stand on the screen. */
interface Rectangle {
  /** Of its first pixel. */
  readonly start: number;
  /** From one line of the screen to the next. */
  readonly stride: number;
  readonly width: number;
  /** Its rows in the order in which they come. */
  readonly rows: Uint32Array;
}

/** Fills the frame's rectangle; codes as in appendix F of the GIF89a specification. */
function decodeLzw(input: Bytes, out: Uint8Array, { start, stride, width, rows }: Rectangle): void {
  const bits = input.u8();
  if (bits > 12) throw new Error(`codes of ${bits} bits are more than 12`);
  const nextCode = codeReader(input);
  const clear = 1 << bits;
  const prefix = new Uint16Array(TABLE);
  const suffix = new Uint8Array(TABLE);
  const stack = new Uint8Array(TABLE + 1);
  let next = clear + 2;
  let size = bits + 1;
  let last = -1;
  let lastByte = 0;
  let x = 0;
  let y = 0;
  let o = start;
  for (;;) {
    const code = nextCode(size);
    if (code === clear) {
      next = clear + 2;
      size = bits + 1;
      last = -1;
      continue;
    }
    if (code === clear + 1) throw new Error("the file is truncated: the picture ends before its last pixel");
    if (code > (last < 0 ? clear : next)) throw new Error(`code ${code} is not defined`);
    // What a code stands for comes out last pixel first.
    let depth = 0;
    let c = code;
    if (last >= 0 && code === next) {
      stack[depth++] = lastByte;
      c = last;
    }
    while (c >= clear) {
      if (c >= TABLE || depth >= TABLE) throw new Error(`code ${code} is not defined`);
      stack[depth++] = suffix[c] ?? 0;
      c = prefix[c] ?? 0;
    }
    stack[depth++] = c;
    lastByte = c & 255;
    if (last >= 0 && next < TABLE) {
      suffix[next] = c;
      prefix[next] = last;
      if (next === (1 << size) - 1 && size < 12) size++;
      next++;
    }
    last = code;
    while (depth > 0) {
      out[o++] = stack[--depth] ?? 0;
      if (++x < width) continue;
      x = 0;
      if (++y === rows.length) return;
      o = start + (rows[y] ?? 0) * stride;
    }
  }
}

/** Takes codes of so many bits out of blocks of bytes, the lowest bits first. */
function codeReader(input: Bytes): (size: number) => number {
  let held = 0;
  let heldBits = 0;
  let blockLeft = 0;
  return (size) => {
    while (heldBits < size) {
      while (blockLeft === 0) {
        blockLeft = input.u8();
        input.need(blockLeft);
      }
      held |= input.u8() << heldBits;
      heldBits += 8;
      blockLeft--;
    }
    const code = held & ((1 << size) - 1);
    held >>>= size;
    heldBits -= size;
    return code;
  };
}

function rowOrder(height: number, interlaced: boolean): Uint32Array {
  if (!interlaced) return Uint32Array.from({ length: height }, (_, y) => y);
  const order = new Uint32Array(height);
  let i = 0;
  for (const [first, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ] as const)
    for (let y = first; y < height; y += step) order[i++] = y;
  return order;
}
