/**
 * The 8-bit resampler of Pillow, bit for bit: antialiased (the filter widens with the reduction), separable,
 * coefficients in fixed point with 22 fractional bits, rounded and clipped to 8 bits between the two passes. Published CLIP weights were trained behind it; a floating-point resampler differs by up to 18 levels.
 */

export type Interpolation = "bicubic" | "bilinear";

/** Interleaved 8-bit samples, `[height, width, channels]`. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

export interface ResampleOptions {
  /** Size of the whole result in pixels. */
  readonly width: number;
  readonly height: number;
  readonly interpolation: Interpolation;
  /** The part of the source that becomes the result, in pixels, fractions allowed. @default the whole source */
  readonly box?: Rectangle;
  /** The part of the result that is wanted, in whole pixels; nothing else is computed. @default the whole result */
  readonly crop?: Rectangle;
}

export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const PRECISION_BITS = 32 - 8 - 2;
const HALF = 1 << (PRECISION_BITS - 1);

const filters: Record<Interpolation, { support: number; weight(x: number): number }> = {
  bilinear: {
    support: 1,
    weight(x) {
      x = Math.abs(x);
      return x < 1 ? 1 - x : 0;
    },
  },
  bicubic: {
    support: 2,
    weight(x) {
      const a = -0.5;
      x = Math.abs(x);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    },
  },
};

/** For each wanted output position: the first source position, how many, and their weights (`taps` apart). */
interface Coefficients {
  readonly taps: number;
  readonly start: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
}

