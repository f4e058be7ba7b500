/** Fine-tuning on a task: end to end or with a tower locked, and all weights between the model and the tuned one (WiSE-FT). */
import { normalized, rowsOf } from "../../directions.ts";
import type { HostTensors } from "../../engine/engine.ts";
import { hostTensor } from "../../graph/index.ts";
import { createTowers } from "../../towers.ts";
import { accuracyInterval } from "../bootstrap.ts";
import { classWeights } from "../class-weights.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { exampleCosines } from "../few-shot/tip-adapter.ts";
import { labelledPictures, namesOption, numbersOption, wholeOption } from "../learning/options.ts";
import { croppedPictures, wholePictures } from "../learning/pictures.ts";
import { gathered } from "../learning/stream.ts";
import type { LabelledPictures } from "../learning/supervised.ts";
import { trainTowers } from "../learning/tower-training.ts";
import { resultOf } from "../outcome.ts";
import { criterionOf } from "../probe/criteria.ts";
import type { EvalDetails, Figure } from "../result.ts";
import { normalizedMatrix } from "../tasks/features.ts";
import {
  drawnPrompts,
  ensemble,
  interpolated,
  type Prompts,
  promptsOf,
  TUNING_NAMES,
  TUNINGS,
  type TuningName,
} from "./tunings.ts";

/** Shares of the tuned weights. */
const ALPHAS = Array.from({ length: 11 }, (_, i) => i / 10);
/** WiSE-FT's, without the limit that it does not need here. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxNorm: 1 };
/** Pictures encoded at once. */
const CHUNK = 64;

interface Problem {
  readonly context: EvalContext;
  /** By published name, and the zero-shot `classifier` [classes, embedDim]. */
  readonly weights: HostTensors;
  readonly prompts: Prompts;
  readonly train: LabelledPictures;
  readonly validation: LabelledPictures;
  readonly test: LabelledPictures;
}

/** What became of one way of tuning. */
interface Tuned {
  readonly name: TuningName;
  readonly rate: number;
  /** For each alpha. */
  readonly points: readonly { readonly alpha: number; readonly validation: number; readonly test: number }[];
}

export const evaluateFineTuning: Evaluator = async (context) => {
  const begun = performance.now();
  const { clip, task, classNames, templates, options, cache } = context;
  const epochs = wholeOption(options, "epochs", 10);
  const rates = numbersOption(options, "rates", "1e-5,1e-4,1e-3");
  const names = namesOption(options, "methods", TUNING_NAMES);
  const rows = await classWeights(clip, classNames, templates, cache);
  const classifier = Float32Array.from(rows.flatMap((row) => [...row]));
  const problem: Problem = {
    context,
    weights: {
      ...(await clip.readWeights()),
      classifier: hostTensor("f32", [classNames.length, clip.config.embedDim], classifier),
    },
    prompts: promptsOf(clip, classNames, templates),
    train: await labelledPictures(context, "train"),
    validation: await labelledPictures(context, "validation"),
    test: await labelledPictures(context, "test"),
  };
  const results: Tuned[] = [];
  for (const name of names) results.push(await tune(name, problem, rates, epochs));
  const metric = task.metric === "accuracy" ? "top-1" : task.metric;
  const settings = {
    ...{ epochs, rates, templates: [...templates], trainingPictures: problem.train.labels.length },
    chosenBy: `${task.metric} on ${problem.validation.labels.length} pictures of validation: rate first, then alpha`,
    chosen: results.map((tuned) => ({ method: tuned.name, rate: tuned.rate, alpha: chosenOf(tuned).alpha })),
  };
  return [
    await resultOf(
      context,
      { kind: "fine-tuning", settings, begun },
      figures(results, metric, problem.test.labels.length),
      detailsOf(results, metric),
    ),
  ];
};

async function tune(name: TuningName, problem: Problem, rates: readonly number[], epochs: number): Promise<Tuned> {
  let best: { readonly rate: number; readonly validation: number; readonly tuned: HostTensors } | undefined;
  for (const rate of rates) {
    const tuned = await trained(name, problem, rate, epochs);
    const between = weightsBetween(name, problem, tuned, 1);
    const validation = await between.score("validation").finally(() => between.close());
    if (!best || validation > best.validation) best = { rate, validation, tuned };
  }
  if (!best) throw new Error("fine-tuning: expected a rate to try, got none");
  const points: Tuned["points"][number][] = [];
  for (const [i, alpha] of ALPHAS.entries()) {
    problem.context.progress(`${name}, weights between`, i, ALPHAS.length);
    const between = weightsBetween(name, problem, best.tuned, alpha);
    try {
      points.push({ alpha, validation: await between.score("validation"), test: await between.score("test") });
    } finally {
      await between.close();
    }
  }
  return { name, rate: best.rate, points };
}

