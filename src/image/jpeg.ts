/**
 * Baseline JPEGs of photographs (8 bits, YCbCr, chroma full, halved across or in both directions) by the kernels, with the
 * pixels of libjpeg-turbo, which Pillow decodes by. Own code, because going through a library's threads costs more than the
 * decoding itself; whatever is rarer is left to the library.
 */
import { type Kernels, Space } from "./kernels.ts";
import type { RgbImage } from "./rgb.ts";
import type { Rectangle } from "./samples.ts";
import type { Placed } from "./simd.ts";

interface Component {
  readonly id: number;
  readonly h: number;
  readonly v: number;
  readonly quant: number;
}

interface Huffman {
  /** How many codes there are of each length from 1 to 16. */
  readonly counts: Uint8Array;
  readonly symbols: Uint8Array;
}

/** All that precedes the pixels. */
export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  readonly components: readonly Component[];
  readonly quants: ReadonlyMap<number, Uint16Array>;
  /** By number, those of the alternating coefficients from 16 on. */
  readonly tables: ReadonlyMap<number, Huffman>;
  readonly interval: number;
  /** For each component its two tables. */
  readonly scan: readonly { readonly dc: number; readonly ac: number }[];
  /** Where the entropy-coded data begins. */
  readonly start: number;
}

const ZIGZAG = zigzagOrder();

/** The header of a JPEG that the kernels decode; undefined for every other file, whatever is the matter with it. */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return;
  const quants = new Map<number, Uint16Array>();
  const tables = new Map<number, Huffman>();
  let frame: Pick<JpegHeader, "width" | "height" | "components"> | undefined;
  let interval = 0;
  let isYcc = true;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const length = word(bytes, at + 2);
    const body = bytes.subarray(at + 4, at + 2 + length);
    if (length < 2 || body.length !== length - 2) return;
    at += 2 + length;
    if (marker === 0xdb) {
      if (!readQuants(body, quants)) return;
    } else if (marker === 0xc4) {
      if (!readTables(body, tables)) return;
    } else if (marker === 0xc0 || marker === 0xc1) {
      if (frame) return;
      frame = readFrame(body);
      if (!frame) return;
    } else if (marker === 0xdd) interval = word(body, 0);
    else if (marker === 0xee) isYcc = isYcc && isYccByAdobe(body);
    else if (marker === 0xda) {
      const scan = frame && isYcc ? readScan(body, frame.components) : undefined;
      if (!frame || !scan) return;
      const isComplete = frame.components.every(({ quant }) => quants.has(quant));
      const isDefined = scan.every(({ dc, ac }) => tables.has(dc) && tables.has(ac));
      return isComplete && isDefined ? { ...frame, quants, tables, interval, scan, start: at } : undefined;
    } else if (marker < 0xe0 && marker !== 0xfe) return;
  }
  return;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function readQuants(body: Uint8Array, quants: Map<number, Uint16Array>): boolean {
  for (let at = 0; at < body.length; ) {
    const kind = body[at++] ?? 0;
    const isWide = kind >> 4 === 1;
    if (kind >> 4 > 1 || at + (isWide ? 128 : 64) > body.length) return false;
    const table = new Uint16Array(64);
    for (let k = 0; k < 64; k++, at += isWide ? 2 : 1)
      table[ZIGZAG[k] ?? 0] = isWide ? word(body, at) : (body[at] ?? 0);
    quants.set(kind & 15, table);
  }
  return true;
}

function readTables(body: Uint8Array, tables: Map<number, Huffman>): boolean {
  for (let at = 0; at < body.length; ) {
    const kind = body[at++] ?? 0;
    const counts = body.subarray(at, at + 16);
    const total = counts.reduce((sum, n) => sum + n, 0);
    const symbols = body.subarray(at + 16, at + 16 + total);
    at += 16 + total;
    if (counts.length < 16 || symbols.length < total || total > 256) return false;
    // First coefficients have no run.
    if (kind < 16 && symbols.some((symbol) => symbol > 15)) return false;
    // More codes of a length than the shorter ones leave.
    let left = 1;
    for (const n of counts) {
      left = 2 * left - n;
      if (left < 0) return false;
    }
    tables.set(kind, { counts, symbols });
  }
  return true;
}

