/** Ways to learn a classifier from a few examples of each class. Whatever is chosen is chosen on validation. */
import type { CLIP } from "../../clip.ts";
import { arithmeticFor } from "../probe/engine-loss.ts";
import { type Criterion, linearProbe } from "../probe/linear-probe.ts";
import { memoryMatrix } from "../tasks/features.ts";
import { learnContext } from "./coop.ts";
import { type ExampleCache, exampleCosines, searchTip, tipLogits } from "./tip-adapter.ts";
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
  "linear probe": (problem) => probed(problem, "pooled", problem.pooledWidth),
  /** On the normalised features in the space of texts; the penalty draws to the zero-shot classifier instead of zero. */
  "linear probe from zero-shot": (problem) => {
    const { clip, classifier } = problem;
    const prior = Float64Array.from(classifier.flatMap((row) => [...row].map((x) => x * clip.logitScale)));
    return probed(problem, "projected", clip.config.embedDim, prior);
  },
  "Tip-Adapter": async (problem) => {
    const { clip, test } = problem;
    const cache = cacheOf(problem);
    const { alpha, beta } = await searched(problem, cache);
    const cosines = await exampleCosines(clip.engine, test.projected, cache);
    return { scores: tipLogits(cosines, cache, test.zeroShot, { alpha, beta }), chosen: { alpha, beta } };
  },
  "Tip-Adapter-F": async (problem) => {
    const { clip, examples, test, seed, signal } = problem;
    const cache = cacheOf(problem);
    let best = { ...(await searched(problem, cache)), epoch: 0, keys: cache.keys };
    await trainKeys(clip.engine, cache, examples.zeroShot, {
      seed,
      onEpoch: async (epoch, keys) => {
        const found = await searched(problem, { ...cache, keys });
        if (found.score > best.score) best = { ...found, epoch, keys };
      },
      ...(signal ? { signal } : {}),
    });
    const { alpha, beta, epoch, keys } = best;
    const cosines = await exampleCosines(clip.engine, test.projected, { ...cache, keys });
    return { scores: tipLogits(cosines, cache, test.zeroShot, { alpha, beta }), chosen: { alpha, beta, epoch } };
  },
  CoOp: async (problem) => {
    const { clip, classNames, examples, validation, test, criterion, seed, signal } = problem;
    const { logitScale: scale, config, engine } = clip;
    const logitsOf = async ({ projected }: KnownPictures, rows: Float32Array): Promise<Float32Array> => {
      const cosines = await exampleCosines(engine, projected, { keys: rows, width: config.embedDim });
      return cosines.map((cosine) => scale * cosine);
    };
    let best: { epoch: number; score: number; rows: Float32Array } | undefined;
    const perClass = examples.labels.length / classNames.length;
    await learnContext(
      clip,
      classNames,
      { features: examples.projected, labels: examples.labels },
      {
        epochs: perClass < 2 ? 50 : perClass < 8 ? 100 : 200, // the paper's
        seed,
        onEpoch: async (epoch, rows) => {
          const score = criterion(await logitsOf(validation, rows), validation);
          if (!best || score >= best.score) best = { epoch, score, rows };
        },
        ...(signal ? { signal } : {}),
      },
    );
    if (!best) throw new Error("CoOp: nothing was learned");
    return { scores: await logitsOf(test, best.rows), chosen: { epoch: best.epoch } };
  },
} as const satisfies Record<string, Method>;

export type FewShotMethod = keyof typeof FEW_SHOT_METHODS;

const cacheOf = ({ clip, classNames, examples }: FewShotProblem) => ({
  keys: examples.projected,
  labels: examples.labels,
  width: clip.config.embedDim,
  classes: classNames.length,
});

/** Tip-Adapter's strengths that do best on validation. */
async function searched({ clip, validation, criterion }: FewShotProblem, cache: ExampleCache) {
  const cosines = await exampleCosines(clip.engine, validation.projected, cache);
  return searchTip(cosines, cache, validation.zeroShot, (logits) => criterion(logits, validation));
}

/** A linear probe of the examples; they are few on purpose: those of validation only choose. */
async function probed(
  { clip, classNames, examples, validation, test, criterion, signal }: FewShotProblem,
  features: "pooled" | "projected",
  width: number,
  prior?: Float64Array,
): Promise<FewShotAnswer> {
  const classes = classNames.length;
  const rowsOf = (pictures: KnownPictures) => memoryMatrix(pictures[features], width);
  const labelled = (pictures: KnownPictures) => ({ rows: rowsOf(pictures), labels: pictures.labels });
  const arithmetic = arithmeticFor(clip.engine, examples.labels.length * width * classes);
  try {
    const { weights, lambda } = await linearProbe(labelled(examples), labelled(validation), classes, {
      ...{ criterion, arithmetic, refit: false },
      ...(prior ? { prior } : {}),
      ...(signal ? { signal } : {}),
    });
    return {
      scores: await arithmetic.scores(rowsOf(test), weights, classes),
      chosen: { lambda: Number.isFinite(lambda) ? lambda : "the zero-shot classifier itself" },
    };
  } finally {
    await arithmetic.close();
  }
}
