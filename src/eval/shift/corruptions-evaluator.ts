import { type DecodedImage, preprocess, type RgbImage } from "../../image/index.ts";
import { accuracyInterval, bootstrap } from "../bootstrap.ts";
import { classWeights } from "../class-weights.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { type EvalDetails, type EvalResult, type Figure, readResults } from "../result.ts";
import type { FeatureSet } from "../tasks/features.ts";
import { changed } from "../tasks/labelled-images.ts";
import {
  ALEXNET_ERRORS,
  type CorruptionErrors,
  meanCorruptionError,
  meanError,
  relativeCorruptionError,
} from "./corruption-error.ts";
import { CORRUPTIONS, type Corruption, corrupt, SEVERITIES } from "./corruptions.ts";
import { dataOf, predictions, resultOf, singleLabels } from "./evaluation-parts.ts";
import { corruptedSide, tableFor } from "./severity-tables.ts";

/** Raised whenever a corruption comes out otherwise, so that features of the old pictures are not taken for the new ones'. */
const VERSION = 1;

/** Right and wrong answers by picture: what every figure is made from. */
interface Answers {
  /** By picture in the source. */
  readonly right: ReadonlyMap<number, boolean>;
  readonly unreadable: number;
}

/**
 * Zero-shot accuracy on the test pictures under the fifteen corruptions at five strengths. Pictures are brought to the side of the
 * nearest published table (224, 64 or 32) first, corrupted there, and go through the model's own preprocessing as ImageNet-C's do.
 * Options: `reference`, a file of results of this kind or `alexnet`, by whose errors mCE is divided.
 */
export const evaluateCorruptions: Evaluator = async (context) => {
  const started = performance.now();
  const { clip, classNames, templates, seed } = context;
  const reference = await referenceOf(context);
  const images = await context.images("test");
  singleLabels("corruptions", images);
  const side = corruptedSide(clip.config.imageSize);
  const table = tableFor(side);
  const weights = await classWeights(clip, classNames, templates, context.cache);
  const { background } = clip.preprocess;
  const small = (image: DecodedImage): RgbImage =>
    preprocess(image, { ...ENLARGED, size: side, ...(background !== undefined && { background }) });

  const total = 1 + CORRUPTIONS.length * SEVERITIES.length;
  let done = 0;
  const answers = async (corruption?: Corruption, severity: (typeof SEVERITIES)[number] = 1): Promise<Answers> => {
    context.signal?.throwIfAborted();
    context.progress("corruptions", done++, total);
    const change = { version: VERSION, side, seed, corruption: corruption ?? "none", severity };
    const name = `${images.name}, ${corruption === undefined ? "clean" : `${corruption} ${severity}`}`;
    const made = changed(images, change, name, (image, index) =>
      corruption === undefined
        ? small(image)
        : corrupt(small(image), corruption, severity, { seed: [seed, index], table }),
    );
    return answersOf(await context.featuresOf(made), weights);
  };

  const clean = await answers();
  const all = new Map<Corruption, Answers[]>();
  for (const corruption of CORRUPTIONS) {
    const list: Answers[] = [];
    for (const severity of SEVERITIES) list.push(await answers(corruption, severity));
    all.set(corruption, list);
  }
  context.progress("corruptions", total, total);

  const error = ({ right }: Answers): number => 1 - share(right);
  const errors: CorruptionErrors = (name) => (all.get(name) ?? []).map(error);
  const cleanError = error(clean);
  const figures: Figure[] = [
    { name: "mean top-1 under corruption", ...meanAccuracy([...all.values()].flat(), seed), unit: "share" },
    { name: "mean corruption error", value: meanError(errors), samples: clean.right.size, unit: "share" },
    { name: "top-1 on clean pictures", ...shareFigure(clean), unit: "share" },
  ];
  const score = (name: string, value: number): Figure => ({ name, value, samples: clean.right.size, unit: "score" });
  if (reference) {
    figures.push(score(`mCE against ${reference.name}`, meanCorruptionError(errors, reference.errors)));
    if (reference.clean !== undefined) {
      const relative = relativeCorruptionError(errors, cleanError, reference.errors, reference.clean);
      if (Number.isFinite(relative)) figures.push(score(`relative mCE against ${reference.name}`, relative));
    }
  }
  return [
    resultOf(context, {
      kind: "corruptions",
      data: dataOf(images, clean.unreadable),
      figures,
      settings: { templates: [...templates], side, table: table.side, reference: reference?.name ?? "none" },
      details: detailsOf(all, errors, cleanError),
      started,
    }),
  ];
};

