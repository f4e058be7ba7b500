/** Gray pictures of more than 8 bits: resampled as they are, in double precision, and cut off at 255 on the way to RGB. */
import { type Coefficients, type Interpolation, reach, weightsOf } from "./coefficients.ts";
import { planOf } from "./resample.ts";
import type { DeepGray, RgbImage } from "./rgb.ts";
import type { Rectangle } from "./samples.ts";

/** `[height, width]` in Pillow's modes I;16, I and F. */
interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: DeepGray;
}

/** `Image.resize(size, interpolation, box)` of Pillow for these modes, cut to `crop`. */
export function resampleDeep(
  source: Plane,
  {
    width,
    height,
    interpolation,
    box = { left: 0, top: 0, width: source.width, height: source.height },
    crop = { left: 0, top: 0, width, height },
  }: {
    readonly width: number;
    readonly height: number;
    readonly interpolation: Interpolation;
    readonly box?: Rectangle;
    readonly crop?: Rectangle;
  },
): Plane {
  const plan = planOf(source, { width, height, box, crop });
  const whole = { taps: 1, start: new Int32Array(0), count: new Int32Array(0), weights: new Float64Array(0) };
  const down = plan.vertical ? weightsOf(plan.vertical, interpolation) : copying(whole, crop.top, crop.height);
  const across = plan.horizontal ? weightsOf(plan.horizontal, interpolation) : copying(whole, crop.left, crop.width);
  if (plan.verticalFirst) {
    const [left, columns] = reach(across);
    const part = pass(source, down, copying(whole, left, columns), false);
    return pass(part, copying(whole, 0, crop.height), shifted(across, left), true);
  }
  const [top, rows] = reach(down);
  const part = pass(source, copying(whole, top, rows), across, true);
  return pass(part, shifted(down, top), copying(whole, 0, crop.width), false);
}

/** One source position for each output. */
function copying(like: Coefficients<Float64Array>, from: number, wanted: number): Coefficients<Float64Array> {
  const start = Int32Array.from({ length: wanted }, (_, i) => from + i);
  return { ...like, start, count: new Int32Array(wanted).fill(1), weights: new Float64Array(wanted).fill(1) };
}

function shifted(by: Coefficients<Float64Array>, first: number): Coefficients<Float64Array> {
  return { ...by, start: by.start.map((start) => start - first) };
}

/** Filters along rows if `isAcross`, else along columns, and picks the positions of the other direction. */
function pass(
  { width: stride, data }: Plane,
  down: Coefficients<Float64Array>,
  across: Coefficients<Float64Array>,
  isAcross: boolean,
): Plane {
  const [width, height] = [across.start.length, down.start.length];
  const out = emptyLike(data, width * height);
  const by = isAcross ? across : down;
  const step = isAcross ? 1 : stride;
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = isAcross ? x : y;
      let p = (down.start[y] ?? 0) * stride + (across.start[x] ?? 0);
      let sum = 0;
      for (let k = 0; k < (by.count[i] ?? 0); k++, p += step)
        sum += (data[p] ?? 0) * (by.weights[i * by.taps + k] ?? 0);
      out[o++] = out instanceof Float32Array ? sum : rounded(sum, out instanceof Uint16Array);
    }
  }
  return { width, height, data: out };
}

function emptyLike(data: DeepGray, length: number): DeepGray {
  if (data instanceof Float32Array) return new Float32Array(length);
  return data instanceof Uint16Array ? new Uint16Array(length) : new Int32Array(length);
}

/** Halves away from zero; 16 bits are clipped. */
function rounded(sum: number, is16: boolean): number {
  const whole = Math.sign(sum) * Math.floor(Math.abs(sum) + 0.5);
  return is16 ? Math.max(0, Math.min(65535, whole)) : whole;
}

/** Pillow's conversion does not scale: what is above 255 is white. */
export function deepToRgb({ width, height, data }: Plane): RgbImage {
  const out = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; o < out.length; i++) {
    const value = Math.max(0, Math.min(255, Math.trunc(data[i] ?? 0)));
    out[o++] = value;
    out[o++] = value;
    out[o++] = value;
  }
  return { width, height, data: out };
}
