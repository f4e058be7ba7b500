/** A model at another image size: its positional embeddings, interpolated on their grid. */
import { type HostTensor, hostTensor } from "../graph/index.ts";
import { type ClipConfig, checkConfig, wholeVision } from "./config.ts";

export interface ResizeOptions {
  /**
   * Whether the interpolation looks at more of the grid where that shrinks: open_clip does on loading, transformers
   * (`interpolate_pos_encoding`) does not. @default true
   */
  readonly antialias?: boolean;
}

type Tensors = Readonly<Record<string, HostTensor>>;

/**
 * The image tower's positional embeddings for pictures of another size, by bicubic interpolation as PyTorch computes it; the
 * row of a class token, or of a ResNet's mean token, stays. What has the right size already stays too.
 * @param tensors all tensors of the model, by published name
 * @returns the same tensors but for that one, and the configuration of the new size
 * @throws one line if the new size does not fit the architecture, or the tensors not the old one
 */
export function resizePositions(
  tensors: Tensors,
  config: ClipConfig,
  imageSize: number,
  { antialias = true }: ResizeOptions = {},
): { readonly tensors: Tensors; readonly config: ClipConfig } {
  const resized = { ...config, imageSize };
  checkConfig(resized);
  const { name, rest, grid: from } = positionsOf(config);
  const { grid: to } = positionsOf(resized);
  const table = tensors[name];
  const width = table?.shape[1] ?? 0;
  if (!table || table.shape[0] !== rest + from ** 2)
    throw new Error(`tensor ${name}: expected [${rest + from ** 2}, width], got [${table?.shape ?? "none"}]`);
  if (from === to) return { tensors, config: resized };
  const weights = taps(from, to, antialias);
  const rows = along(table.data.subarray(rest * width), [1, from, from * width], weights);
  const both = along(rows, [to, from, width], weights);
  const data = new Float32Array((rest + to ** 2) * width);
  data.set(table.data.subarray(0, rest * width));
  data.set(both, rest * width);
  return { tensors: { ...tensors, [name]: hostTensor("f32", [rest + to ** 2, width], data) }, config: resized };
}

/** Where the positions stand, how many rows come before the grid, and its side. */
function positionsOf(config: ClipConfig): { readonly name: string; readonly rest: number; readonly grid: number } {
  const { vision, imageSize } = config;
  if (vision.kind === "resnet") return { name: "visual.attnpool.positional_embedding", rest: 1, grid: imageSize / 32 };
  const { classToken, grid } = wholeVision(vision, config);
  return { name: "visual.positional_embedding", rest: classToken ? 1 : 0, grid };
}

/** For each new place the old ones it is made of. */
type Taps = readonly (readonly { readonly place: number; readonly weight: number }[])[];

/**
 * PyTorch's `interpolate(mode="bicubic", align_corners=False)`. With antialias the kernel is Keys' with a = -0.5, widened where the grid
 * shrinks and cut at the borders; without, a = -0.75, four taps, and the borders repeat.
 */
function taps(from: number, to: number, antialias: boolean): Taps {
  const scale = from / to;
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    if (!antialias) {
      const first = Math.floor(centre - 0.5) - 1;
      return [0, 1, 2, 3].map((tap) => ({
        place: Math.min(Math.max(first + tap, 0), from - 1),
        weight: keys(first + tap + 0.5 - centre, -0.75),
      }));
    }
    const stretch = Math.max(scale, 1);
    const first = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0);
    const end = Math.min(Math.trunc(centre + 2 * stretch + 0.5), from);
    const all = Array.from({ length: end - first }, (_, tap) => ({
      place: first + tap,
      weight: keys((first + tap + 0.5 - centre) / stretch, -0.5),
    }));
    const sum = all.reduce((total, { weight }) => total + weight, 0);
    return all.map(({ place, weight }) => ({ place, weight: weight / sum }));
  });
}

/** The cubic convolution kernel (Keys 1981, IEEE Trans. ASSP 29, equation 4, for any a). */
function keys(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Interpolates along the middle axis of [outer, from, inner]. */
function along(
  data: ArrayLike<number>,
  [outer, from, inner]: readonly [outer: number, from: number, inner: number],
  weights: Taps,
): Float64Array {
  const out = new Float64Array(outer * weights.length * inner);
  for (let o = 0; o < outer; o++)
    for (const [i, places] of weights.entries())
      for (const { place, weight } of places)
        for (let j = 0; j < inner; j++) {
          const at = (o * weights.length + i) * inner + j;
          out[at] = (out[at] ?? 0) + weight * (data[(o * from + place) * inner + j] ?? 0);
        }
  return out;
}