async function trained(
  name: TuningName,
  { context, weights, prompts, train }: Problem,
  rate: number,
  epochs: number,
): Promise<HostTensors> {
  const { clip, classNames, seed, signal } = context;
  const { engine, config, preprocess, logitScale } = clip;
  const tuning = TUNINGS[name](logitScale);
  const isByTexts = tuning.kind === "texts";
  const size = config.imageSize;
  const crops = croppedPictures(train.images, preprocess, size, seed);
  const { count, read, width } = normalizedMatrix((await context.features("train")).projected);
  const features = isByTexts && !tuning.trainsImages ? await read(0, count) : undefined;
  return trainTowers({
    ...{ engine, config, pixels: preprocess, tuning, weights, classes: classNames.length, labels: train.labels },
    ...{ adam: ADAM, rate, epochs, batch: 64, seed },
    ...(isByTexts ? { prompts: drawnPrompts(prompts, seed) } : {}),
    ...(signal ? { signal } : {}),
    pictures: async (rows, step) => {
      if (features) return hostTensor("f32", [rows.length, width], gathered(features, width, rows));
      const numbers = rows.map((row) => train.indices[row] ?? 0);
      return hostTensor("u8", [rows.length, size, size, 3], await crops.crops(numbers, step));
    },
    onStep: (done, total) => context.progress(`${name}, rate ${rate}`, done, total),
  });
}

/** The model with weights between its own and the tuned ones, to be measured. */
function weightsBetween(name: TuningName, problem: Problem, tuned: HostTensors, alpha: number) {
  const { context, weights, prompts } = problem;
  const { clip, task } = context;
  const { engine, config, preprocess, logitScale: scale } = clip;
  const { embedDim: width } = config;
  const { classifier, ...mixed } = interpolated(weights, tuned, alpha);
  const towers = createTowers(engine, config, mixed, preprocess);
  const isByTexts = TUNINGS[name](scale).kind === "texts";
  let known: Promise<Float32Array> | undefined;
  const keys = (): Promise<Float32Array> => {
    known ??= isByTexts
      ? ensemble(towers.encodeTexts, prompts, width)
      : Promise.resolve(Float32Array.from(classifier?.data ?? []));
    return known;
  };
  const encoded = async ({ images, indices }: LabelledPictures): Promise<Float32Array> => {
    const features = new Float32Array(indices.length * width);
    for (let start = 0; start < indices.length; start += CHUNK) {
      context.signal?.throwIfAborted();
      const numbers = [...indices.subarray(start, start + CHUNK)];
      const pixels = await wholePictures(images, numbers, preprocess, config.imageSize);
      const rows = rowsOf((await towers.encodeImages(pixels, numbers.length)).features, width);
      for (const [i, row] of rows.entries()) features.set(normalized(row), (start + i) * width);
    }
    return features;
  };
  return {
    score: async (split: "validation" | "test"): Promise<number> => {
      const kept = normalizedMatrix((await context.features(split)).projected);
      const features = name === "image locked" ? await kept.read(0, kept.count) : await encoded(problem[split]);
      const cosines = await exampleCosines(engine, features, { keys: await keys(), width });
      const scores = cosines.map((cosine) => scale * cosine);
      return criterionOf(task.metric)(scores, problem[split]);
    },
    close: () => towers.close(),
  };
}

/** The alpha that does best on validation; of equally good ones the nearest to the model. */
function chosenOf({ points }: Tuned): Tuned["points"][number] {
  const [best] = [...points].sort((a, b) => b.validation - a.validation || a.alpha - b.alpha);
  if (!best) throw new Error("fine-tuning: no weights were measured");
  return best;
}

function figures(results: readonly Tuned[], metric: string, samples: number): Figure[] {
  const figure = (name: string, value: number): Figure => {
    if (metric !== "top-1") return { name, value, samples, unit: "share" };
    const { low, high } = accuracyInterval(Math.round(value * samples), samples);
    return { name, value, low, high, samples, unit: "share" };
  };
  return results.flatMap((tuned) => [
    figure(`${metric}, ${tuned.name}, weights between`, chosenOf(tuned).test),
    figure(`${metric}, ${tuned.name}`, tuned.points.at(-1)?.test ?? 0),
  ]);
}

function detailsOf(results: readonly Tuned[], metric: string): EvalDetails {
  const percent = (share: number | undefined): string => (100 * (share ?? 0)).toFixed(1);
  return {
    curves: [
      {
        title: "Weights between the model and the tuned one (WiSE-FT)",
        x: { name: "share of the tuned weights" },
        y: { name: metric, unit: "share" },
        lines: results.map(({ name, points }) => ({
          name,
          points: points.map(({ alpha, test }) => ({ x: alpha, y: test })),
        })),
      },
    ],
    tables: [
      {
        title: `${metric}, per cent`,
        head: ["tuned", "model", "tuned model", "weights between", "alpha", "rate"],
        rows: results.map((tuned) => {
          const { alpha, test } = chosenOf(tuned);
          const [first, last] = [tuned.points[0], tuned.points.at(-1)];
          return [tuned.name, percent(first?.test), percent(last?.test), percent(test), alpha, tuned.rate];
        }),
      },
    ],
  };
}
