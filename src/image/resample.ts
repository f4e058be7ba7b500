/**
 * The 8-bit resampler of Pillow, bit for bit: antialiased (the filter widens with the reduction), separable,
 * coefficients in fixed point with 22 fractional bits, rounded and clipped to 8 bits between the two passes. Published CLIP weights were trained behind it; a floating-point resampler differs by up to 18 levels.
 */

import { type Coefficients, type Direction, fixedPoint, type Interpolation, reach, weightsOf } from "./coefficients.ts";
import { simdKernels } from "./kernels.ts";
import * as passes from "./passes.ts";
import type { Rectangle, Resampling, Samples } from "./samples.ts";
import * as simd from "./simd.ts";

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

/** `Image.resize(size, interpolation, box)` of Pillow for pictures of a size. */
export function resamplingOf(
  source: { readonly width: number; readonly height: number },
  { width, height, interpolation, ...parts }: ResampleOptions,
): Resampling {
  const box = parts.box ?? { left: 0, top: 0, width: source.width, height: source.height };
  const crop = parts.crop ?? { left: 0, top: 0, width, height };
  checkInside("box", box, source.width, source.height);
  checkInside("crop", crop, width, height);
  const plan = planOf(source, { width, height, box, crop });
  const vertical = plan.vertical && fixedPoint(weightsOf(plan.vertical, interpolation));
  const horizontal = plan.horizontal && fixedPoint(weightsOf(plan.horizontal, interpolation));
  const [top, rows] = vertical ? reach(vertical) : [crop.top, crop.height];
  const [left, columns] = horizontal ? reach(horizontal) : [crop.left, crop.width];
  return {
    ...(vertical ? { vertical } : {}),
    ...(horizontal ? { horizontal } : {}),
    verticalFirst: plan.verticalFirst,
    needed: { left, top, width: columns, height: rows },
    crop,
  };
}

/** `Image.resize(size, interpolation, box)` of Pillow on any mode with 8 bits a channel, cut to `crop`. */
export function resample(source: Samples, options: ResampleOptions): Samples {
  const { vertical, horizontal, verticalFirst, needed, crop } = resamplingOf(source, options);
  const { left, top, width: columns, height: rows } = needed;
  const { across, down } = passesFor(source.channels);
  if (!horizontal) return vertical ? down(source, 0, left, columns, vertical) : copyPart(source, needed);
  if (!vertical) return across(source, top, rows, 0, horizontal);
  return verticalFirst
    ? across(down(source, 0, left, columns, vertical), 0, crop.height, left, horizontal)
    : down(across(source, top, rows, 0, horizontal), top, 0, crop.width, vertical);
}

interface Passes {
  across(source: Samples, firstRow: number, rows: number, firstColumn: number, by: Coefficients): Samples;
  down(source: Samples, firstRow: number, left: number, width: number, by: Coefficients): Samples;
}

const script: Passes = { across: passes.horizontalPass, down: passes.verticalPass };

function passesFor(channels: number): Passes {
  const kernels = channels >= 3 ? simdKernels() : undefined;
  if (!kernels) return script;
  return {
    across: (...pass) => simd.horizontalPass(kernels, ...pass),
    down: (...pass) => simd.verticalPass(kernels, ...pass),
  };
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