function readFrame(body: Uint8Array): Pick<JpegHeader, "width" | "height" | "components"> | undefined {
  const [height, width, count] = [word(body, 1), word(body, 3), body[5] ?? 0];
  if (body[0] !== 8 || width === 0 || height === 0 || count !== 3 || body.length !== 6 + 3 * count) return;
  const components = Array.from({ length: count }, (_, i) => {
    const [id = 0, factors = 0, quant = 0] = body.subarray(6 + 3 * i, 9 + 3 * i);
    return { id, h: factors >> 4, v: factors & 15, quant };
  });
  const [luma, ...chroma] = components;
  const isCommon = luma && ["1 1", "2 1", "2 2"].includes(`${luma.h} ${luma.v}`);
  if (!isCommon || chroma.some(({ h, v }) => h !== 1 || v !== 1)) return;
  // "RGB" for the components' names means that they are these.
  if (components.map(({ id }) => String.fromCharCode(id)).join("") === "RGB") return;
  // libjpeg-turbo does not filter chroma this narrow.
  return luma.h === 2 && width <= 4 ? undefined : { width, height, components };
}

function isYccByAdobe(body: Uint8Array): boolean {
  const isAdobe = body.length >= 12 && String.fromCharCode(...body.subarray(0, 5)) === "Adobe";
  return !isAdobe || body[11] === 1;
}

function readScan(body: Uint8Array, components: readonly Component[]): JpegHeader["scan"] | undefined {
  const count = body[0] ?? 0;
  const isBaseline = word(body, 1 + 2 * count) === 63 && body[3 + 2 * count] === 0;
  if (count !== components.length || body.length !== 4 + 2 * count || !isBaseline) return;
  if (components.some(({ id }, i) => id !== body[1 + 2 * i])) return;
  return components.map((_, i) => {
    const both = body[2 + 2 * i] ?? 0;
    return { dc: both >> 4, ac: 16 | (both & 15) };
  });
}

/** Natural index of each coefficient in the order of the file. */
function zigzagOrder(): Uint8Array {
  const order = new Uint8Array(64);
  let [x, y] = [0, 0];
  for (let k = 0; k < 64; k++) {
    order[k] = y * 8 + x;
    const isUp = (x + y) % 2 === 0;
    if (isUp && x === 7) y++;
    else if (isUp && y === 0) x++;
    else if (!isUp && y === 7) x++;
    else if (!isUp && x === 0) y++;
    else [x, y] = isUp ? [x + 1, y - 1] : [x - 1, y + 1];
  }
  return order;
}

const LOOK = 10;
/** Entries by the next ten bits, limit and offset of each longer length, entries by the order of the codes. */
const TABLE_BYTES = (4 << LOOK) + 17 * 8 + 256 * 4;

const VALUE_FOLLOWS = 0x40;
const END_OF_BLOCK = 0x80;
const LONGER = 0xc0;

/**
 * What `decodeBlock` of `assembly/jpeg.ts` looks codes up in. Where ten bits hold a code and its value, an entry is
 * length | value << 8 | steps << 24: the length of both, the value in 16 bits, how many places on it goes. Else it is
 * length | VALUE_FOLLOWS | size << 8 | steps << 24, or length | END_OF_BLOCK, or LONGER.
 */
function writeTable(memory: ArrayBuffer, at: number, { counts, symbols }: Huffman, isAc: boolean): void {
  const entries = new Int32Array(memory, at, 1 << LOOK).fill(LONGER);
  const rest = new Int32Array(memory, at + (4 << LOOK), 17 * 2);
  const inOrder = new Int32Array(memory, at + (4 << LOOK) + 17 * 8, 256).fill(0);
  let code = 0;
  let i = 0;
  for (let length = 1; length <= 16; length++) {
    const n = counts[length - 1] ?? 0;
    rest[2 * length] = n > 0 ? code + n - 1 : -1;
    rest[2 * length + 1] = i - code;
    for (let k = 0; k < n; k++, code++, i++) {
      const symbol = symbols[i] ?? 0;
      const entry = entryOf(symbol, length, isAc);
      inOrder[i] = entry;
      if (length > LOOK) continue;
      const first = code << (LOOK - length);
      for (let low = 0; low < 1 << (LOOK - length); low++) entries[first + low] = withValue(entry, low);
    }
    code <<= 1;
  }
}

function entryOf(symbol: number, length: number, isAc: boolean): number {
  const [run, size] = [symbol >> 4, symbol & 15];
  // Sixteen zeros are fifteen and a value of zero.
  if (isAc && size === 0 && run < 15) return length | END_OF_BLOCK;
  return length | (size > 0 ? VALUE_FOLLOWS : 0) | (size << 8) | ((run + 1) << 24);
}

/** The same with the value where it fits: `low` is what follows the code. */
function withValue(entry: number, low: number): number {
  const [length, size] = [entry & 63, (entry >> 8) & 15];
  if (!(entry & VALUE_FOLLOWS) || length + size > LOOK) return entry;
  const bits = low >> (LOOK - length - size);
  const value = bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;
  return (length + size) | ((value & 0xffff) << 8) | (entry & ~0xffffff);
}

