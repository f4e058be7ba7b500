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
export { openClassFolders } from "./image-folder.ts";
export { TEMPLATES } from "./prompts.ts";
export { type Ranks, type Recall, type RetrievalOptions, recall, retrievalRanks } from "./retrieval.ts";
export {
  CORRUPTIONS,
  type Corruption,
  type CorruptOptions,
  corrupt,
  SEVERITIES,
  type Severity,
} from "./shift/corruptions.ts";
export { type ZeroShotResult, zeroShot } from "./zero-shot.ts";
