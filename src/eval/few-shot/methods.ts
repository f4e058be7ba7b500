/** Ways to learn a classifier from a few examples of each class. Whatever is chosen is chosen on validation. */
import type { CLIP } from "../../clip.ts";
import { type Criterion, type LinearProbe, linearProbe } from "../probe/linear-probe.ts";
import { IN_DOUBLE_PRECISION } from "../probe/softmax-loss.ts";
import { memoryMatrix } from "../tasks/features.ts";
import { learnContext } from "./coop.ts";
import { cacheLogits, exampleCosines, searchTip, TIP_DEFAULT } from "./tip-adapter.ts";
import { trainKeys } from "./tip-training.ts";

/** Pictures as the methods see them, all in memory. */
export interface KnownPictures {
  /** [count, embedDim], each row of length 1. */
  readonly projected: Float32Array;
  /** [count, width], before the projection. */
  readonly pooled: Float32Array;
  /** Zero-shot logits: scale times cosine, [count, classes]. */
  readonly zeroShot: Float32Array;
  readonly labels: Int32Array;
}

export interface FewShotProblem {
  readonly clip: CLIP;
  readonly classNames: readonly string[];
  /** Width of the features before the projection. */
  readonly pooledWidth: number;
  /** The zero-shot classifier: one normalised row for each class. */
  readonly classifier: readonly Float32Array[];
  readonly examples: KnownPictures;
  readonly validation: KnownPictures;
  readonly test: KnownPictures;
  readonly criterion: Criterion;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

export interface FewShotAnswer {
  /** Of the test pictures: [count, classes]. */
  readonly scores: Float32Array;
  /** What was chosen on validation. */
  readonly chosen: Readonly<Record<string, number | string>>;
}

type Method = (problem: FewShotProblem) => Promise<FewShotAnswer>;

export const FEW_SHOT_METHODS = {
  /** On the features before the projection, knowing nothing of the names. */
  "linear probe": async (problem) => {
    const { classNames, pooledWidth: width, examples, validation, test } = problem;
    const rows = (pictures: KnownPictures) => ({
      rows: memoryMatrix(pictures.pooled, width),
      labels: pictures.labels,
    });
    return probed(
      await linearProbe(rows(examples), rows(validation), classNames.length, searchOptions(problem)),
      test.pooled,
      problem,
      width,
    );
  },
  /** On the normalised features in the space of texts; the penalty draws to the zero-shot classifier instead of zero. */
  "linear probe from zero-shot": async (problem) => {
    const { clip, classNames, classifier, examples, validation, test } = problem;
    const width = clip.config.embedDim;
    const rows = (pictures: KnownPictures) => ({
      rows: memoryMatrix(pictures.projected, width),
      labels: pictures.labels,
    });
    const prior = Float64Array.from(classifier.flatMap((row) => [...row].map((x) => x * clip.logitScale)));
    const probe = await linearProbe(rows(examples), rows(validation), classNames.length, {
      ...searchOptions(problem),
      prior,
    });
    return probed(probe, test.projected, problem, width);
  },
  "Tip-Adapter": async (problem) => {
    const { examples, validation, test, classNames, criterion } = problem;
    const cache = cacheOf(problem);
    const { alpha, beta } = searchTip(
      exampleCosines(validation.projected, cache),
      cache,
      validation.zeroShot,
      (logits) => criterion(logits, validation.labels),
    );
    const cached = cacheLogits(exampleCosines(test.projected, cache), cache, beta);
    const scores = test.zeroShot.map((logit, i) => logit + alpha * (cached[i] ?? 0));
    return { scores, chosen: { alpha, beta, examples: examples.labels.length, classes: classNames.length } };
  },
  "Tip-Adapter-F": async (problem) => {
    const { clip, examples, validation, test, criterion, seed, signal } = problem;
    const cache = cacheOf(problem);
    let best: (ReturnType<typeof searchTip> & { epoch: number; keys: Float32Array }) | undefined;
    const consider = (epoch: number, keys: Float32Array): void => {
      const tuned = { ...cache, keys };
      const found = searchTip(exampleCosines(validation.projected, tuned), tuned, validation.zeroShot, (logits) =>
        criterion(logits, validation.labels),
      );
      if (!best || found.score > best.score) best = { ...found, epoch, keys };
    };
    consider(0, cache.keys);
    await trainKeys(clip.engine, cache, examples.zeroShot, {
      seed,
      onEpoch: consider,
      ...(signal ? { signal } : {}),
    });
    const { alpha, beta, epoch, keys } = best ?? { ...TIP_DEFAULT, epoch: 0, keys: cache.keys };
    const cached = cacheLogits(exampleCosines(test.projected, { ...cache, keys }), cache, beta);
    return {
      scores: test.zeroShot.map((logit, i) => logit + alpha * (cached[i] ?? 0)),
      chosen: { alpha, beta, epoch },
    };
  },
  CoOp: async (problem) => {
    const { clip, classNames, examples, validation, test, criterion, seed, signal } = problem;
    const { logitScale: scale, config } = clip;
    const logitsOf = (pictures: KnownPictures, rows: Float32Array): Float32Array =>
      exampleCosines(pictures.projected, { keys: rows, width: config.embedDim }).map((cosine) => scale * cosine);
    let best: { epoch: number; score: number; rows: Float32Array } | undefined;
    const perClass = examples.labels.length / classNames.length;
    await learnContext(
      clip,
      classNames,
      { features: examples.projected, labels: examples.labels },
      {
        epochs: perClass < 2 ? 50 : perClass < 8 ? 100 : 200, // the paper's
        seed,
        onEpoch: (epoch, rows) => {
          const score = criterion(logitsOf(validation, rows), validation.labels);
          if (!best || score >= best.score) best = { epoch, score, rows };
        },
        ...(signal ? { signal } : {}),
      },
    );
    if (!best) throw new Error("CoOp: nothing was learned");
    return { scores: logitsOf(test, best.rows), chosen: { epoch: best.epoch } };
  },
} as const satisfies Record<string, Method>;

export type FewShotMethod = keyof typeof FEW_SHOT_METHODS;

const cacheOf = ({ clip, classNames, examples }: FewShotProblem) => ({
  keys: examples.projected,
  labels: examples.labels,
  width: clip.config.embedDim,
  classes: classNames.length,
});

/** The examples are few on purpose: those of validation only choose. */
const searchOptions = ({ criterion, signal }: FewShotProblem) => ({
  criterion,
  refit: false,
  ...(signal ? { signal } : {}),
});

async function probed(
  { weights, lambda }: LinearProbe,
  features: Float32Array,
  { classNames }: FewShotProblem,
  width: number,
): Promise<FewShotAnswer> {
  const scores = await IN_DOUBLE_PRECISION.scores(memoryMatrix(features, width), weights, classNames.length);
  return { scores, chosen: { lambda: Number.isFinite(lambda) ? lambda : "the zero-shot classifier itself" } };
}
