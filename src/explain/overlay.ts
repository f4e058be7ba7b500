import type { PreprocessConfig, RgbImage } from "../image/index.ts";

/** A part of a picture in its pixels; may reach beyond its edges. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Which part of a picture the model sees: of `shortest` the middle, of `squash` all of it, of `longest` more than it. */
export function seenRegion(
  { width, height }: { readonly width: number; readonly height: number },
  { size, resize }: Pick<PreprocessConfig, "size" | "resize">,
): Region {
  if (resize === "squash") return { left: 0, top: 0, width, height };
  const [tall, wide] = typeof size === "number" ? [size, size] : size;
  const [across, down] = [width / wide, height / tall];
  const scale = resize === "shortest" ? Math.min(across, down) : Math.max(across, down);
  const [seenWidth, seenHeight] = [wide * scale, tall * scale];
  return { left: (width - seenWidth) / 2, top: (height - seenHeight) / 2, width: seenWidth, height: seenHeight };
}

export interface Heat {
  /** [rows, columns] */
  readonly heat: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** From cold to hot; lightness rises, so that it also reads in grey. */
const COLOURS = [
  [13, 8, 60],
  [84, 15, 109],
  [187, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
] as const;
/** How much of the colour is laid over the picture where it is cold, and where it is hot. */
const COVER = [0.35, 0.75] as const;

/**
 * A picture in grey with the heat in colour over the part that the model saw, between cells linearly; the least heat is the coldest
 * colour and the greatest the hottest. What was not seen stays dark.
 */
export function heatOverlay({ width, height, data }: RgbImage, map: Heat, region: Region): RgbImage {
  const [least, greatest] = extremes(map.heat);
  const range = greatest - least;
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      const grey = 0.299 * (data[at] ?? 0) + 0.587 * (data[at + 1] ?? 0) + 0.114 * (data[at + 2] ?? 0);
      const across = (x + 0.5 - region.left) / region.width;
      const down = (y + 0.5 - region.top) / region.height;
      if (across < 0 || across > 1 || down < 0 || down > 1) {
        out.fill(Math.round(grey * 0.4), at, at + 3);
        continue;
      }
      const share = range > 0 ? (heatAt(map, across, down) - least) / range : 0;
      const cover = COVER[0] + (COVER[1] - COVER[0]) * share;
      for (const [channel, value] of colourOf(share).entries())
        out[at + channel] = Math.round(grey * (1 - cover) + value * cover);
    }
  return { width, height, data: out };
}

/** Bilinear between the cells' middles, at shares of the width and of the height. */
function heatAt({ heat, rows, columns }: Heat, across: number, down: number): number {
  const x = Math.min(Math.max(across * columns - 0.5, 0), columns - 1);
  const y = Math.min(Math.max(down * rows - 0.5, 0), rows - 1);
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const cell = (row: number, column: number): number =>
    heat[Math.min(row, rows - 1) * columns + Math.min(column, columns - 1)] ?? 0;
  const above = cell(top, left) * (left + 1 - x) + cell(top, left + 1) * (x - left);
  const below = cell(top + 1, left) * (left + 1 - x) + cell(top + 1, left + 1) * (x - left);
  return above * (top + 1 - y) + below * (y - top);
}

function colourOf(share: number): readonly number[] {
  const place = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1);
  const index = Math.min(Math.floor(place), COLOURS.length - 2);
  const [from, to] = [COLOURS[index] ?? COLOURS[0], COLOURS[index + 1] ?? COLOURS[0]];
  return from.map((value, channel) => value + ((to[channel] ?? 0) - value) * (place - index));
}

function extremes(values: Float32Array): readonly [number, number] {
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  return [least, greatest];
}
