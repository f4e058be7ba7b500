/** Softmax regression with an L2 penalty, as scikit-learn's LogisticRegression with C = 1 / lambda minimises it. */
import { type LbfgsOptions, type Minimum, minimise } from "./lbfgs.ts";
import type { SoftmaxLoss } from "./softmax-loss.ts";

export interface RegressionOptions extends Pick<LbfgsOptions, "maxIterations" | "gradientTolerance" | "signal"> {
  /** Strength of the penalty: the sum of the losses plus lambda / 2 ||W - prior||^2 is minimised; biases are free. */
  readonly lambda: number;
  /** W [classes, width] that the penalty draws to. @default zeros */
  readonly prior?: Float64Array;
  /** Where the search begins, W and b: only how long it takes depends on it. @default the prior and zeros */
  readonly start?: Float64Array;
}

export interface Regression extends Omit<Minimum, "x"> {
  /** W [classes, width], then b [classes]. */
  readonly weights: Float64Array;
}

/** Of the gradient where it is computed in single precision; scikit-learn's is 1e-4. */
const SINGLE_TOLERANCE = 1e-5;

/**
 * Fits by L-BFGS. Tolerances are of the mean over the rows, as scikit-learn's.
 *
 * With two classes scikit-learn has one vector w, the difference of ours, and penalises lambda / 2 ||w||^2; ours are w / 2 and -w / 2, so
 * that the same penalty is lambda (||W_0||^2 + ||W_1||^2).
 */
export async function fitSoftmax(loss: SoftmaxLoss, options: RegressionOptions): Promise<Regression> {
  const { lambda, prior, start, ...search } = options;
  const { rows, classes, width } = loss;
  const penalised = classes * width;
  if (!(lambda >= 0)) throw new Error(`softmax regression: expected a lambda of at least 0, got ${lambda}`);
  if (prior && prior.length !== penalised)
    throw new Error(`softmax regression: expected a prior of ${classes} x ${width} numbers, got ${prior.length}`);
  const strength = classes === 2 && loss.link === "softmax" ? 2 * lambda : lambda;
  const initial = start ?? new Float64Array(penalised + classes);
  if (!start && prior) initial.set(prior);
  if (initial.length !== penalised + classes)
    throw new Error(`softmax regression: expected a start of ${penalised + classes} numbers, got ${initial.length}`);
  const objective = async (x: Float64Array, gradient: Float64Array): Promise<number> => {
    const value = await loss.evaluate(x, gradient);
    let squares = 0;
    for (let i = 0; i < penalised; i++) {
      const distance = (x[i] ?? 0) - (prior?.[i] ?? 0);
      squares += distance * distance;
      gradient[i] = (gradient[i] ?? 0) + strength * distance;
    }
    for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] ?? 0) / rows;
    return (value + (strength / 2) * squares) / rows;
  };
  const gradientTolerance = loss.noise > 0 ? SINGLE_TOLERANCE : 1e-6;
  const { x, value, ...rest } = await minimise(objective, initial, { gradientTolerance, ...search, noise: loss.noise });
  return { weights: x, value: value * rows, ...rest };
}
