/** The search for the strength of the penalty (CLIP, appendix A.3). */

/** 96 steps from 1e-6 to 1e6, evenly spaced in their logarithm. */
export const LAMBDAS: readonly number[] = Array.from({ length: 96 }, (_, i) => 10 ** (-6 + (12 * i) / 95));

/** Values that are tried first. */
const FIRST = 7;

export interface Tried {
  /** In the grid. */
  readonly index: number;
  readonly lambda: number;
  /** What is maximised, on validation. */
  readonly score: number;
}

/**
 * Finds the best of a grid as the paper does: seven values over the whole range, then on both sides of the best one at half the
 * distance, and so on down to the grid's own. Of equally good values the larger one counts: the simpler classifier.
 * @param score asked for each value once; the higher the better
 * @returns everything tried, in order; the best one as `best`
 */
export async function searchLambda(
  grid: readonly number[],
  score: (lambda: number, index: number) => Promise<number>,
): Promise<{ readonly best: Tried; readonly tried: readonly Tried[] }> {
  const last = grid.length - 1;
  const tried = new Map<number, Tried>();
  const attempt = async (index: number): Promise<void> => {
    const lambda = grid[index];
    if (lambda === undefined || tried.has(index)) return;
    tried.set(index, { index, lambda, score: await score(lambda, index) });
  };
  const best = (): Tried => {
    const [first, ...others] = [...tried.values()].sort((a, b) => b.score - a.score || b.lambda - a.lambda);
    if (!first) throw new Error(`search: expected values to try, got ${others.length}`);
    return first;
  };
  const distance = last / (FIRST - 1);
  for (let i = 0; i < FIRST; i++) await attempt(Math.round(i * distance));
  for (let step = Math.ceil(distance); step > 1; ) {
    step = Math.ceil(step / 2);
    const { index } = best();
    await attempt(index - step);
    await attempt(index + step);
  }
  return { best: best(), tried: [...tried.values()] };
}
