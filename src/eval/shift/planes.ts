/** Pictures as numbers, which is what the corruptions compute with. */
import type { RgbImage } from "../../image/index.ts";

/** `[height, width, channels]`, row by row from the top left; colours are 0 to 1, but sums may leave that. */
export interface Planes {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float64Array;
}

export function planes(width: number, height: number, channels: number): Planes {
  return { width, height, channels, data: new Float64Array(width * height * channels) };
}

export function fromImage({ width, height, data }: RgbImage): Planes {
  return { width, height, channels: 3, data: Float64Array.from(data, (x) => x / 255) };
}

/** Clipped to 0 .. 1; levels are cut off, not rounded, as numpy's conversion to bytes does in the published code. */
export function toImage({ width, height, data }: Planes): RgbImage {
  const out = new Uint8Array(data.length);
  // A level that went through divisions and came back a rounding error short is that level.
  for (let i = 0; i < out.length; i++) out[i] = Math.floor(255 * Math.min(1, Math.max(0, data[i] ?? 0)) + 1e-9);
  return { width, height, data: out };
}

export const mapped = (image: Planes, change: (value: number, index: number) => number): Planes => ({
  ...image,
  data: image.data.map(change),
});

/** A position beyond the border is that of its mirror image: "reflect" is `dcba|abcd|dcba`, "reflect101" `dcb|abcd|cba`. */
export type Border = "nearest" | "reflect" | "reflect101";

export function inside(position: number, size: number, border: Border): number {
  if (position >= 0 && position < size) return position;
  if (border === "nearest" || size === 1) return position < 0 ? 0 : size - 1;
  const period = border === "reflect" ? 2 * size : 2 * size - 2;
  const folded = ((position % period) + period) % period;
  return folded < size ? folded : border === "reflect" ? period - 1 - folded : period - folded;
}

/** Between the four pixels around a place whose coordinates need not be whole. */
export function bilinear({ width, height, channels, data }: Planes, x: number, y: number, c: number, border: Border) {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const across = x - left;
  const down = y - top;
  const x0 = inside(left, width, border);
  const x1 = inside(left + 1, width, border);
  const row0 = inside(top, height, border) * width;
  const row1 = inside(top + 1, height, border) * width;
  const at = (pixel: number): number => data[pixel * channels + c] ?? 0;
  return (
    (1 - down) * ((1 - across) * at(row0 + x0) + across * at(row0 + x1)) +
    down * ((1 - across) * at(row1 + x0) + across * at(row1 + x1))
  );
}
