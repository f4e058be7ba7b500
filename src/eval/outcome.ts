/** From what a classifier said to what an evaluation returns. */
import { encodePng, preprocess } from "../image/index.ts";
import { packageVersion } from "../train/version.ts";
import { accuracyInterval, bootstrap, exactInterval } from "./bootstrap.ts";
import { reliability } from "./calibration.ts";
import type { EvalContext } from "./evaluator.ts";
import { meanPerClass, type Scored, type Statistic, statisticOf, within } from "./metrics.ts";
import type { EvalDetails, EvalKind, EvalResult, Figure } from "./result.ts";
import { hashOf } from "./tasks/content-hash.ts";
import type { FeatureSet } from "./tasks/features.ts";
import { pixelsOf } from "./tasks/labelled-images.ts";
import type { LabelledImages, MetricName } from "./tasks/task.ts";

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
  details?: EvalDetails,
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
      hash: hashOf(images.contentHash, [...images.labels], classNames).slice(0, 32),
      pictures: images.count,
      unreadable: unreadable.length,
      classes: classNames.length,
    },
    figures,
    settings,
    seed,
    versions: { "clip-ts": packageVersion(), node: process.versions.node, engine: clip.engine.name },
    seconds: (performance.now() - begun) / 1000,
    ...(details && { details }),
  };
}

/** Draws of all resamples of a bootstrap together, at most: more pictures need fewer resamples. */
const MOST_DRAWS = 1e8;

export function resamplesFor(pictures: number): number {
  return Math.max(200, Math.min(2000, Math.floor(MOST_DRAWS / pictures)));
}

/** A figure of all pictures, with its interval. */
export function figureOf(name: string, metric: MetricName, scored: Scored, seed: number): Figure {
  const samples = scored.labels.length;
  if (metric === "accuracy") return shareFigure(name, within(scored.ranks, 1), samples);
  return bootstrapped(name, statisticOf(metric, scored), scored, seed);
}

/** The task's own figure first, then what single labels have besides. */
export function figuresOf(metric: MetricName, scored: Scored, seed: number): Figure[] {
  const own = figureOf(metric === "accuracy" ? "top-1" : metric, metric, scored, seed);
  if (scored.several) return [own];
  const samples = scored.labels.length;
  const others = [shareFigure("top-1", within(scored.ranks, 1), samples)];
  if (scored.classes > 5) others.push(shareFigure("top-5", within(scored.ranks, 5), samples));
  // Of classes with one picture each it is the top-1, and resampling, which then picks classes, would make its interval too narrow.
  if (samples >= 2 * new Set(scored.labels).size)
    others.push(bootstrapped("mean per class", meanPerClass(scored), scored, seed));
  return [own, ...others.filter(({ name }) => name !== own.name)];
}

function shareFigure(name: string, statistic: Statistic, samples: number): Figure {
  const found = Math.round(statistic(allRows(samples)) * samples);
  const { value, low, high } = accuracyInterval(found, samples);
  return { name, value, low, high, samples, unit: "share" };
}

function bootstrapped(name: string, statistic: Statistic, scored: Scored, seed: number): Figure {
  const { labels, several } = scored;
  const samples = labels.length;
  // Every resample has pictures of both classes then, without which there is no such figure.
  const strata = scored.classes === 2 && !several ? { strata: labels } : {};
  const { value, low, high } = bootstrap(samples, statistic, { seed, resamples: resamplesFor(samples), ...strata });
  return { name, value, low, high, samples, unit: "share" };
}

export const allRows = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, row) => row);

/** Picture by picture in a file of results: beyond that it would only be long. */
const MOST_PREDICTIONS = 200_000;
/** Mistakes that are shown, and the side of their pictures in pixels. */
const WORST = 24;
const THUMBNAIL = 72;

/** What a report draws of a classifier. */
export async function classificationDetails(
  { classNames }: Pick<EvalContext, "classNames">,
  images: LabelledImages,
  { indices }: Pick<FeatureSet, "indices">,
  scored: Scored,
): Promise<EvalDetails> {
  if (scored.several) return { classNames, notes: ["Pictures have several labels: there is no confusion of classes."] };
  const { labels, predicted, confidence, classes } = scored;
  const seen = new Int32Array(classes);
  const found = new Int32Array(classes);
  const pairs = new Map<number, number>();
  for (const [row, label] of labels.entries()) {
    const answer = predicted[row] ?? 0;
    seen[label] = (seen[label] ?? 0) + 1;
    if (answer === label) found[label] = (found[label] ?? 0) + 1;
    const pair = label * classes + answer;
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  const cells = [...pairs].sort(([a], [b]) => a - b);
  const correct = labels.map((label, row) => Number(label === predicted[row]));
  return {
    classNames,
    perClass: classNames.map((_, c) => {
      const [samples, right] = [seen[c] ?? 0, found[c] ?? 0];
      return samples === 0
        ? { samples, value: 0 }
        : { samples, value: right / samples, ...exactInterval(right, samples) };
    }),
    confusion: {
      actual: cells.map(([pair]) => Math.floor(pair / classes)),
      predicted: cells.map(([pair]) => pair % classes),
      counts: cells.map(([, count]) => count),
    },
    ...(labels.length <= MOST_PREDICTIONS && {
      predictions: {
        index: [...indices],
        label: [...labels],
        predicted: [...predicted],
        confidence: Array.from(confidence, (value) => Number(value.toPrecision(6))),
      },
    }),
    calibration: reliability(confidence, correct),
    worst: await worstMistakes(classNames, images, indices, scored),
  };
}

async function worstMistakes(
  classNames: readonly string[],
  images: LabelledImages,
  indices: Int32Array,
  { labels, predicted, confidence }: Scored,
): Promise<EvalDetails["worst"]> {
  const wrong = [...allRows(labels.length)].filter((row) => predicted[row] !== labels[row]);
  wrong.sort((a, b) => (confidence[b] ?? 0) - (confidence[a] ?? 0) || a - b);
  const worst = [];
  for (const row of wrong.slice(0, WORST)) {
    const index = indices[row] ?? 0;
    worst.push({
      picture: { name: images.describe(index), index, thumbnail: await thumbnail(images, index) },
      label: classNames[labels[row] ?? -1] ?? "",
      predicted: classNames[predicted[row] ?? -1] ?? "",
      confidence: confidence[row] ?? 0,
    });
  }
  return worst;
}

/** The whole picture, small. */
export async function thumbnail(images: LabelledImages, index: number): Promise<string> {
  const small = preprocess(await pixelsOf(images, index), {
    ...{ size: [THUMBNAIL, THUMBNAIL], resize: "longest", interpolation: "bicubic", fill: 255, background: 255 },
    ...{ mean: [0, 0, 0], deviation: [1, 1, 1] },
  });
  return `data:image/png;base64,${Buffer.from(await encodePng(small)).toString("base64")}`;
}
