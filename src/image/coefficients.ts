export type Interpolation = "bicubic" | "bilinear" | "box";

/** Fractional bits of Pillow's 8-bit coefficients: what is left of 32 for a byte, a sign and an overshoot. */
export const PRECISION_BITS = 32 - 8 - 2;

const filters: Record<Interpolation, { support: number; weight(x: number): number }> = {
  box: {
    support: 0.5,
    weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0),
  },
  bilinear: {
    support: 1,
    weight(x) {
      x = Math.abs(x);
      return x < 1 ? 1 - x : 0;
    },
  },
  bicubic: {
    support: 2,
    weight(x) {
      const a = -0.5;
      x = Math.abs(x);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    },
  },
};

/** For each wanted output position: the first source position, how many, and their weights (`taps` apart). */
export interface Coefficients<Weights extends Float64Array | Int32Array = Int32Array> {
  readonly taps: number;
  readonly start: Int32Array;
  readonly count: Int32Array;
  readonly weights: Weights;
}

/** One direction of a resampling. */
export interface Direction {
  readonly sourceSize: number;
  /** The part of the source that becomes the whole result, in pixels, fractions allowed. */
  readonly boxStart: number;
  readonly boxSize: number;
  readonly outputSize: number;
  /** The outputs that are wanted. */
  readonly from: number;
  readonly wanted: number;
}

/** Weights that sum to 1, as Pillow's `precompute_coeffs`. */
export function weightsOf(direction: Direction, interpolation: Interpolation): Coefficients<Float64Array> {
  const { sourceSize, boxStart, boxSize, outputSize, from, wanted } = direction;
  const filter = filters[interpolation];
  const scale = boxSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const perPixel = 1 / filterScale;
  const support = filter.support * filterScale;
  const taps = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const weights = new Float64Array(wanted * taps);
  for (let i = 0, w = 0; i < wanted; i++, w = i * taps) {
    const center = boxStart + (from + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const n = Math.min(sourceSize, Math.trunc(center + support + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < n; k++) {
      const weight = filter.weight((k + first - center + 0.5) * perPixel);
      weights[w + k] = weight;
      sum += weight;
    }
    if (sum !== 0) for (let k = 0; k < n; k++) weights[w + k] = (weights[w + k] ?? 0) / sum;
    start[i] = first;
    count[i] = n;
  }
  return { taps, start, count, weights };
}

/** The same in fixed point. */
export function fixedPoint(exact: Coefficients<Float64Array>): Coefficients {
  const weights = new Int32Array(exact.weights.length);
  for (let i = 0; i < weights.length; i++) {
    const scaled = (exact.weights[i] ?? 0) * (1 << PRECISION_BITS);
    weights[i] = scaled < 0 ? scaled - 0.5 : scaled + 0.5; // cut off by the array
  }
  return { ...exact, weights };
}

/** The first source position that any wanted output needs, and how many from there. */
export function reach({ start, count }: Coefficients<Float64Array | Int32Array>): [first: number, length: number] {
  const last = start.length - 1;
  const first = start[0] ?? 0;
  return [first, (start[last] ?? 0) + (count[last] ?? 0) - first];
}
