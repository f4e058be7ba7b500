/** Filters that the corruptions are made of, with the borders that the published code has. */
import { type Border, bilinear, inside, type Planes, planes } from "./planes.ts";

/** One output's weights of the inputs from `first` on. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** A normalised Gaussian, cut off, its part beyond the border folded back: any deviation costs at most `size` taps. */
function gaussianTaps(size: number, deviation: number, truncate: number, border: Border): Taps[] {
  const radius = Math.floor(truncate * deviation + 0.5);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / deviation) ** 2),
  );
  const total = kernel.reduce((sum, x) => sum + x, 0);
  return Array.from({ length: size }, (_, i) => {
    const first = Math.max(0, i - radius);
    const weights = new Float64Array(Math.min(size - 1, i + radius) - first + 1);
    for (const [k, weight] of kernel.entries()) {
      const at = inside(i + k - radius, size, border) - first;
      weights[at] = (weights[at] ?? 0) + weight / total;
    }
    return { first, weights };
  });
}

/** scipy's `gaussian_filter` over rows and columns. @param deviation pixels; 0 leaves the picture as it is */
export function gaussianBlur(image: Planes, deviation: number, truncate: number, border: Border): Planes {
  if (deviation === 0) return image;
  const { width, height, channels } = image;
  const down = alongRows(image.data, gaussianTaps(height, deviation, truncate, border), 1, width * channels);
  const across = alongRows(down, gaussianTaps(width, deviation, truncate, border), height, channels);
  return { ...image, data: across };
}

/** Sums over the middle axis of [outer, taps.length, inner]. */
function alongRows(data: Float64Array, taps: readonly Taps[], outer: number, inner: number): Float64Array {
  const out = new Float64Array(data.length);
  const stride = taps.length * inner;
  for (let o = 0; o < outer; o++)
    for (const [i, { first, weights }] of taps.entries()) {
      const to = o * stride + i * inner;
      for (let k = 0; k < weights.length; k++) {
        const weight = weights[k] ?? 0;
        const from = o * stride + (first + k) * inner;
        for (let c = 0; c < inner; c++) out[to + c] = (out[to + c] ?? 0) + weight * (data[from + c] ?? 0);
      }
    }
  return out;
}

/** Correlation with a square kernel of odd side (OpenCV's `filter2D`, border 101). */
export function correlate(image: Planes, kernel: Planes): Planes {
  const { width, height, channels, data } = image;
  const out = planes(width, height, channels);
  const middle = kernel.width >> 1;
  const columns = Int32Array.from({ length: width + 2 * middle }, (_, x) => inside(x - middle, width, "reflect101"));
  for (const [at, weight] of kernel.data.entries()) {
    if (weight === 0) continue;
    const dy = Math.floor(at / kernel.width) - middle;
    const dx = at % kernel.width;
    for (let y = 0; y < height; y++) {
      const row = inside(y + dy, height, "reflect101") * width;
      for (let x = 0; x < width; x++) {
        const from = (row + (columns[x + dx] ?? 0)) * channels;
        const to = (y * width + x) * channels;
        for (let c = 0; c < channels; c++) out.data[to + c] = (out.data[to + c] ?? 0) + weight * (data[from + c] ?? 0);
      }
    }
  }
  return out;
}

/** What a point becomes out of focus: a disk whose edge is smoothed by a small Gaussian; it sums to 1. */
export function diskKernel(radius: number, alias: number): Planes {
  const reach = radius <= 8 ? 8 : Math.ceil(radius);
  const side = 2 * reach + 1;
  const disk = planes(side, side, 1);
  for (let i = 0; i < disk.data.length; i++) {
    const x = (i % side) - reach;
    const y = Math.floor(i / side) - reach;
    disk.data[i] = x * x + y * y <= radius * radius ? 1 : 0;
  }
  const total = disk.data.reduce((sum, x) => sum + x, 0);
  // OpenCV's kernel of 3 or 5 taps is a Gaussian at whole numbers.
  const taps = radius <= 8 ? 1 : 2;
  const smooth = gaussianBlur(disk, alias, (taps + 0.25) / alias, "reflect101");
  return { ...smooth, data: smooth.data.map((x) => x / total) };
}

/**
 * A streak behind every point, as ImageMagick's MotionBlurImage makes it: half a Gaussian along a line.
 * @param angle degrees, clockwise from the right
 */
export function motionBlur(image: Planes, radius: number, deviation: number, angle: number): Planes {
  const { width, height, channels, data } = image;
  const count = 2 * Math.ceil(radius) + 1;
  const weights = Float64Array.from({ length: count }, (_, i) => Math.exp((-i * i) / (2 * deviation * deviation)));
  const total = weights.reduce((sum, x) => sum + x, 0);
  const radians = (angle * Math.PI) / 180;
  const out = planes(width, height, channels);
  for (const [i, weight] of weights.entries()) {
    const dx = Math.ceil(i * Math.cos(radians) - 0.5);
    const dy = Math.ceil(i * Math.sin(radians) - 0.5);
    for (let y = 0; y < height; y++) {
      const row = inside(y + dy, height, "nearest") * width;
      for (let x = 0; x < width; x++) {
        const from = (row + inside(x + dx, width, "nearest")) * channels;
        const to = (y * width + x) * channels;
        for (let c = 0; c < channels; c++)
          out.data[to + c] = (out.data[to + c] ?? 0) + (weight / total) * (data[from + c] ?? 0);
      }
    }
  }
  return out;
}

/** The middle of a picture, enlarged to its size: scipy's linear `zoom` of the part that fills it, what is too much cut off. */
export function zoomed(image: Planes, factor: number): Planes {
  const { width, height, channels } = image;
  const across = zoomPositions(width, factor);
  const down = zoomPositions(height, factor);
  const out = planes(width, height, channels);
  for (let y = 0, o = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++, o++) out.data[o] = bilinear(image, across[x] ?? 0, down[y] ?? 0, c, "nearest");
  return out;
}

/** Where in the source the wanted pixels of one direction are; the corners of the part and of the enlarged part coincide. */
function zoomPositions(size: number, factor: number): Float64Array {
  const part = Math.ceil(size / factor);
  const start = (size - part) >> 1;
  const enlarged = Math.round(part * factor);
  const trim = Math.max(0, enlarged - size) >> 1;
  const step = enlarged > 1 ? (part - 1) / (enlarged - 1) : 0;
  return Float64Array.from({ length: size }, (_, i) => start + Math.min(part - 1, (trim + i) * step));
}
