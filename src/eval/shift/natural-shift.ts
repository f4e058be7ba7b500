import { accuracyInterval, bootstrap } from "../bootstrap.ts";
import { classWeights } from "../class-weights.ts";
import type { EvalContext } from "../evaluator.ts";
import type { EvalDetails, EvalResult, Figure } from "../result.ts";
import { hashOf } from "../tasks/content-hash.ts";
import { pixelsOf } from "../tasks/labelled-images.ts";
import type { LabelledImages } from "../tasks/task.ts";
import {
  type AccuracyPair,
  effectiveRobustness,
  expected,
  fitLogitLine,
  type LogitLine,
  logitShare,
} from "./effective-robustness.ts";
import { eachRow, nearest, resultOf, singleLabels } from "./evaluation-parts.ts";
import { type PixelClassifier, pixelClassifiers } from "./pixel-classifiers.ts";

/** Two sets of pictures of the same classes, by name, that differ in how these look. */
export interface ShiftedImages {
  readonly name: string;
  readonly base: LabelledImages;
  readonly shifted: LabelledImages;
  /** What supervised models learn from: pictures like those of `base`. */
  readonly train?: LabelledImages;
}

/** Right and wrong of one model on both sets, picture by picture. */
interface Answers {
  readonly name: string;
  readonly base: Uint8Array;
  readonly shifted: Uint8Array;
}

/**
 * Accuracy on both sets, among the classes that have pictures in both, and effective robustness against ridge classifiers of the pixels that
 * learn from `train`, and against models whose results on the same shift are given.
 * @throws one line if there are fewer than two such classes
 */
export async function shiftResult(
  context: EvalContext,
  { name, base, shifted, train }: ShiftedImages,
  references: readonly EvalResult[],
): Promise<EvalResult> {
  const started = performance.now();
  const { clip, templates, cache, seed, task } = context;
  for (const images of [base, shifted]) singleLabels("natural-shift", images);
  const names = sharedNames(base, shifted);
  if (names.length < 2)
    throw new Error(
      `natural-shift: ${base.name} and ${shifted.name} share ${names.length} names of classes; expected two`,
    );
  const weights = await classWeights(clip, names, templates, cache);
  const [on, under] = [labelsIn(base, names), labelsIn(shifted, names)];
  const own: Answers = {
    name: context.modelName,
    base: await answersOf(context, base, on, weights),
    shifted: await answersOf(context, shifted, under, weights),
  };
  const pixel = train ? await supervised(context, train, names, [base, on], [shifted, under]) : [];
  const others = references.flatMap((result) => pointsOf(result, name));
  const wanted = (labels: Int32Array): number => labels.filter((label) => label >= 0).length;
  const pictures = own.base.length + own.shifted.length;
  return resultOf(context, {
    kind: "natural-shift",
    data: {
      name: `${base.name}; ${shifted.name}`,
      hash: hashOf("shift", base.contentHash, shifted.contentHash, names),
      pictures,
      unreadable: wanted(on) + wanted(under) - pictures,
      classes: names.length,
    },
    figures: figuresOf(own, pixel, others, seed),
    settings: {
      ...{ shift: name, templates: [...templates], task: task.name },
      supervised: pixel.map((model) => model.name),
      references: others.map((model) => model.name),
    },
    details: detailsOf(name, own, pixel, others),
    started,
  });
}

/** Names of classes that have pictures in both, in the order of the first; capitals do not matter. */
function sharedNames(base: LabelledImages, shifted: LabelledImages): string[] {
  const shown = ({ labels, classNames }: LabelledImages): Set<string> =>
    new Set([...labels].map((label) => (classNames[label] ?? "").toLowerCase()));
  const [here, there] = [shown(base), shown(shifted)];
  const isShared = (name: string): boolean =>
    name !== "" && here.has(name.toLowerCase()) && there.has(name.toLowerCase());
  return base.classNames.filter(isShared);
}

/** [pictures]: the number of the picture's class among the names, -1 where it is none of them. */
function labelsIn({ labels, classNames }: LabelledImages, names: readonly string[]): Int32Array {
  const place = new Map(names.map((name, i) => [name.toLowerCase(), i]));
  return labels.map((label) => place.get((classNames[label] ?? "").toLowerCase()) ?? -1);
}

async function answersOf(
  context: EvalContext,
  images: LabelledImages,
  labels: Int32Array,
  weights: readonly Float32Array[],
): Promise<Uint8Array> {
  const set = await context.featuresOf(images);
  const right: number[] = [];
  await eachRow(set.projected, (row, i) => {
    const label = labels[set.indices[i] ?? -1] ?? -1;
    if (label >= 0) right.push(nearest(row, weights) === label ? 1 : 0);
  });
  return Uint8Array.from(right);
}

type Labelled = readonly [images: LabelledImages, labels: Int32Array];

async function supervised(
  context: EvalContext,
  images: LabelledImages,
  names: readonly string[],
  base: Labelled,
  shifted: Labelled,
): Promise<readonly Answers[]> {
  const labels = labelsIn(images, names);
  const classifiers = await pixelClassifiers(
    { count: images.count, label: (i) => labels[i] ?? -1, image: (i) => pixelsOf(images, i) },
    names.length,
    context.seed,
    (done, total) => context.progress("supervised models", done, total),
  );
  const on = await classified(context, classifiers, base);
  const under = await classified(context, classifiers, shifted);
  const none = new Uint8Array();
  return classifiers.map(({ name }, k) => ({ name, base: on[k] ?? none, shifted: under[k] ?? none }));
}

