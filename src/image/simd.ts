/** Both passes of the resampler by the kernels: what `passes.ts` computes, bit for bit. */
import { type Coefficients, reach } from "./coefficients.ts";
import { type Kernels, Space } from "./kernels.ts";
import type { Resampling, Samples } from "./samples.ts";

/** What a weight is split at; see `assembly/resample.ts`. */
const SPLIT = 11;
const LOW = (1 << SPLIT) - 1;

/** As many source bytes are copied in at a time: a large picture needs little memory here. */
const BAND = 1 << 22;

/** Behind the last row, zero weights meet whatever is there. */
const SLACK = 64;

/** A part of a picture in the kernels' memory: its first pixel is column `left` of row `top`. */
export interface Placed {
  readonly address: number;
  /** Bytes from a row to the next. */
  readonly stride: number;
  readonly channels: number;
  readonly left: number;
  readonly top: number;
}

interface PlacedWeights {
  readonly starts: number;
  readonly weights: number;
  readonly pairs: number;
}

/** So many rows go across at a time; those beyond the picture are computed from whatever is there. */
const ROWS = 16;

const inBands = (rows: number): number => Math.ceil(rows / ROWS) * ROWS;

/** To the width of `by`, `rows` rows from the first on. */
function acrossPlaced(space: Space, from: Placed, rows: number, by: Coefficients): Placed {
  const { channels, top } = from;
  const width = by.start.length;
  const [left, columns] = reach(by);
  const { starts, weights, pairs } = placeWeights(space, by, left);
  // More is written behind each row.
  const stride = width * channels + 16;
  const address = space.take(inBands(rows) * stride);
  const scratch = space.take((columns + 2 * pairs + width + 8) * ROWS * 4);
  space.take(ROWS * from.stride + SLACK);
  const source = from.address + (left - from.left) * channels;
  const pass = [source, from.stride, inBands(rows), columns, channels, address, stride, width] as const;
  space.kernels.across(...pass, starts, weights, pairs, scratch);
  return { address, stride, channels, left: 0, top };
}

/** To the height of `by`, `columns` columns from the first on. */
function downPlaced(space: Space, from: Placed, columns: number, by: Coefficients): Placed {
  const { channels, left, top } = from;
  const row = columns * channels;
  const weights = placeWeights(space, by, top);
  const address = space.take(by.start.length * row + SLACK);
  space.take(2 * weights.pairs * from.stride + SLACK);
  const { starts, pairs } = weights;
  space.kernels.down(from.address, from.stride, row, address, by.start.length, starts, weights.weights, pairs);
  return { address, stride: row, channels, left, top: 0 };
}

/** What `resample` of `resample.ts` makes of a part that has all that is needed. */
export function resamplePlaced(
  space: Space,
  from: Placed,
  { vertical, horizontal, verticalFirst, needed, crop }: Resampling,
): Samples {
  const part = { ...from, address: from.address + (needed.top - from.top) * from.stride, top: needed.top };
  const inside = { ...part, address: part.address + (needed.left - from.left) * from.channels, left: needed.left };
  let result: Placed = inside;
  if (horizontal && vertical && verticalFirst)
    result = acrossPlaced(space, downPlaced(space, inside, needed.width, vertical), crop.height, horizontal);
  else {
    if (horizontal) result = acrossPlaced(space, inside, needed.height, horizontal);
    if (vertical) result = downPlaced(space, result, crop.width, vertical);
  }
  const { width, height } = crop;
  const data = new Uint8Array(height * width * from.channels);
  copyRows(space, result, width, data);
  return { width, height, channels: from.channels, data };
}

/** As many rows as `out` has room for. */
function copyRows({ kernels }: Space, { address, stride, channels }: Placed, width: number, out: Uint8Array): void {
  const row = width * channels;
  const memory = new Uint8Array(kernels.memory.buffer);
  if (stride === row) out.set(memory.subarray(address, address + out.length));
  else for (let at = address, o = 0; o < out.length; at += stride, o += row) out.set(memory.subarray(at, at + row), o);
}

