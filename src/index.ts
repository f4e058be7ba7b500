/** The public library. */
export {
  CLIP,
  type Classifier,
  type ClassifyOptions,
  type EncodeOptions,
  type EncodeTextOptions,
  type ExplainOptions,
  type Explanation,
  type ImageInput,
  type LoadOptions,
  NONE_OF_THESE,
  type Prediction,
} from "./clip.ts";
export type { PairSource, SourceSpec } from "./data/index.ts";
export type { Engine, HostTensors, Program, State } from "./engine/engine.ts";
export { createOnnxEngine, type OnnxEngineOptions } from "./engine/onnx/onnx-engine.ts";
export { createPjrtEngine, type PjrtEngineOptions } from "./engine/pjrt/pjrt-engine.ts";
export { classWeights } from "./eval/class-weights.ts";
export { type EvaluateOptions, evaluate } from "./eval/evaluate.ts";
export { TEMPLATES } from "./eval/prompts.ts";
export { type EvalKind, type EvalResult, type Figure, readResults, writeResults } from "./eval/result.ts";
export { findTask } from "./eval/tasks/find-task.ts";
export type { ImagesSpec } from "./eval/tasks/images-spec.ts";
export type { LabelledImages, MetricName, Task } from "./eval/tasks/task.ts";
export { heatOverlay } from "./explain/index.ts";
export { DownloadError, type DownloadProgress, type HubOptions, modelPath } from "./hub/index.ts";
export type { PreprocessConfig } from "./image/index.ts";
export { type ClipConfig, CONFIGS } from "./model/index.ts";
export { choosePlugin, type FoundPlugin, findPlugins, installPlugin } from "./plugins/index.ts";
export { loadPretrained, type Pretrained, type PretrainedOptions } from "./pretrained/index.ts";
export { type TrainOptions, type TrainResult, train } from "./train/loop.ts";
export type { AdamW } from "./train/optimizer.ts";
export { DEFAULT_RECIPE, PAPER_ADAM, type Recipe } from "./train/recipe.ts";
export { createRunFolder, type MetricsLine, openRunFolder, type RunFolder } from "./train/run-folder.ts";
export type { Schedule } from "./train/schedule.ts";
export { tokenizerOf } from "./train/vocabulary.ts";
