/**
 * Ridge regression in closed form, from sums that are all it needs of its rows: any number of them, added one at a time. Cholesky's factorisation
 * is ours, thirty lines, since a package for it would be larger than what uses it.
 */
export interface RidgeSums {
  /** Numbers of an input, and of a target. */
  readonly width: number;
  readonly targets: number;
  /** sum of x x^t, [width, width] */
  readonly gram: Float64Array;
  /** sum of x y^t, [width, targets] */
  readonly cross: Float64Array;
  rows: number;
}

export const ridgeSums = (width: number, targets: number): RidgeSums => ({
  ...{ width, targets, rows: 0 },
  gram: new Float64Array(width * width),
  cross: new Float64Array(width * targets),
});

/** @param x [width] @param y [targets] */
export function addRow(sums: RidgeSums, x: ArrayLike<number>, y: ArrayLike<number>): void {
  const { width, targets, gram, cross } = sums;
  for (let i = 0; i < width; i++) {
    const value = x[i] ?? 0;
    if (value === 0) continue;
    for (let j = 0; j <= i; j++) gram[i * width + j] = (gram[i * width + j] ?? 0) + value * (x[j] ?? 0);
    for (let t = 0; t < targets; t++) cross[i * targets + t] = (cross[i * targets + t] ?? 0) + value * (y[t] ?? 0);
  }
  sums.rows++;
}

/**
 * W, [width, targets], that minimises the mean of |x W - y|^2 plus `ridge` |W|^2: (X^t X / n + ridge)^-1 X^t Y / n.
 * @throws one line if there are no rows or the ridge is not above 0
 */
export function solveRidge({ width, targets, gram, cross, rows }: RidgeSums, ridge: number): Float64Array {
  if (!(rows >= 1 && ridge > 0))
    throw new Error(`ridge regression: expected rows and a ridge above 0, got ${rows} and ${ridge}`);
  const factor = new Float64Array(width * width);
  for (let i = 0; i < width; i++)
    for (let j = 0; j <= i; j++) {
      let sum = (gram[i * width + j] ?? 0) / rows + (i === j ? ridge : 0);
      for (let k = 0, a = i * width, b = j * width; k < j; k++) sum -= (factor[a + k] ?? 0) * (factor[b + k] ?? 0);
      factor[i * width + j] = i === j ? Math.sqrt(sum) : sum / (factor[j * width + j] ?? 1);
    }
  const solution = cross.map((value) => value / rows);
  const row = (i: number): Float64Array => solution.subarray(i * targets, (i + 1) * targets);
  const subtract = (target: Float64Array, source: Float64Array, times: number): void => {
    for (let t = 0; t < targets; t++) target[t] = (target[t] ?? 0) - times * (source[t] ?? 0);
  };
  const divide = (target: Float64Array, by: number): void => {
    for (let t = 0; t < targets; t++) target[t] = (target[t] ?? 0) / by;
  };
  for (let i = 0; i < width; i++) {
    for (let k = 0; k < i; k++) subtract(row(i), row(k), factor[i * width + k] ?? 0);
    divide(row(i), factor[i * width + i] ?? 1);
  }
  for (let i = width - 1; i >= 0; i--) {
    for (let k = i + 1; k < width; k++) subtract(row(i), row(k), factor[k * width + i] ?? 0);
    divide(row(i), factor[i * width + i] ?? 1);
  }
  return solution;
}
