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

/** @throws one line if the metric is none of single labels */
export function criterionOf(metric: MetricName): Criterion {
  if (metric === "11-point mAP")
    throw new Error("11-point mAP: pictures with several labels have no probe and no few-shot classifier here");
  return (scores, labels) => statisticOf(metric, scoredFrom({ labels }, scores))(allRows(labels.length));
}
