import type { Random } from "../../data/index.ts";
import { decodeImage, encodeJpeg, preprocess, type RgbImage } from "../../image/index.ts";
import { gaussianBlur } from "./filters.ts";
import { bilinear, type Planes, planes } from "./planes.ts";
import type { SeverityTable } from "./severity-tables.ts";

type Of<Name extends keyof SeverityTable> = SeverityTable[Name] extends readonly (infer Each)[] ? Each : never;

/** Draws each colour towards its mean. @param kept share of the contrast */
export function contrast({ data, ...image }: Planes, kept: number): Planes {
  const means = [0, 0, 0];
  for (const [i, x] of data.entries()) means[i % 3] = (means[i % 3] ?? 0) + (3 * x) / data.length;
  return { ...image, data: data.map((x, i) => (x - (means[i % 3] ?? 0)) * kept + (means[i % 3] ?? 0)) };
}

/** A shift of three corners, then a smooth random displacement of every pixel (Simard, Steinkraus and Platt 2003). */
export function elastic(image: Planes, parameters: Of<"elastic">, random: Random): Planes {
  const { width, height } = image;
  const side = Math.max(width, height);
  const [displacement, smoothness, affine] = parameters.map((share) => share * side);
  const field = (): Float64Array => {
    const noise = planes(width, height, 1);
    for (let i = 0; i < noise.data.length; i++) noise.data[i] = 2 * random.uniform() - 1;
    return gaussianBlur(noise, smoothness ?? 0, 3, "reflect").data.map((x) => x * (displacement ?? 0));
  };
  const map = shiftedCorners(width, height, affine ?? 0, random);
  const turned = placed(image, "reflect101", map);
  const across = field();
  const down = field();
  return placed(turned, "reflect", (x, y) => [x + (across[y * width + x] ?? 0), y + (down[y * width + x] ?? 0)]);
}

/** Every pixel from where `from` says. */
function placed(
  image: Planes,
  border: "reflect" | "reflect101",
  from: (x: number, y: number) => readonly [number, number],
): Planes {
  const { width, height, channels } = image;
  const out = planes(width, height, channels);
  for (let y = 0, o = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [sourceX, sourceY] = from(x, y);
      for (let c = 0; c < channels; c++, o++) out.data[o] = bilinear(image, sourceX, sourceY, c, border);
    }
  return out;
}

/** Where in the source a pixel is, if three corners of the middle square move by up to `reach` pixels in each direction. */
function shiftedCorners(width: number, height: number, reach: number, random: Random) {
  const [middleX, middleY] = [Math.floor(width / 2), Math.floor(height / 2)];
  const half = Math.floor(Math.min(width, height) / 3);
  const corners = [
    [middleX + half, middleY + half],
    [middleX + half, middleY - half],
    [middleX - half, middleY - half],
  ] as const;
  const moved = corners.map(([x, y]) => {
    const shift = (): number => reach * (2 * random.uniform() - 1);
    return [x + shift(), y + shift()] as const;
  });
  const [a, b, c] = [moved[0] ?? corners[0], moved[1] ?? corners[1], moved[2] ?? corners[2]];
  // Inverse of the affine map that takes the corners to their new places: source = corner + weights of the two edges.
  const [edge1, edge2] = [
    [a[0] - b[0], a[1] - b[1]],
    [b[0] - c[0], b[1] - c[1]],
  ] as const;
  const area = edge1[0] * edge2[1] - edge1[1] * edge2[0];
  return (x: number, y: number): readonly [number, number] => {
    const [dx, dy] = [x - b[0], y - b[1]];
    const along1 = (dx * edge2[1] - dy * edge2[0]) / area;
    const along2 = (dy * edge1[0] - dx * edge1[1]) / area;
    // The unmoved edges are (0, 2 half) and (2 half, 0).
    return [corners[1][0] + 2 * half * along2, corners[1][1] + 2 * half * along1];
  };
}

/** Few large pixels. @param kept share of the side */
export function pixelate(image: RgbImage, kept: number): RgbImage {
  const { width, height } = image;
  const to = (size: readonly [number, number], from: RgbImage): RgbImage =>
    preprocess(from, { size, resize: "squash", interpolation: "box", mean: [0, 0, 0], deviation: [1, 1, 1], fill: 0 });
  const fewer = (side: number): number => Math.max(1, Math.floor(side * kept));
  return to([height, width], to([fewer(height), fewer(width)], image));
}

/** Through a JPEG file. */
export const jpegCompression = async (image: RgbImage, quality: number): Promise<RgbImage> =>
  decodeImage(await encodeJpeg(image, quality));
