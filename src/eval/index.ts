export {
  accuracyDifference,
  accuracyInterval,
  type BootstrapOptions,
  bootstrap,
  type Difference,
  type Estimate,
  exactInterval,
  type Interval,
  type PairedCounts,
} from "./bootstrap.ts";
export {
  fitTemperature,
  type Logits,
  type ProbabilityScores,
  probabilityScores,
  type Reliability,
  type ReliabilityBin,
  type ReliabilityOptions,
  reliability,
} from "./calibration.ts";
export { classWeights } from "./class-weights.ts";
export { type CompareOptions, type Comparison, compareRuns, type Run } from "./compare.ts";
export { type EvaluateOptions, evaluate } from "./evaluate.ts";
export type { EvalContext, Evaluator } from "./evaluator.ts";
export { type Association, type AssociationOptions, association, leaning } from "./failures/association.ts";
export { addPair, corrected, correctionSums, linearCorrection } from "./failures/linear-correction.ts";
export { AUDITS, type Audit, type Imbalance, imbalances, type TermGroup } from "./failures/term-groups.ts";
export { writeWord } from "./failures/written-word.ts";
export { learnContext } from "./few-shot/coop.ts";
export { drawExamples } from "./few-shot/sample.ts";
export { type ExampleCache, searchTip, TIP_DEFAULT, type TipStrength, tipLogits } from "./few-shot/tip-adapter.ts";
export { trainKeys } from "./few-shot/tip-training.ts";
export { interpolated } from "./fine-tuning/tunings.ts";
export { type SupervisedModel, type SupervisedOptions, trainSupervised } from "./learning/supervised.ts";
export {
  averagePrecision,
  averagePrecision11,
  type RankedFigure,
  type Ranking,
  ranking,
  rocAuc,
} from "./metrics.ts";
export { onEngine } from "./probe/engine-loss.ts";
export { type LabelledRows, stacked } from "./probe/feature-rows.ts";
export { LAMBDAS } from "./probe/lambda-search.ts";
export { type LbfgsOptions, type Minimum, minimise, type Objective } from "./probe/lbfgs.ts";
export { type Criterion, type LinearProbe, type LinearProbeOptions, linearProbe } from "./probe/linear-probe.ts";
export { IN_DOUBLE_PRECISION, type LinearArithmetic, type SoftmaxLoss } from "./probe/softmax-loss.ts";
export { fitSoftmax, type Regression, type RegressionOptions } from "./probe/softmax-regression.ts";
export { TEMPLATES } from "./prompts.ts";
export { comparisonPage } from "./report/comparison-page.ts";
export { evaluationPage } from "./report/evaluation-page.ts";
export {
  EVAL_KINDS,
  type EvalDetails,
  type EvalKind,
  type EvalResult,
  type Figure,
  type PictureReference,
  readResults,
  writeResults,
} from "./result.ts";
export { type Ranks, type Recall, type RetrievalOptions, recall, retrievalRanks } from "./retrieval.ts";
export { type EngineProducts, engineProducts } from "./retrieval-products.ts";
export {
  ALEXNET_ERRORS,
  type CorruptionErrors,
  meanCorruptionError,
  meanError,
  relativeCorruptionError,
} from "./shift/corruption-error.ts";
export {
  CORRUPTIONS,
  type Corruption,
  type CorruptOptions,
  corrupt,
  SEVERITIES,
  type Severity,
} from "./shift/corruptions.ts";
export {
  type AccuracyPair,
  effectiveRobustness,
  fitLogitLine,
  type LogitLine,
  logitShare,
} from "./shift/effective-robustness.ts";
export { DATA_SETS, type DataSet } from "./tasks/catalogue.ts";
export {
  type FeatureMatrix,
  type FeatureSet,
  imageFeatures,
  memoryMatrix,
  normalizedMatrix,
} from "./tasks/features.ts";
export { findTask, type KnownTask, knownTasks } from "./tasks/find-task.ts";
export type { ImagesSpec } from "./tasks/images-spec.ts";
export { changed, pixelsOf, someOf, subset } from "./tasks/labelled-images.ts";
export { openImages } from "./tasks/open-images.ts";
export type { LabelledImages, MetricName, Split, Task } from "./tasks/task.ts";