function coefficients(
  sourceSize: number,
  boxStart: number,
  boxSize: number,
  outputSize: number,
  from: number,
  wanted: number,
  interpolation: Interpolation,
): Coefficients {
  const filter = filters[interpolation];
  const scale = boxSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const taps = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const weights = new Int32Array(wanted * taps);
  const exact = new Float64Array(taps);
  for (let i = 0; i < wanted; i++) {
    const center = boxStart + (from + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const n = Math.min(sourceSize, Math.trunc(center + support + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < n; k++) {
      const weight = filter.weight((k + first - center + 0.5) * (1 / filterScale));
      exact[k] = weight;
      sum += weight;
    }
    for (let k = 0; k < n; k++) {
      const weight = (sum === 0 ? (exact[k] ?? 0) : (exact[k] ?? 0) / sum) * (1 << PRECISION_BITS);
      weights[i * taps + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    start[i] = first;
    count[i] = n;
  }
  return { taps, start, count, weights };
}

function clip8(sum: number): number {
  return Math.max(0, Math.min(255, sum >> PRECISION_BITS));
}

/** `firstColumn` is the column that `source` starts with. */
function horizontalPass(
  source: Samples,
  firstRow: number,
  rows: number,
  firstColumn: number,
  by: Coefficients,
): Samples {
  const { channels, data } = source;
  const { taps, start, count, weights } = by;
  const width = start.length;
  const out = new Uint8Array(rows * width * channels);
  let o = 0;
  for (let y = 0; y < rows; y++) {
    const row = (firstRow + y) * source.width * channels;
    for (let x = 0; x < width; x++) {
      const first = row + ((start[x] ?? 0) - firstColumn) * channels;
      const w0 = x * taps;
      const n = count[x] ?? 0;
      if (channels === 3) {
        let r = HALF;
        let g = HALF;
        let b = HALF;
        for (let k = 0, p = first; k < n; k++, p += 3) {
          const w = weights[w0 + k] ?? 0;
          r = (r + Math.imul(data[p] ?? 0, w)) | 0;
          g = (g + Math.imul(data[p + 1] ?? 0, w)) | 0;
          b = (b + Math.imul(data[p + 2] ?? 0, w)) | 0;
        }
        out[o++] = clip8(r);
        out[o++] = clip8(g);
        out[o++] = clip8(b);
      } else {
        for (let c = 0; c < channels; c++) {
          let sum = HALF;
          for (let k = 0, p = first + c; k < n; k++, p += channels) {
            sum = (sum + Math.imul(data[p] ?? 0, weights[w0 + k] ?? 0)) | 0;
          }
          out[o++] = clip8(sum);
        }
      }
    }
  }
  return { width, height: rows, channels, data: out };
}

/** `firstRow` is the row that `source` starts with: an earlier pass leaves out what nobody needs. */
function verticalPass(source: Samples, firstRow: number, left: number, width: number, by: Coefficients): Samples {
  const { channels, data } = source;
  const { taps, start, count, weights } = by;
  const height = start.length;
  const stride = source.width * channels;
  const row = width * channels;
  const out = new Uint8Array(height * row);
  let o = 0;
  for (let y = 0; y < height; y++) {
    const top = ((start[y] ?? 0) - firstRow) * stride + left * channels;
    const w0 = y * taps;
    const n = count[y] ?? 0;
    for (let x = 0; x < row; x++) {
      let sum = HALF;
      for (let k = 0, p = top + x; k < n; k++, p += stride) {
        sum = (sum + Math.imul(data[p] ?? 0, weights[w0 + k] ?? 0)) | 0;
      }
      out[o++] = clip8(sum);
    }
  }
  return { width, height, channels, data: out };
}

function copyPart(source: Samples, part: Rectangle): Samples {
  const { channels } = source;
  const { left, top, width, height } = part;
  const data = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * source.width + left) * channels;
    data.set(source.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { width, height, channels, data };
}

/** `Image.resize(size, interpolation, box)` of Pillow on any mode with 8 bits a channel, cut to `crop`. */
export function resample(source: Samples, options: ResampleOptions): Samples {
  const { width, height, interpolation } = options;
  const box = options.box ?? { left: 0, top: 0, width: source.width, height: source.height };
  const crop = options.crop ?? { left: 0, top: 0, width, height };
  checkInside("box", box, source.width, source.height);
  checkInside("crop", crop, width, height);

  // A direction that keeps its size is copied, not filtered.
  const sameRows = height === source.height && box.top === 0 && box.height === source.height;
  const sameColumns = width === source.width && box.left === 0 && box.width === source.width;

  const vertical = sameRows
    ? undefined
    : coefficients(source.height, box.top, box.height, height, crop.top, crop.height, interpolation);
  const horizontal = sameColumns
    ? undefined
    : coefficients(source.width, box.left, box.width, width, crop.left, crop.width, interpolation);
  const [top, rows] = vertical ? reach(vertical) : [crop.top, crop.height];
  const [left, columns] = horizontal ? reach(horizontal) : [crop.left, crop.width];

  if (!horizontal) {
    return vertical
      ? verticalPass(source, 0, left, columns, vertical)
      : copyPart(source, { left, top, width: columns, height: rows });
  }
  if (!vertical) return horizontalPass(source, top, rows, 0, horizontal);
  // Pillow's rule since 13.0 (horizontal first always before that): the rounding between the passes makes it visible.
  const verticalFirst = height < box.height && box.height - height > 2 * (box.width - width);
  if (verticalFirst) {
    return horizontalPass(verticalPass(source, 0, left, columns, vertical), 0, crop.height, left, horizontal);
  }
  return verticalPass(horizontalPass(source, top, rows, 0, horizontal), top, 0, crop.width, vertical);
}

/** The first source position that any wanted output needs, and how many from there. */
function reach(by: Coefficients): [first: number, length: number] {
  const last = by.start.length - 1;
  const first = by.start[0] ?? 0;
  return [first, (by.start[last] ?? 0) + (by.count[last] ?? 0) - first];
}

/** Pillow's nearest neighbour, cut to `crop`. */
export function resampleNearest(source: Samples, width: number, height: number, crop: Rectangle): Samples {
  checkInside("crop", crop, width, height);
  const { channels, data } = source;
  const columns = nearestPositions(source.width, width, crop.left, crop.width);
  const rows = nearestPositions(source.height, height, crop.top, crop.height);
  const out = new Uint8Array(crop.height * crop.width * channels);
  let o = 0;
  for (const y of rows) {
    for (const x of columns) {
      const p = (y * source.width + x) * channels;
      for (let c = 0; c < channels; c++) out[o++] = data[p + c] ?? 0;
    }
  }
  return { width: crop.width, height: crop.height, channels, data: out };
}

function nearestPositions(sourceSize: number, outputSize: number, from: number, wanted: number): Int32Array {
  const step = sourceSize / outputSize;
  const positions = new Int32Array(wanted);
  // Pillow adds step by step; multiplying instead would round differently at some exact halves.
  let position = step * 0.5;
  for (let i = 0; i < from + wanted; i++, position += step) {
    if (i >= from) positions[i - from] = Math.min(sourceSize - 1, Math.trunc(position));
  }
  return positions;
}

function checkInside(what: string, part: Rectangle, width: number, height: number): void {
  const { left, top } = part;
  const right = left + part.width;
  const bottom = top + part.height;
  // A box computed in floating point may stick out by a rounding error.
  const slack = 1e-6;
  if (part.width > 0 && part.height > 0 && left >= 0 && top >= 0 && right <= width + slack && bottom <= height + slack)
    return;
  throw new Error(
    `resample: ${what} must lie inside ${width} x ${height}, got left ${left}, top ${top}, width ${part.width}, height ${part.height}`,
  );
}