/** To the side of the table, as the official transform resizes. */
const ENLARGED = {
  resize: "shortest",
  interpolation: "bicubic",
  mean: [0, 0, 0],
  deviation: [1, 1, 1],
  fill: 0,
} as const;

async function answersOf(set: FeatureSet, weights: readonly Float32Array[]): Promise<Answers> {
  const found = await predictions(set.projected, weights);
  const right = new Map<number, boolean>();
  for (const [row, predicted] of found.entries()) right.set(set.indices[row] ?? -1, predicted === set.labels[row]);
  return { right, unreadable: set.unreadable.length };
}

const count = (right: ReadonlyMap<number, boolean>): number => [...right.values()].filter(Boolean).length;
const share = (right: ReadonlyMap<number, boolean>): number => count(right) / right.size;

function shareFigure({ right }: Answers): Pick<Figure, "value" | "low" | "high" | "samples"> {
  const { value, low, high } = accuracyInterval(count(right), right.size);
  return { value, low, high, samples: right.size };
}

/** Pictures are drawn anew, each with all its corrupted versions, since these are not independent. */
function meanAccuracy(answers: readonly Answers[], seed: number): Pick<Figure, "value" | "low" | "high" | "samples"> {
  const pictures = [...(answers[0]?.right.keys() ?? [])];
  const each = pictures.map((picture) => {
    const known = answers.flatMap(({ right }) => right.get(picture) ?? []);
    return known.filter(Boolean).length / known.length;
  });
  const mean = (indices: Uint32Array): number => indices.reduce((sum, i) => sum + (each[i] ?? 0), 0) / indices.length;
  const { value, low, high } = bootstrap(each.length, mean, { seed });
  return { value, low, high, samples: each.length };
}

function detailsOf(
  all: ReadonlyMap<Corruption, readonly Answers[]>,
  errors: CorruptionErrors,
  clean: number,
): EvalDetails {
  const percent = (value: number): string => (100 * value).toFixed(1);
  const rows = CORRUPTIONS.map((name) => {
    const list = errors(name).map((error) => 1 - error);
    return [name, ...list.map(percent), percent(list.reduce((sum, x) => sum + x, 0) / list.length)];
  });
  return {
    tables: [
      {
        title: "Top-1 in per cent by corruption and strength",
        head: ["corruption", ...SEVERITIES.map(String), "mean"],
        rows: [["none", ...SEVERITIES.map(() => percent(1 - clean)), percent(1 - clean)], ...rows],
      },
    ],
    curves: [
      {
        title: "Top-1 over the strength of corruption",
        x: { name: "strength" },
        y: { name: "top-1", unit: "share" },
        lines: CORRUPTIONS.map((name) => ({
          name,
          points: [
            { x: 0, y: 1 - clean },
            ...(all.get(name) ?? []).map((answers, i) => {
              const { value, low, high } = shareFigure(answers);
              return { x: i + 1, y: value, ...(low !== undefined && high !== undefined ? { low, high } : {}) };
            }),
          ],
        })),
      },
    ],
    notes: [
      "Frost is made, not photographed: its figures cannot be compared with published ones.",
      "Corrupted pictures are not stored as JPEG, as those of ImageNet-C are at quality 85.",
    ],
  };
}

interface Reference {
  readonly name: string;
  readonly errors: CorruptionErrors;
  readonly clean?: number;
}

async function referenceOf({ options, task }: EvalContext): Promise<Reference | undefined> {
  const { reference } = options;
  if (reference === undefined) return undefined;
  if (reference === "alexnet")
    return { name: "AlexNet on ImageNet-C", errors: (name) => SEVERITIES.map(() => ALEXNET_ERRORS[name]) };
  const path = String(reference);
  const results = await readResults(path);
  const found = results.find((result) => result.kind === "corruptions" && result.task === task.name);
  if (!found) throw new Error(`${path}: has no result of corruptions on ${task.name}`);
  return { name: found.model.name, ...errorsOf(found, path) };
}

function errorsOf({ details }: EvalResult, path: string): Pick<Reference, "errors" | "clean"> {
  const lines = details?.curves?.[0]?.lines ?? [];
  const points = (name: Corruption): number[] =>
    (lines.find((line) => line.name === name)?.points ?? []).map(({ y }) => 1 - y);
  const errors: CorruptionErrors = (name) => points(name).slice(1);
  for (const name of CORRUPTIONS)
    if (errors(name).length !== SEVERITIES.length)
      throw new Error(`${path}: ${name}: expected ${SEVERITIES.length} strengths, got ${errors(name).length}`);
  const [clean] = points("fog");
  return clean === undefined ? { errors } : { errors, clean };
}
