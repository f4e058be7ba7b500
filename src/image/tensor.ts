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
  for (let c = 0; c < 3; c++) {
    const values = valuesOf(mean[c] ?? 0, deviation[c] ?? 1);
    for (let i = 0, p = c, o = c * pixels; i < pixels; i++, p += 3) out[o++] = values[data[p] ?? 0] ?? 0;
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
