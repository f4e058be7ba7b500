import type { Random } from "../../data/index.ts";
import { correlate, diskKernel, gaussianBlur, motionBlur, zoomed } from "./filters.ts";
import { type Planes, planes } from "./planes.ts";
import type { SeverityTable } from "./severity-tables.ts";

type Of<Name extends keyof SeverityTable> = SeverityTable[Name] extends readonly (infer Each)[] ? Each : never;

/** A lens out of focus. */
export const defocusBlur = (image: Planes, [radius, alias]: Of<"defocusBlur">): Planes =>
  correlate(image, diskKernel(radius, alias));

/**
 * Frosted glass: pixels take the colour of neighbours, between two blurs. The published code means to swap them, but numpy's views
 * make it a copy; the published pictures have it so, and so has this.
 */
export function glassBlur(image: Planes, [deviation, reach, rounds]: Of<"glassBlur">, random: Random): Planes {
  const { width, height, channels } = image;
  const blurred = gaussianBlur(image, deviation, 4, "nearest");
  const shuffled = { ...blurred, data: blurred.data.map((x) => Math.floor(255 * x + 1e-9) / 255) };
  const { data } = shuffled;
  for (let round = 0; round < rounds; round++)
    for (let y = height - reach; y > reach; y--)
      for (let x = width - reach; x > reach; x--) {
        const dx = random.int(2 * reach) - reach;
        const dy = random.int(2 * reach) - reach;
        const from = ((y + dy) * width + x + dx) * channels;
        data.copyWithin((y * width + x) * channels, from, from + channels);
      }
  return gaussianBlur(shuffled, deviation, 4, "nearest");
}

/** The camera moves, in a direction that is drawn. */
export const shaken = (image: Planes, [radius, deviation]: Of<"motionBlur">, random: Random): Planes =>
  motionBlur(image, radius, deviation, -45 + 90 * random.uniform());

/** The camera comes nearer while the shutter is open. */
export function zoomBlur(image: Planes, [stop, step]: Of<"zoomBlur">): Planes {
  const { width, height, channels, data } = image;
  // numpy's arange, rounding and all: (1.11 - 1) / 0.01 is a little more than 11, so that 1.11 is in it.
  const count = Math.ceil((stop - 1) / step);
  const sum = planes(width, height, channels);
  for (let i = 0; i < count; i++) {
    const layer = zoomed(image, 1 + i * (1 + step - 1));
    for (let p = 0; p < data.length; p++) sum.data[p] = (sum.data[p] ?? 0) + (layer.data[p] ?? 0);
  }
  return { ...image, data: data.map((x, p) => (x + (sum.data[p] ?? 0)) / (count + 1)) };
}
