import type { Random } from "../../data/index.ts";
import { normal } from "./distributions.ts";
import { gaussianBlur, motionBlur, zoomed } from "./filters.ts";
import { type Planes, planes } from "./planes.ts";
import type { SeverityTable } from "./severity-tables.ts";

type Of<Name extends keyof SeverityTable> = SeverityTable[Name] extends readonly (infer Each)[] ? Each : never;

/** Flakes that streak through a picture which is itself whitened. */
export function snow(image: Planes, parameters: Of<"snow">, random: Random): Planes {
  const [mean, deviation, zoom, threshold, radius, blur, kept] = parameters;
  const { width, height, data } = image;
  const draw = normal(random);
  const noise = planes(width, height, 1);
  for (let i = 0; i < noise.data.length; i++) noise.data[i] = mean + deviation * draw();
  const large = zoomed(noise, zoom);
  const flakes = { ...large, data: large.data.map((x) => (x < threshold ? 0 : bytes(Math.min(1, x)))) };
  const streaks = motionBlur(flakes, radius, blur, -135 + 90 * random.uniform()).data.map(bytes);
  const out = planes(width, height, 3);
  for (let p = 0; p < streaks.length; p++) {
    const [red = 0, green = 0, blue = 0] = data.subarray(3 * p, 3 * p + 3);
    const white = 1.5 * (0.299 * red + 0.587 * green + 0.114 * blue) + 0.5;
    // The layer, and the layer turned by half.
    const falling = (streaks[p] ?? 0) + (streaks[streaks.length - 1 - p] ?? 0);
    for (const [c, value] of [red, green, blue].entries())
      out.data[3 * p + c] = kept * value + (1 - kept) * Math.max(value, white) + falling;
  }
  return out;
}

const bytes = (x: number): number => Math.floor(255 * x) / 255;

/** Clouds over the picture, as bright as its brightest value. */
export function fog(image: Planes, [amount, decay]: Of<"fog">, random: Random): Planes {
  const { width, height, channels, data } = image;
  const brightest = data.reduce((most, x) => Math.max(most, x), 0);
  const side = 2 ** Math.max(1, Math.ceil(Math.log2(Math.max(width, height))));
  const clouds = plasma(side, decay, random);
  const scale = brightest / (brightest + amount);
  return {
    ...image,
    data: data.map((x, i) => {
      const pixel = Math.floor(i / channels);
      const cloud = clouds[Math.floor(pixel / width) * side + (pixel % width)] ?? 0;
      return (x + amount * cloud) * scale;
    }),
  };
}

/**
 * A height map that goes on at its borders, 0 to 1, by midpoint displacement (the diamond-square algorithm; Fournier, Fussell and Carpenter 1982).
 * @param side a power of two
 * @param decay the displacements shrink by its square from one halving to the next
 */
export function plasma(side: number, decay: number, random: Random): Float64Array {
  const map = new Float64Array(side * side);
  const at = (y: number, x: number): number => map[(y & (side - 1)) * side + (x & (side - 1))] ?? 0;
  let reach = 100 * 100;
  // The published displacement is a random number times the same scale, so that it shrinks by the decay's square.
  for (let step = side; step >= 2; step /= 2, reach /= decay * decay) {
    const half = step / 2;
    const displaced = (sum: number): number => sum / 4 + reach * (2 * random.uniform() - 1);
    for (let y = half; y < side; y += step)
      for (let x = half; x < side; x += step) {
        const [top, bottom] = [y - half, y + half];
        const corners = at(top, x - half) + at(top, x + half) + at(bottom, x - half) + at(bottom, x + half);
        map[y * side + x] = displaced(corners);
      }
    for (let y = 0; y < side; y += half)
      for (let x = y % step === 0 ? half : 0; x < side; x += step)
        map[y * side + x] = displaced(at(y - half, x) + at(y + half, x) + at(y, x - half) + at(y, x + half));
  }
  const lowest = map.reduce((least, x) => Math.min(least, x), Number.POSITIVE_INFINITY);
  const highest = map.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  return map.map((x) => (x - lowest) / (highest - lowest || 1));
}