/** Right and wrong of each classifier; pictures that cannot be read are left out of all. */
async function classified(
  { signal }: EvalContext,
  classifiers: readonly PixelClassifier[],
  [images, labels]: Labelled,
): Promise<readonly Uint8Array[]> {
  const right: number[][] = classifiers.map(() => []);
  for (const [index, label] of labels.entries()) {
    signal?.throwIfAborted();
    const image = label < 0 ? undefined : await pixelsOf(images, index).catch(() => undefined);
    if (image) for (const [c, { classify }] of classifiers.entries()) right[c]?.push(classify(image) === label ? 1 : 0);
  }
  return right.map((answers) => Uint8Array.from(answers));
}

interface Point extends AccuracyPair {
  readonly name: string;
}

/** Another model's accuracies on the same shift. */
function pointsOf({ settings, figures, model }: EvalResult, shift: string): Point[] {
  if (settings.shift !== shift) return [];
  const [base, shifted] = [figures.find(({ name }) => name === BASE), figures.find(({ name }) => name === SHIFTED)];
  if (!base || !shifted) return [];
  const share = ({ value, samples }: Figure): number => logitShare(value * samples, samples);
  return [{ name: model.name, base: share(base), shifted: share(shifted) }];
}

const BASE = "top-1 without shift";
const SHIFTED = "top-1 under shift";

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0);

function pointOf({ name, base, shifted }: Answers): Point {
  return { name, base: logitShare(sum(base), base.length), shifted: logitShare(sum(shifted), shifted.length) };
}

function lineOf(points: readonly AccuracyPair[]): LogitLine | undefined {
  // Two points leave nothing to tell a line from chance.
  return points.length < 3 ? undefined : fitLogitLine(points);
}

function figuresOf(own: Answers, pixel: readonly Answers[], others: readonly Point[], seed: number): Figure[] {
  const share = (name: string, right: Uint8Array): Figure => {
    const { value, low, high } = accuracyInterval(sum(right), right.length);
    return { name, value, low, high, samples: right.length, unit: "share" };
  };
  const n = own.base.length;
  const samples = n + own.shifted.length;
  const strata = Array.from({ length: samples }, (_, i) => (i < n ? 0 : 1));
  const shares = ({ base, shifted }: Answers, indices: Uint32Array) => {
    const [on, under] = [indices.subarray(0, n), indices.subarray(n)];
    return [picked(base, on, 0), on.length, picked(shifted, under, n), under.length] as const;
  };
  const lost = bootstrap(
    samples,
    (indices) => {
      const [on, ofBase, under, ofShifted] = shares(own, indices);
      return on / ofBase - under / ofShifted;
    },
    { seed, strata },
  );
  const accuracies: Figure[] = [
    share(SHIFTED, own.shifted),
    share(BASE, own.base),
    { name: "lost to the shift", value: lost.value, low: lost.low, high: lost.high, samples, unit: "share" },
  ];
  const line = lineOf([...pixel.map(pointOf), ...others]);
  if (!line) return accuracies;
  // All models see the same pictures: each resample draws pictures, and the line is fitted anew.
  const robustness = (indices: Uint32Array): number => {
    const drawn = (answers: Answers): AccuracyPair => {
      const [on, ofBase, under, ofShifted] = shares(answers, indices);
      return { base: logitShare(on, ofBase), shifted: logitShare(under, ofShifted) };
    };
    const points = [...pixel.map(drawn), ...others];
    // By chance, a draw can make all models equally good: then the line is the whole sample's.
    const isFlat = new Set(points.map(({ base }) => base)).size < 2;
    return effectiveRobustness(isFlat ? line : fitLogitLine(points), drawn(own));
  };
  const { value, low, high } = bootstrap(samples, robustness, { seed, strata, resamples: 1000 });
  return [
    { name: "effective robustness", value, low, high, samples, unit: "share" },
    ...accuracies,
    { name: "expected under shift", value: expected(line, pointOf(own).base), samples, unit: "share" },
    {
      name: "variance that the line explains",
      value: line.explained,
      samples: pixel.length + others.length,
      unit: "share",
    },
  ];
}

function picked(right: Uint8Array, indices: Uint32Array, offset: number): number {
  let total = 0;
  for (const i of indices) total += right[i - offset] ?? 0;
  return total;
}

function detailsOf(shift: string, own: Answers, pixel: readonly Answers[], others: readonly Point[]): EvalDetails {
  const at = ({ name, base, shifted }: Point) => ({ x: base, y: shifted, label: name });
  const models = [...pixel.map(pointOf), ...others];
  const line = lineOf(models);
  const ends = line ? [...models, pointOf(own)].map(({ base }) => base).sort((a, b) => a - b) : [];
  const drawn = line
    ? [ends[0], ends.at(-1)].flatMap((x) => (x === undefined ? [] : [{ x, y: expected(line, x) }]))
    : [];
  const percent = (share: number): string => (100 * share).toFixed(1);
  return {
    ...(models.length > 0 && {
      curves: [
        {
          title: `Accuracy ${shift}`,
          x: { name: BASE, unit: "share" },
          y: { name: SHIFTED, unit: "share" },
          logit: true,
          lines: [
            { name: own.name, points: [at(pointOf(own))] },
            { name: "supervised and given models", points: models.map(at) },
            ...(line ? [{ name: "their line", points: drawn }] : []),
          ],
        },
      ],
    }),
    tables: [
      {
        title: "Accuracies in per cent",
        head: ["model", BASE, SHIFTED],
        rows: [pointOf(own), ...models].map(({ name, base, shifted }) => [name, percent(base), percent(shifted)]),
      },
    ],
    ...(line
      ? {}
      : {
          notes: [
            "There are fewer than three models to compare with: no effective robustness. --reference FILE adds some.",
          ],
        }),
  };
}
