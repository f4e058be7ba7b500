/** What classifiers are chosen by on validation: the task's own metric. */
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

/** Right answers and rows of each class. */
export function countsOf(predicted: Int32Array, labels: Int32Array, classes: number) {
  const correct = new Int32Array(classes);
  const rows = new Int32Array(classes);
  for (const [row, label] of labels.entries()) {
    rows[label] = (rows[label] ?? 0) + 1;
    if (predicted[row] === label) correct[label] = (correct[label] ?? 0) + 1;
  }
  return { correct, rows };
}

/** Share of right answers; 0 to 1. */
export const accuracyOf = (predicted: Int32Array, labels: Int32Array): number =>
  predicted.filter((label, row) => label === labels[row]).length / labels.length;

/** Mean over the classes that occur of their share of right answers; 0 to 1. */
export function meanPerClassOf(predicted: Int32Array, labels: Int32Array, classes: number): number {
  const { correct, rows } = countsOf(predicted, labels, classes);
  const shares = [...rows.keys()].flatMap((c) => (rows[c] ? [(correct[c] ?? 0) / (rows[c] ?? 1)] : []));
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** Share of pairs of a row of class 1 and one of class 0 that class 1's score puts in order; ties count half. */
export function rocAucOf(scores: Float32Array, labels: Int32Array): number {
  const margins = [...labels.keys()].map((row) => ({
    margin: (scores[2 * row + 1] ?? 0) - (scores[2 * row] ?? 0),
    positive: labels[row] === 1,
  }));
  margins.sort((a, b) => a.margin - b.margin);
  const positives = margins.filter(({ positive }) => positive).length;
  let [below, ordered] = [0, 0];
  for (let i = 0; i < margins.length; ) {
    let end = i;
    while (end < margins.length && margins[end]?.margin === margins[i]?.margin) end++;
    const here = margins.slice(i, end).filter(({ positive }) => positive).length;
    ordered += here * (below + (end - i - here) / 2);
    below += end - i - here;
    i = end;
  }
  return ordered / (positives * (labels.length - positives));
}

/** @throws one line if the metric is none of single labels */
export function criterionOf(metric: MetricName, classes: number): Criterion {
  switch (metric) {
    case "accuracy":
    case "mean of two":
      return (scores, labels) => accuracyOf(predictedOf(scores, classes), labels);
    case "mean per class":
      return (scores, labels) => meanPerClassOf(predictedOf(scores, classes), labels, classes);
    case "ROC AUC":
      if (classes !== 2) throw new Error(`ROC AUC: expected two classes, got ${classes}`);
      return rocAucOf;
    case "11-point mAP":
      throw new Error("11-point mAP: pictures with several labels have no linear probe or few-shot classifier here");
  }
}
