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
export { type Association, type AssociationOptions, association, leaning } from "./failures/association.ts";
export { addPair, corrected, correctionSums, linearCorrection } from "./failures/linear-correction.ts";
export { AUDITS, type Audit, type Imbalance, imbalances, type TermGroup } from "./failures/term-groups.ts";
export { writeWord } from "./failures/written-word.ts";
export { learnContext } from "./few-shot/coop.ts";
export { drawExamples } from "./few-shot/sample.ts";
export { type ExampleCache, searchTip, TIP_DEFAULT, type TipStrength, tipLogits } from "./few-shot/tip-adapter.ts";
export { trainKeys } from "./few-shot/tip-training.ts";
export { openClassFolders } from "./image-folder.ts";
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
export { type ZeroShotResult, zeroShot } from "./zero-shot.ts";
