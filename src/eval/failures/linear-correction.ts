/**
 * A linear map that takes features of changed pictures to those of the pictures before the change: ridge regression towards the identity.
 * The closed form stands in for fine-tuning where only the last, linear layer may move.
 */
import { addRow, type RidgeSums, ridgeSums, solveRidge } from "../shift/ridge.ts";

export const correctionSums = (width: number): RidgeSums => ridgeSums(width, width);

/** @param from a feature, @param to what it should have been; both [width] */
export function addPair(sums: RidgeSums, from: Float32Array, to: Float32Array): void {
  addRow(
    sums,
    from,
    to.map((value, i) => value - (from[i] ?? 0)),
  );
}

/** W of y = x + x W, minimising the mean of |x + x W - y|^2 plus `ridge` |W|^2. @returns [width, width] @throws as `solveRidge` */
export const linearCorrection: (sums: RidgeSums, ridge: number) => Float64Array = solveRidge;

/** x + x W, as a unit vector. */
export function corrected(row: Float32Array, correction: Float64Array): Float32Array {
  const width = row.length;
  const out = Float64Array.from(row);
  for (let i = 0; i < width; i++) {
    const x = row[i] ?? 0;
    for (let c = 0; c < width; c++) out[c] = (out[c] ?? 0) + x * (correction[i * width + c] ?? 0);
  }
  const length = Math.sqrt(out.reduce((sum, x) => sum + x * x, 0));
  return Float32Array.from(out, (x) => x / length);
}