/**
 * Ice on the window. The published code lays photographs over the picture, which cannot come with this one: the ice here is made, veins and
 * needles on clouds, with the colour, brightness and spread of those photographs (means from 124 to 207 of 255, bluish; deviations about 25).
 */
export function frost(image: Planes, [picture, ice]: Of<"frost">, random: Random): Planes {
  const { width, height, data } = image;
  const texture = frostTexture(width, height, random);
  return { ...image, data: data.map((x, i) => picture * x + ice * (texture[i] ?? 0)) };
}

/** Level 0 to 1 by which blue is above and red below the mean in the published photographs. */
const ICE_TINT = [-0.07, 0.012, 0.058] as const;

export function frostTexture(width: number, height: number, random: Random): Float64Array {
  const mean = 0.48 + 0.33 * random.uniform();
  const deviation = 0.06 + 0.07 * random.uniform();
  const side = 2 ** Math.ceil(Math.log2(Math.max(width, height, 2)));
  const clouds = plasma(side, 1.4, random);
  const needles = planes(width, height, 1);
  const count = Math.ceil((width * height) / 60);
  for (let i = 0; i < count; i++) grow(needles, random);
  const soft = gaussianBlur(needles, 0.5, 4, "reflect");
  const level = planes(width, height, 1);
  for (let p = 0; p < level.data.length; p++) {
    const cloud = clouds[Math.floor(p / width) * side + (p % width)] ?? 0;
    level.data[p] = cloud + 0.5 * Math.min(1, soft.data[p] ?? 0);
  }
  const average = level.data.reduce((sum, x) => sum + x, 0) / level.data.length;
  const spread = Math.sqrt(level.data.reduce((sum, x) => sum + (x - average) ** 2, 0) / level.data.length) || 1;
  const texture = new Float64Array(width * height * 3);
  for (let p = 0; p < level.data.length; p++)
    for (const [c, tint] of ICE_TINT.entries()) {
      const value = mean + tint + (deviation * ((level.data[p] ?? 0) - average)) / spread;
      texture[3 * p + c] = Math.min(1, Math.max(0, value));
    }
  return texture;
}

/** A crystal: a needle with side needles at the angle of ice, 60 degrees. */
function grow(layer: Planes, random: Random): void {
  const length = 2 + random.int(Math.max(2, layer.width >> 3));
  const angle = 2 * Math.PI * random.uniform();
  const [x, y] = [layer.width * random.uniform(), layer.height * random.uniform()];
  needle(layer, x, y, angle, length);
  for (let step = 2; step < length; step += 3) {
    const [bx, by] = [x + step * Math.cos(angle), y + step * Math.sin(angle)];
    for (const turn of [-Math.PI / 3, Math.PI / 3]) needle(layer, bx, by, angle + turn, (length - step) / 3);
  }
}

function needle({ width, height, data }: Planes, x: number, y: number, angle: number, length: number): void {
  for (let i = 0; i < length; i++) {
    const column = Math.floor(x + i * Math.cos(angle));
    const row = Math.floor(y + i * Math.sin(angle));
    if (column < 0 || column >= width || row < 0 || row >= height) return;
    data[row * width + column] = (data[row * width + column] ?? 0) + 0.6 * (1 - i / length) + 0.2;
  }
}

/** Raises the value of hue, saturation and value: all three colours by one factor, so that hue and saturation stay. */
export function brighten({ data, ...image }: Planes, amount: number): Planes {
  const out = new Float64Array(data.length);
  for (let p = 0; p < data.length; p += 3) {
    const value = Math.max(data[p] ?? 0, data[p + 1] ?? 0, data[p + 2] ?? 0);
    const raised = Math.min(1, value + amount);
    for (let c = p; c < p + 3; c++) out[c] = value === 0 ? raised : ((data[c] ?? 0) * raised) / value;
  }
  return { ...image, data: out };
}
