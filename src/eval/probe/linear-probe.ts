/** Linear probes (CLIP, appendix A.3): a classifier on features, its penalty chosen on validation, fitted again on all that may be learned from. */
import { type LabelledRows, stacked, type Truth } from "./feature-rows.ts";
import { LAMBDAS, searchLambda, type Tried } from "./lambda-search.ts";
import { IN_DOUBLE_PRECISION, type LinearArithmetic } from "./softmax-loss.ts";
import { fitSoftmax } from "./softmax-regression.ts";

/** How good scores [rows, classes] are for what the rows are; the higher the better. */
export type Criterion = (scores: Float32Array, truth: Truth) => number;

export interface LinearProbeOptions {
  /** What lambda is chosen by, on validation. */
  readonly criterion: Criterion;
  /** @default in double precision, in this thread */
  readonly arithmetic?: LinearArithmetic;
  /** Strengths of the penalty, ascending. @default 96 from 1e-6 to 1e6 */
  readonly lambdas?: readonly number[];
  /**
   * W [classes, width] that the penalty draws to in place of zeros, such as a zero-shot classifier's weights; that classifier itself is
   * one of those to choose from.
   */
  readonly prior?: Float64Array;
  /** Whether the last fit is on training and validation together, as the paper's; else the search's best stays. @default true */
  readonly refit?: boolean;
  /** @default 1000 */
  readonly maxIterations?: number;
  readonly signal?: AbortSignal;
  /** Called after each fit of the search. */
  readonly onFit?: (tried: Fit) => void;
}

/** A fit of the search. */
export interface Fit extends Tried {
  readonly iterations: number;
  readonly evaluations: number;
}

export interface LinearProbe {
  /** W [classes, width], then b [classes]. */
  readonly weights: Float64Array;
  /** The strength that was chosen; infinite where the prior alone does best. */
  readonly lambda: number;
  /** What it reached on validation. */
  readonly score: number;
  readonly fits: readonly Fit[];
  /** Of the last fit; 0 where the prior stayed. */
  readonly iterations: number;
}

/** @param classes number of classes; labels are 0 .. classes - 1 */
export async function linearProbe(
  train: LabelledRows,
  validation: LabelledRows,
  classes: number,
  options: LinearProbeOptions,
): Promise<LinearProbe> {
  const { criterion, arithmetic = IN_DOUBLE_PRECISION, lambdas = LAMBDAS, prior, maxIterations, signal } = options;
  const fixed = {
    ...(prior ? { prior } : {}),
    ...(maxIterations === undefined ? {} : { maxIterations }),
    ...(signal ? { signal } : {}),
  };
  const scoreOf = async (weights: Float64Array): Promise<number> =>
    criterion(await arithmetic.scores(validation.rows, weights, classes), validation);
  const fits: Fit[] = [];
  const known = new Map<number, Float64Array>();
  const loss = await arithmetic.loss(train, classes);
  try {
    const { best } = await searchLambda(lambdas, async (lambda, index) => {
      const start = nearest(known, index);
      const { weights, iterations, evaluations } = await fitSoftmax(loss, {
        lambda,
        ...fixed,
        ...(start ? { start } : {}),
      });
      known.set(index, weights);
      const fit = { index, lambda, score: await scoreOf(weights), iterations, evaluations };
      fits.push(fit);
      options.onFit?.(fit);
      return fit.score;
    });
    if (prior) {
      const weights = new Float64Array(prior.length + classes);
      weights.set(prior);
      const score = await scoreOf(weights);
      if (score >= best.score) return { weights, lambda: Number.POSITIVE_INFINITY, score, fits, iterations: 0 };
    }
    const found = known.get(best.index);
    if (options.refit === false && found) {
      const iterations = fits.find(({ index }) => index === best.index)?.iterations ?? 0;
      return { weights: found, lambda: best.lambda, score: best.score, fits, iterations };
    }
    const all = await arithmetic.loss(stacked([train, validation]), classes);
    try {
      const last = await fitSoftmax(all, { lambda: best.lambda, ...fixed, ...(found ? { start: found } : {}) });
      return { weights: last.weights, lambda: best.lambda, score: best.score, fits, iterations: last.iterations };
    } finally {
      await all.close();
    }
  } finally {
    await loss.close();
  }
}

/** Weights of the strength that is nearest in the grid: where the next fit begins. */
function nearest(known: ReadonlyMap<number, Float64Array>, index: number): Float64Array | undefined {
  const [closest] = [...known.keys()].sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
  return closest === undefined ? undefined : known.get(closest);
}
