/** The linear probe of a task (CLIP, appendix A.3). */
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { classificationDetails, figuresOf, resultOf } from "../outcome.ts";
import { scoredFrom } from "../scoring.ts";
import type { FeatureSet } from "../tasks/features.ts";
import { criterionOf } from "./criteria.ts";
import { arithmeticFor } from "./engine-loss.ts";
import type { LabelledRows } from "./feature-rows.ts";
import { type LinearProbe, linearProbe } from "./linear-probe.ts";
import type { LinearArithmetic } from "./softmax-loss.ts";

/** Features before the projection, with their labels. */
const pooledRows = ({ pooled, labels, several }: FeatureSet): LabelledRows => ({
  ...{ rows: pooled, labels },
  ...(several ? { several } : {}),
});

/** Seven strengths and two for each halving; a few less where they meet the ends of the grid or each other. */
const USUAL_FITS = 15;

export const evaluateLinearProbe: Evaluator = async (context) => {
  const begun = performance.now();
  const { task, classNames } = context;
  const classes = classNames.length;
  const [train, validation, test] = [
    await context.features("train"),
    await context.features("validation"),
    await context.features("test"),
  ];
  let fits = 0;
  const arithmetic = arithmeticFor(context.clip.engine, train.count * train.pooled.width * classes);
  try {
    const probe = await linearProbe(pooledRows(train), pooledRows(validation), classes, {
      criterion: criterionOf(task.metric),
      arithmetic,
      ...(context.signal ? { signal: context.signal } : {}),
      onFit: () => context.progress("linear probe", ++fits, USUAL_FITS),
    });
    const scored = scoredFrom(test, await arithmetic.scores(test.pooled, probe.weights, classes));
    const details = await classificationDetails(context, await context.images("test"), test, scored);
    return [
      await resultOf(
        context,
        { kind: "linear-probe", settings: settingsOf(probe, context, arithmetic, train, validation), begun },
        figuresOf(task.metric, scored, context.seed),
        { ...details, curves: [searchCurve(probe)] },
      ),
    ];
  } finally {
    await arithmetic.close();
  }
};

function settingsOf(
  { lambda, fits, iterations }: LinearProbe,
  { task }: EvalContext,
  { name }: LinearArithmetic,
  train: FeatureSet,
  validation: FeatureSet,
) {
  return {
    features: "before the projection",
    width: train.pooled.width,
    trainingPictures: train.count,
    validationPictures: validation.count,
    lambda,
    chosenBy: `${task.metric} on validation, ${fits.length} of 96 strengths tried`,
    refit: "training and validation",
    iterations,
    evaluations: fits.reduce((sum, { evaluations }) => sum + evaluations, 0),
    arithmetic: name,
  };
}

/** What each strength reached on validation. */
const searchCurve = ({ fits }: LinearProbe) => ({
  title: "Search for the penalty's strength",
  x: { name: "lambda", log: true },
  y: { name: "on validation", unit: "share" as const },
  lines: [
    {
      name: "linear probe",
      points: [...fits].sort((a, b) => a.lambda - b.lambda).map(({ lambda, score }) => ({ x: lambda, y: score })),
    },
  ],
});