/** `firstColumn` is the column that `source` starts with. */
export function horizontalPass(
  kernels: Kernels,
  source: Samples,
  firstRow: number,
  rows: number,
  firstColumn: number,
  by: Coefficients,
): Samples {
  const { channels, data } = source;
  const width = by.start.length;
  const stride = source.width * channels;
  const bandRows = inBands(Math.max(1, Math.floor(BAND / stride)));
  const out = new Uint8Array(rows * width * channels);
  for (let y = 0; y < rows; y += bandRows) {
    const n = Math.min(bandRows, rows - y);
    const space = new Space(kernels);
    const address = space.take(n * stride);
    const from = (firstRow + y) * stride;
    new Uint8Array(kernels.memory.buffer, address).set(data.subarray(from, from + n * stride));
    const placed = { address, stride, channels, left: firstColumn, top: firstRow + y };
    const part = out.subarray(y * width * channels, (y + n) * width * channels);
    copyRows(space, acrossPlaced(space, placed, n, by), width, part);
  }
  return { width, height: rows, channels, data: out };
}

/** `firstRow` is the row that `source` starts with; the part from `left` on is resampled. */
export function verticalPass(
  kernels: Kernels,
  source: Samples,
  firstRow: number,
  left: number,
  width: number,
  by: Coefficients,
): Samples {
  const { channels, data } = source;
  const height = by.start.length;
  const row = width * channels;
  const rows = source.height;
  const bandBytes = Math.min(row, Math.max(16, Math.floor(BAND / rows)));
  const space = new Space(kernels);
  const { starts, weights, pairs } = placeWeights(space, by, firstRow);
  const input = space.take((rows + 2 * pairs) * bandBytes + SLACK);
  const output = space.take(height * bandBytes + SLACK);
  const { buffer } = kernels.memory;
  const out = new Uint8Array(height * row);
  const isWhole = bandBytes === row && row === source.width * channels;
  for (let x = 0; x < row; x += bandBytes) {
    const n = Math.min(bandBytes, row - x);
    const target = new Uint8Array(buffer, input);
    if (isWhole) target.set(data.subarray(0, rows * n));
    else
      for (let y = 0; y < rows; y++) {
        const from = (y * source.width + left) * channels + x;
        target.set(data.subarray(from, from + n), y * n);
      }
    kernels.down(input, n, n, output, height, starts, weights, pairs);
    if (n === row) out.set(new Uint8Array(buffer, output, out.length));
    else for (let y = 0; y < height; y++) out.set(new Uint8Array(buffer, output + y * n, n), y * row + x);
  }
  return { width, height, channels, data: out };
}

/** For each output and each two neighbouring taps: their low halves in one word, their high halves in the next. */
function placeWeights(space: Space, { taps, start, count, weights }: Coefficients, first: number): PlacedWeights {
  const pairs = (count.reduce((most, n) => Math.max(most, n), 0) + 1) >> 1;
  const placed = {
    pairs,
    starts: space.take(start.length * 4),
    weights: space.take(start.length * pairs * 8),
  };
  const { buffer } = space.kernels.memory;
  const starts = new Int32Array(buffer, placed.starts, start.length);
  const words = new Int32Array(buffer, placed.weights, start.length * pairs * 2).fill(0);
  for (let i = 0; i < start.length; i++) {
    starts[i] = (start[i] ?? 0) - first;
    const n = count[i] ?? 0;
    for (let k = 0, o = i * pairs * 2; k < n; k += 2) {
      const one = weights[i * taps + k] ?? 0;
      const two = k + 1 < n ? (weights[i * taps + k + 1] ?? 0) : 0;
      words[o++] = (one & LOW) | ((two & LOW) << 16);
      words[o++] = ((one >> SPLIT) & 0xffff) | ((two >> SPLIT) << 16);
    }
  }
  return placed;
}
