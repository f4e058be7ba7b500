/** From scores to what an evaluation returns. */
import { createHash } from "node:crypto";
import { packageVersion } from "../../train/version.ts";
import { accuracyInterval, bootstrap } from "../bootstrap.ts";
import type { EvalContext } from "../evaluator.ts";
import { accuracyOf, countsOf, meanPerClassOf, predictedOf, rocAucOf } from "../probe/criteria.ts";
import type { EvalDetails, EvalKind, EvalResult, Figure } from "../result.ts";
import type { FeatureSet } from "../tasks/features.ts";
import type { LabelledImages } from "../tasks/task.ts";

/** Everything but what was found out. */
export interface ResultHead {
  readonly kind: EvalKind;
  readonly settings: EvalResult["settings"];
  /** When the evaluation began, as of `performance.now()`. */
  readonly begun: number;
}

export async function resultOf(
  context: EvalContext,
  { kind, settings, begun }: ResultHead,
  figures: readonly Figure[],
  details: EvalDetails,
): Promise<EvalResult> {
  const { clip, modelName, task, seed, classNames } = context;
  const images = await context.images("test");
  const { unreadable } = await context.features("test");
  return {
    kind,
    task: task.name,
    model: { name: modelName, fingerprint: clip.fingerprint },
    data: {
      name: images.name,
      hash: dataHash(images, classNames),
      pictures: images.count,
      unreadable: unreadable.length,
      classes: classNames.length,
    },
    figures,
    settings,
    seed,
    versions: { "clip-ts": packageVersion(), node: process.versions.node, engine: clip.engine.name },
    seconds: (performance.now() - begun) / 1000,
    details,
  };
}

function dataHash({ contentHash, labels }: LabelledImages, classNames: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify({ contentHash, classNames }));
  hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength));
  return hash.digest("hex").slice(0, 32);
}

/** The task's figure and the others that single labels have. @param scores [rows, classes], whose softmaxes are probabilities */
export function figuresOf(context: EvalContext, { labels }: FeatureSet, scores: Float32Array): Figure[] {
  const { task, seed, classNames } = context;
  const classes = classNames.length;
  const predicted = predictedOf(scores, classes);
  const correct = Math.round(accuracyOf(predicted, labels) * labels.length);
  const { value, low, high } = accuracyInterval(correct, labels.length);
  const top1: Figure = { name: "top-1", value, low, high, samples: labels.length, unit: "share" };
  const among = (statistic: (rows: Uint32Array) => number, name: string): Figure => {
    const found = bootstrap(labels.length, statistic, { seed, strata: labels });
    return { name, value: found.value, low: found.low, high: found.high, samples: labels.length, unit: "share" };
  };
  const perClass = (): Figure =>
    among(
      (rows) =>
        meanPerClassOf(
          Int32Array.from(rows, (r) => predicted[r] ?? 0),
          picked(labels, rows),
          classes,
        ),
      "mean per class",
    );
  switch (task.metric) {
    case "mean per class":
      return [perClass(), top1];
    case "ROC AUC": {
      const margins = (rows: Uint32Array): Float32Array =>
        Float32Array.from({ length: 2 * rows.length }, (_, i) => scores[2 * (rows[i >> 1] ?? 0) + (i & 1)] ?? 0);
      return [among((rows) => rocAucOf(margins(rows), picked(labels, rows)), "ROC AUC"), top1];
    }
    default:
      return [top1, perClass()];
  }
}

const picked = (labels: Int32Array, rows: Uint32Array): Int32Array => Int32Array.from(rows, (row) => labels[row] ?? -1);

/** What a report draws of a classifier: classes, confusion, picture by picture. */
export function classificationDetails(
  { classNames }: EvalContext,
  { labels, indices }: FeatureSet,
  scores: Float32Array,
): EvalDetails {
  const classes = classNames.length;
  const predicted = predictedOf(scores, classes);
  const { correct, rows } = countsOf(predicted, labels, classes);
  const pairs = new Map<number, number>();
  for (const [row, label] of labels.entries()) {
    const pair = label * classes + (predicted[row] ?? 0);
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  const cells = [...pairs].sort(([a], [b]) => a - b);
  return {
    classNames: [...classNames],
    perClass: classNames.map((_, c) => {
      const samples = rows[c] ?? 0;
      if (samples === 0) return { samples, value: 0 };
      const { value, low, high } = accuracyInterval(correct[c] ?? 0, samples);
      return { samples, value, low, high };
    }),
    confusion: {
      actual: cells.map(([pair]) => Math.floor(pair / classes)),
      predicted: cells.map(([pair]) => pair % classes),
      counts: cells.map(([, count]) => count),
    },
    predictions: {
      index: [...indices],
      label: [...labels],
      predicted: [...predicted],
      confidence: [...predicted.keys()].map((row) => confidence(scores.subarray(row * classes, (row + 1) * classes))),
    },
  };
}

/** The softmax's highest probability. */
function confidence(scores: Float32Array): number {
  const highest = Math.max(...scores);
  return 1 / scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
}
