/**
 * The 8-bit resampler of Pillow, bit for bit: antialiased (the filter widens with the reduction), separable,
 * coefficients in fixed point with 22 fractional bits, rounded and clipped to 8 bits between the two passes. Published CLIP weights were trained behind it; a floating-point resampler differs by up to 18 levels.
 */

import {
  type Coefficients,
  type Direction,
  fixedPoint,
  type Interpolation,
  PRECISION_BITS,
  reach,
  weightsOf,
} from "./coefficients.ts";

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

const HALF = 1 << (PRECISION_BITS - 1);

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

  const plan = planOf(source, { width, height, box, crop });
  const vertical = plan.vertical && fixedPoint(weightsOf(plan.vertical, interpolation));
  const horizontal = plan.horizontal && fixedPoint(weightsOf(plan.horizontal, interpolation));
  const [top, rows] = vertical ? reach(vertical) : [crop.top, crop.height];
  const [left, columns] = horizontal ? reach(horizontal) : [crop.left, crop.width];

  if (!horizontal) {
    return vertical
      ? verticalPass(source, 0, left, columns, vertical)
      : copyPart(source, { left, top, width: columns, height: rows });
  }
  if (!vertical) return horizontalPass(source, top, rows, 0, horizontal);
  if (plan.verticalFirst) {
    return horizontalPass(verticalPass(source, 0, left, columns, vertical), 0, crop.height, left, horizontal);
  }
  return verticalPass(horizontalPass(source, top, rows, 0, horizontal), top, 0, crop.width, vertical);
}

/** What Pillow's two passes are and which comes first; a direction that keeps its size is copied, not filtered. */
export function planOf(
  source: { readonly width: number; readonly height: number },
  { width, height, box, crop }: { width: number; height: number; box: Rectangle; crop: Rectangle },
): { readonly vertical?: Direction; readonly horizontal?: Direction; readonly verticalFirst: boolean } {
  const sameRows = height === source.height && box.top === 0 && box.height === source.height;
  const sameColumns = width === source.width && box.left === 0 && box.width === source.width;
  const vertical = {
    ...{ sourceSize: source.height, boxStart: box.top, boxSize: box.height },
    ...{ outputSize: height, from: crop.top, wanted: crop.height },
  };
  const horizontal = {
    ...{ sourceSize: source.width, boxStart: box.left, boxSize: box.width },
    ...{ outputSize: width, from: crop.left, wanted: crop.width },
  };
  return {
    ...(sameRows ? {} : { vertical }),
    ...(sameColumns ? {} : { horizontal }),
    // Pillow's rule since 13.0 (horizontal first always before that): the rounding between the passes makes it visible.
    verticalFirst: height < box.height && box.height - height > 2 * (box.width - width),
  };
}

export function checkInside(what: string, part: Rectangle, width: number, height: number): void {
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
