import { checkInside } from "./resample.ts";
import type { Rectangle, Samples } from "./samples.ts";

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
