/** From the scores of a classifier to the task's own metric, by which classifiers are chosen on validation. */
import { statisticOf } from "../metrics.ts";
import { allRows } from "../outcome.ts";
import { scoredFrom } from "../scoring.ts";
import type { MetricName } from "../tasks/task.ts";
import type { Criterion } from "./linear-probe.ts";

/** The class with the highest score of each row; of equal ones the first. @param scores [rows, classes] */
export function predictedOf(scores: Float32Array, classes: number): Int32Array {
  const predicted = new Int32Array(scores.length / classes);
  for (let row = 0; row < predicted.length; row++) {
    let best = 0;
    for (let c = 1; c < classes; c++)
      if ((scores[row * classes + c] ?? 0) > (scores[row * classes + best] ?? 0)) best = c;
    predicted[row] = best;
  }
  return predicted;
}

/** The task's metric. */
export const criterionOf =
  (metric: MetricName): Criterion =>
  (scores, truth) =>
    statisticOf(metric, scoredFrom(truth, scores))(allRows(truth.labels.length));
