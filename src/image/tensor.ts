import type { PreprocessConfig } from "./preprocess.ts";
import type { RgbImage } from "./rgb.ts";

/**
 * What torchvision's `ToTensor` and `Normalize` make of a picture, `[3, height, width]`, to the last bit:
 * (value / 255 - mean) / deviation in float32. For models that run elsewhere; ours have it in their graph.
 */
export function toTensor(
  { width, height, data }: RgbImage,
  { mean, deviation }: Pick<PreprocessConfig, "mean" | "deviation">,
): Float32Array {
  const pixels = width * height;
  const out = new Float32Array(3 * pixels);
  const red = valuesOf(mean[0], deviation[0]);
  const green = valuesOf(mean[1], deviation[1]);
  const blue = valuesOf(mean[2], deviation[2]);
  for (let i = 0, p = 0; i < pixels; i++, p += 3) {
    out[i] = red[data[p] ?? 0] ?? 0;
    out[i + pixels] = green[data[p + 1] ?? 0] ?? 0;
    out[i + 2 * pixels] = blue[data[p + 2] ?? 0] ?? 0;
  }
  return out;
}

/** Of each byte: each operation rounds to float32. */
function valuesOf(mean: number, deviation: number): Float32Array {
  const { fround } = Math;
  return Float32Array.from({ length: 256 }, (_, value) =>
    fround(fround(fround(value / 255) - fround(mean)) / fround(deviation)),
  );
}
