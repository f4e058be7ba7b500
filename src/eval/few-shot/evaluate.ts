/** Few-shot learning on a task: curves over the number of examples, over seeds. */
import { classWeights } from "../class-weights.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { namesOption, numbersOption, wholeOption } from "../learning/options.ts";
import { resultOf } from "../outcome.ts";
import { criterionOf, predictedOf } from "../probe/criteria.ts";
import { pickedRows } from "../probe/feature-rows.ts";
import { type FeatureSet, normalizedMatrix } from "../tasks/features.ts";
import { type ShotScores, shotDetails, shotFigures } from "./curves.ts";
import { FEW_SHOT_METHODS, type FewShotMethod, type FewShotProblem, type KnownPictures } from "./methods.ts";
import { drawExamples } from "./sample.ts";
import { exampleCosines } from "./tip-adapter.ts";

/** Examples of each class, unless asked otherwise. */
const SHOTS = "1,2,4,8,16";
const SEEDS = 3;
/** Validation examples of a class: as many as are learned from, at most these (CoOp, section 4.1). */
const MOST_VALIDATION = 4;

export const evaluateFewShot: Evaluator = async (context) => {
  const begun = performance.now();
  const { clip, task, classNames, templates, cache, signal } = context;
  const { shots, seeds, methods } = optionsOf(context);
  const classes = classNames.length;
  const criterion = criterionOf(task.metric);
  const classifier = await classWeights(clip, classNames, templates, cache);
  const [train, validation] = [await context.features("train"), await context.features("validation")];
  const test = await known(context, await context.features("test"), classifier);
  const drawn = (set: FeatureSet, count: number, seed: number, purpose: "examples" | "validation") =>
    known(context, set, classifier, drawExamples(set.labels, classes, count, seed, purpose));
  const found: ShotScores[] = [];
  const chosen: Record<string, string | number>[] = [];
  const total = methods.length * shots.length * seeds;
  let done = 0;
  for (const method of methods)
    for (const count of shots) {
      const values: number[] = [];
      const right: Uint8Array[] = [];
      for (let i = 0; i < seeds; i++) {
        signal?.throwIfAborted();
        context.progress(method, done++, total);
        const seed = context.seed + i;
        const few = Math.min(count, MOST_VALIDATION);
        const problem: FewShotProblem = {
          ...{ clip, classNames, classifier, criterion, seed },
          pooledWidth: train.pooled.width,
          examples: await drawn(train, count, seed, "examples"),
          validation: await drawn(validation, few, seed, "validation"),
          test,
          ...(signal ? { signal } : {}),
        };
        const answer = await FEW_SHOT_METHODS[method](problem);
        values.push(criterion(answer.scores, test));
        const predicted = predictedOf(answer.scores, classes);
        right.push(Uint8Array.from(predicted, (label, row) => (label === test.labels[row] ? 1 : 0)));
        chosen.push({ method, examples: count, seed, ...answer.chosen });
      }
      // An interval of what is not a mean over pictures is left out.
      found.push({ method, shots: count, values, right: task.metric === "accuracy" ? right : [] });
    }
  const metric = task.metric === "accuracy" ? "top-1" : task.metric;
  const zeroShot = criterion(test.zeroShot, test);
  const settings = {
    ...{ shots, seeds, methods, templates: [...templates], chosen },
    validation: `as many examples as are learned from, at most ${MOST_VALIDATION} of each class`,
  };
  const figures = [
    ...shotFigures(found, metric, context.seed),
    { name: `${metric}, zero-shot`, value: zeroShot, samples: test.labels.length, unit: "share" as const },
  ];
  return [
    await resultOf(context, { kind: "few-shot", settings, begun }, figures, shotDetails(found, zeroShot, metric)),
  ];
};

/** `--shots 1,2,4`, `--seeds 3`, `--methods "linear probe,CoOp"`. @throws one line */
function optionsOf({ options }: EvalContext) {
  const shots = numbersOption(options, "shots", SHOTS);
  for (const count of shots)
    if (!Number.isSafeInteger(count)) throw new Error(`--shots: expected whole numbers, got ${count}`);
  const all = Object.keys(FEW_SHOT_METHODS).filter(isMethod);
  return { shots, seeds: wholeOption(options, "seeds", SEEDS), methods: namesOption(options, "methods", all) };
}

const isMethod = (name: string): name is FewShotMethod => Object.hasOwn(FEW_SHOT_METHODS, name);

/** Some pictures of a split, all by default, as the methods see them. */
async function known(
  { clip, task }: EvalContext,
  set: FeatureSet,
  classifier: readonly Float32Array[],
  rows: readonly number[] = [...set.labels.keys()],
): Promise<KnownPictures> {
  if (set.several) throw new Error(`${task.name}: pictures have several labels: there is no few-shot learning of them`);
  const projected = await pickedRows(normalizedMatrix(set.projected), rows);
  const { width } = set.projected;
  const keys = new Float32Array(classifier.length * width);
  for (const [i, row] of classifier.entries()) keys.set(row, i * width);
  const cosines = await exampleCosines(clip.engine, projected, { keys, width });
  return {
    projected,
    pooled: await pickedRows(set.pooled, rows),
    zeroShot: cosines.map((cosine) => clip.logitScale * cosine),
    labels: Int32Array.from(rows, (row) => set.labels[row] ?? -1),
  };
}
