export { type TrainOptions, type TrainResult, train } from "./loop.ts";
export type { AdamW } from "./optimizer.ts";
export { checkRecipe, DEFAULT_RECIPE, PAPER_ADAM, type Recipe } from "./recipe.ts";
export { createRunFolder, type MetricsLine, openRunFolder, type RunFolder } from "./run-folder.ts";
export { learningRate, type Schedule } from "./schedule.ts";
export type { PairBatch } from "./step-inputs.ts";
export { createTrainer, type StepMetrics, type Trainer, type TrainerOptions } from "./trainer.ts";
export { tokenizerOf } from "./vocabulary.ts";