/** Undefined on damaged data. */
export function decodeJpeg(kernels: Kernels, bytes: Uint8Array, header: JpegHeader): RgbImage | undefined {
  const { width, height } = header;
  const whole = decodePart(new Space(kernels), bytes, header, { left: 0, top: 0, width, height });
  if (!whole) return;
  return { width, height, data: new Uint8Array(kernels.memory.buffer, whole.address, width * height * 3).slice() };
}

/** At least that part, in the kernels' memory; undefined on damaged data, wherever in the picture it is. */
export function decodePart(space: Space, bytes: Uint8Array, header: JpegHeader, part: Rectangle): Placed | undefined {
  const { kernels } = space;
  const { width, height, components, interval, start } = header;
  const [luma] = components;
  if (!luma) return;
  const unit = { width: 8 * luma.h, height: 8 * luma.v };
  const across = Math.ceil(width / unit.width);
  const down = Math.ceil(height / unit.height);
  const restarts = interval > 0 ? Math.ceil((across * down) / interval) : 1;
  const input = bytes.subarray(start);
  const source = space.take(input.length + 16);
  // Below the end: damaged data makes a unit of blocks read on, up to 31 bits for each of 6 * 64 coefficients.
  const data = space.take(2048 + input.length) + 2048 + input.length;
  const segments = space.take(4 * (restarts + 1));
  new Uint8Array(kernels.memory.buffer, source).set(input);
  const count = kernels.unstuff(source, input.length, data, segments, restarts);
  if (count !== restarts) return;

  const strides = components.map(({ h }) => across * h * 8);
  const planes = components.map(({ v }, i) => space.take((strides[i] ?? 0) * down * v * 8 + 32));
  const described = describe(space, header, planes, strides);
  const order = space.take(80);
  const scratch = space.take(256);
  new Uint8Array(kernels.memory.buffer, order, 80).fill(0).set(ZIGZAG.map((natural) => 2 * natural));
  new Uint8Array(kernels.memory.buffer, scratch, 256).fill(0);
  // Chroma is filtered over its neighbours: two pixels more on each side than the part itself needs.
  const first = Math.max(0, part.left - (part.left % 2) - 2);
  const columns = Math.min(width, part.left + part.width + 2) - first;
  const left = Math.floor(first / unit.width);
  const right = Math.ceil((first + columns) / unit.width);
  const top = Math.floor(Math.max(0, part.top - 2) / unit.height);
  const bottom = Math.ceil(Math.min(height, part.top + part.height + 2) / unit.height);
  const scan = [described, 3, across, down, interval, segments, count, order, scratch] as const;
  if (kernels.decodeScan(...scan, left, right, top, bottom) !== 0) return;

  const out = space.take(part.height * columns * 3 + 64);
  const rows = space.take(4 * (columns + 64));
  const [y = 0, cb = 0, cr = 0] = planes;
  const [lumaStride = 0, chromaStride = 0] = strides;
  const shift = first / luma.h;
  const chroma = [chromaStride, Math.ceil(columns / luma.h), Math.ceil(height / luma.v), luma.h, luma.v] as const;
  const last = part.top + part.height;
  kernels.toRgb(y + first, lumaStride, cb + shift, cr + shift, ...chroma, columns, part.top, last, out, rows);
  return { address: out, stride: columns * 3, channels: 3, left: first, top: part.top };
}

/** Seven words for each component, its tables behind them. */
function describe(space: Space, header: JpegHeader, planes: readonly number[], strides: readonly number[]): number {
  const { components, quants, tables, scan } = header;
  const used = [...new Set(scan.flatMap(({ dc, ac }) => [dc, ac]))];
  const described = space.take(28 * components.length);
  const quantTables = space.take(128 * components.length);
  const codes = space.take(TABLE_BYTES * used.length);
  const { buffer } = space.kernels.memory;
  for (const [i, id] of used.entries()) {
    const table = tables.get(id);
    if (table) writeTable(buffer, codes + i * TABLE_BYTES, table, id >= 16);
  }
  const words = components.flatMap(({ h, v, quant }, i) => {
    const at = quantTables + 128 * i;
    new Uint16Array(buffer, at, 64).set(quants.get(quant) ?? []);
    const { dc = 0, ac = 0 } = scan[i] ?? {};
    const address = (id: number): number => codes + used.indexOf(id) * TABLE_BYTES;
    return [h, v, at, address(dc), address(ac), planes[i] ?? 0, strides[i] ?? 0];
  });
  new Int32Array(buffer, described, words.length).set(words);
  return described;
}
