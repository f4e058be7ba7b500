import type { PreprocessConfig } from "./preprocess.ts";
import type { RgbImage } from "./rgb.ts";

/**
 * What torchvision's `ToTensor` and `Normalize` make of a picture, `[3, height, width]`, to the last bit:
 * (value / 255 - mean) / deviation in float32. For models that run elsewhere; ours have it in their graph.
 * @param out where the floats go from `offset` on, such as a batch @default memory of its own
 * @returns `out`
 */
export function toTensor(
  { width, height, data }: RgbImage,
  { mean, deviation }: Pick<PreprocessConfig, "mean" | "deviation">,
  out: Float32Array = new Float32Array(3 * width * height),
  offset = 0,
): Float32Array {
  const pixels = width * height;
  if (offset < 0 || offset + 3 * pixels > out.length)
    throw new Error(`toTensor: ${3 * pixels} floats from ${offset} on do not fit into ${out.length}`);
  const red = valuesOf(mean[0], deviation[0]);
  const green = valuesOf(mean[1], deviation[1]);
  const blue = valuesOf(mean[2], deviation[2]);
  for (let i = offset, p = 0; p < data.length; i++, p += 3) {
    out[i] = red[data[p] ?? 0] ?? 0;
    out[i + pixels] = green[data[p + 1] ?? 0] ?? 0;
    out[i + 2 * pixels] = blue[data[p + 2] ?? 0] ?? 0;
  }
  return out;
}

/** Of each byte: each operation rounds to float32. */
function valuesOf(mean: number, deviation: number): Float32Array {
  const { fround } = Math;
  const values = new Float32Array(256);
  for (let value = 0; value < 256; value++)
    values[value] = fround(fround(value / 255) - fround(mean)) / fround(deviation);
  return values;
}
