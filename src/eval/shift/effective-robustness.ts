/**
 * Effective robustness (Taori et al. 2020, arXiv 2007.00644, section 2; CLIP, section 3.3): accuracy under a shift beyond what accuracy without it
 * predicts, the prediction being a line fitted to other models' accuracies, both as logits.
 */

export interface AccuracyPair {
  /** Share on pictures like those that were trained on. */
  readonly base: number;
  /** Share on the shifted ones. */
  readonly shifted: number;
}

export interface LogitLine {
  readonly slope: number;
  readonly intercept: number;
  /** Share of the variance of the shifted logits that the line explains. */
  readonly explained: number;
}

export const logit = (share: number): number => Math.log(share / (1 - share));
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** A count as a share that has a logit: half an answer more is right, and half one more wrong (Haldane and Anscombe). */
export const logitShare = (right: number, total: number): number => (right + 0.5) / (total + 1);

/** Least squares on logits. @throws one line if there are not two different accuracies to lay a line through */
export function fitLogitLine(models: readonly AccuracyPair[]): LogitLine {
  const x = models.map(({ base }) => logit(base));
  const y = models.map(({ shifted }) => logit(shifted));
  const n = models.length;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / n;
  const [mx, my] = [mean(x), mean(y)];
  const sxx = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  const sxy = x.reduce((sum, value, i) => sum + (value - mx) * ((y[i] ?? 0) - my), 0);
  const syy = y.reduce((sum, value) => sum + (value - my) ** 2, 0);
  if (!(n >= 2 && sxx > 0 && Number.isFinite(sxy)))
    throw new Error(`effective robustness: expected models with different accuracies between 0 and 1, got ${n}`);
  const slope = sxy / sxx;
  return { slope, intercept: my - slope * mx, explained: syy === 0 ? 1 : (sxy * sxy) / (sxx * syy) };
}

/** Accuracy under the shift that the line expects. */
export const expected = ({ slope, intercept }: LogitLine, base: number): number =>
  sigmoid(intercept + slope * logit(base));

/** Shifted accuracy less the expected one: above 0 is robust beyond accuracy. */
export const effectiveRobustness = (line: LogitLine, { base, shifted }: AccuracyPair): number =>
  shifted - expected(line, base);
