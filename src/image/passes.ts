/** Both passes of the resampler in TypeScript: what the kernels compute, where there are none. */
import { type Coefficients, PRECISION_BITS } from "./coefficients.ts";
import type { Samples } from "./samples.ts";

const HALF = 1 << (PRECISION_BITS - 1);

function clip8(sum: number): number {
  return Math.max(0, Math.min(255, sum >> PRECISION_BITS));
}

/** To the width of `by`, `rows` rows from `firstRow` on; `firstColumn` is the column that `source` starts with. */
export function horizontalPass(
  source: Samples,
  firstRow: number,
  rows: number,
  firstColumn: number,
  by: Coefficients,
): Samples {
  const { channels, data } = source;
  const { taps, start, count, weights } = by;
  const width = start.length;
  const out = new Uint8Array(rows * width * channels);
  let o = 0;
  for (let y = 0; y < rows; y++) {
    const row = (firstRow + y) * source.width * channels;
    for (let x = 0; x < width; x++) {
      const first = row + ((start[x] ?? 0) - firstColumn) * channels;
      const w0 = x * taps;
      const n = count[x] ?? 0;
      if (channels === 3) {
        let r = HALF;
        let g = HALF;
        let b = HALF;
        for (let k = 0, p = first; k < n; k++, p += 3) {
          const w = weights[w0 + k] ?? 0;
          r = (r + Math.imul(data[p] ?? 0, w)) | 0;
          g = (g + Math.imul(data[p + 1] ?? 0, w)) | 0;
          b = (b + Math.imul(data[p + 2] ?? 0, w)) | 0;
        }
        out[o++] = clip8(r);
        out[o++] = clip8(g);
        out[o++] = clip8(b);
      } else {
        for (let c = 0; c < channels; c++) {
          let sum = HALF;
          for (let k = 0, p = first + c; k < n; k++, p += channels) {
            sum = (sum + Math.imul(data[p] ?? 0, weights[w0 + k] ?? 0)) | 0;
          }
          out[o++] = clip8(sum);
        }
      }
    }
  }
  return { width, height: rows, channels, data: out };
}

/** To the height of `by`; `firstRow` is the row that `source` starts with: an earlier pass leaves out what nobody needs. */
export function verticalPass(
  source: Samples,
  firstRow: number,
  left: number,
  width: number,
  by: Coefficients,
): Samples {
  const { channels, data } = source;
  const { taps, start, count, weights } = by;
  const height = start.length;
  const stride = source.width * channels;
  const row = width * channels;
  const out = new Uint8Array(height * row);
  let o = 0;
  for (let y = 0; y < height; y++) {
    const top = ((start[y] ?? 0) - firstRow) * stride + left * channels;
    const w0 = y * taps;
    const n = count[y] ?? 0;
    for (let x = 0; x < row; x++) {
      let sum = HALF;
      for (let k = 0, p = top + x; k < n; k++, p += stride) {
        sum = (sum + Math.imul(data[p] ?? 0, weights[w0 + k] ?? 0)) | 0;
      }
      out[o++] = clip8(sum);
    }
  }
  return { width, height, channels, data: out };
}
