import { Space, simdKernels } from "./kernels.ts";
import type { PreprocessConfig } from "./preprocess.ts";
import type { RgbImage } from "./rgb.ts";

/**
 * What torchvision's `ToTensor` and `Normalize` make of a picture, `[3, height, width]`, to the last bit:
 * (value / 255 - mean) / deviation in float32. For models that run elsewhere; ours have it in their graph.
 * @param out where the floats go from `offset` on, such as a batch @default memory of its own
 * @returns `out`
 * @throws one line if the picture's length is wrong or the floats do not fit
 */
export function toTensor(
  { width, height, data }: RgbImage,
  { mean, deviation }: Pick<PreprocessConfig, "mean" | "deviation">,
  out: Float32Array = new Float32Array(3 * width * height),
  offset = 0,
): Float32Array {
  const pixels = width * height;
  if (data.length !== 3 * pixels)
    throw new Error(`toTensor: ${width} x ${height} pixels need ${3 * pixels} bytes of RGB, got ${data.length}`);
  if (offset < 0 || offset + 3 * pixels > out.length)
    throw new Error(`toTensor: ${3 * pixels} floats from ${offset} on do not fit into ${out.length}`);
  const tables = [0, 1, 2].map((c) => valuesOf(mean[c] ?? 0, deviation[c] ?? 0));
  const kernels = simdKernels();
  if (kernels) byKernels(new Space(kernels), data, tables, out, offset);
  else
    for (const [c, values] of tables.entries())
      for (let i = offset + c * pixels, p = c; p < data.length; i++, p += 3) out[i] = values[data[p] ?? 0] ?? 0;
  return out;
}

/** So many pixels at a time: a large picture needs little memory, and the floats are copied out of the cache. */
const BAND = 1 << 14;

function byKernels(
  space: Space,
  data: Uint8Array,
  tables: readonly Float32Array[],
  out: Float32Array,
  offset: number,
): void {
  const pixels = data.length / 3;
  const [source, values, floats] = [space.take(3 * BAND + 16), space.take(3 * 1024), space.take(3 * 4 * BAND)];
  const { buffer } = space.kernels.memory;
  for (const [c, table] of tables.entries()) new Float32Array(buffer, values + 1024 * c, 256).set(table);
  for (let first = 0; first < pixels; first += BAND) {
    const n = Math.min(BAND, pixels - first);
    new Uint8Array(buffer, source).set(data.subarray(3 * first, 3 * (first + n)));
    space.kernels.toFloats(source, n, values, floats, 4 * BAND);
    for (let c = 0; c < 3; c++)
      out.set(new Float32Array(buffer, floats + 4 * BAND * c, n), offset + c * pixels + first);
  }
}

/** Of each byte: each operation rounds to float32. */
function valuesOf(mean: number, deviation: number): Float32Array {
  const { fround } = Math;
  const values = new Float32Array(256);
  for (let value = 0; value < 256; value++)
    values[value] = fround(fround(value / 255) - fround(mean)) / fround(deviation);
  return values;
}
