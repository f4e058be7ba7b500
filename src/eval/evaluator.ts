/** What an evaluation gets and gives; `evaluators.ts` has one for each kind. */
import type { CLIP } from "../clip.ts";
import type { EvalResult } from "./result.ts";
import type { FeatureSet } from "./tasks/features.ts";
import type { LabelledImages, Split, Task } from "./tasks/task.ts";

export interface EvalContext {
  readonly clip: CLIP;
  /** What the user calls the model. */
  readonly modelName: string;
  readonly task: Task;
  /** Class names of the prompts, in the order of the labels. */
  readonly classNames: readonly string[];
  /** Of the ensemble. */
  readonly templates: readonly string[];
  /** The one prompt where one is to do. */
  readonly template: string;
  /**
   * The pictures of a split, shortened if the user asked for it. A task without a validation split has a seeded tenth of its
   * training pictures there, which `train` then lacks.
   * @throws one line if the task has no such split
   */
  images(split: Split): Promise<LabelledImages>;
  /** Features of a split, computed once and kept. */
  features(split: Split): Promise<FeatureSet>;
  /** Features of other pictures, such as a split's that were changed; kept like the others by their hash. */
  featuresOf(images: LabelledImages): Promise<FeatureSet>;
  /** Folder for what an evaluation wants to keep; by content hashes, so that it is never stale. */
  readonly cache: string;
  readonly seed: number;
  /** Of the command line, by name: each kind says which ones it knows. */
  readonly options: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Aborted by ctrl-C: throw its reason at the next good place. */
  readonly signal?: AbortSignal;
  /** Shows what is going on. */
  progress(what: string, done: number, total: number): void;
}

/** @throws one line */
export type Evaluator = (context: EvalContext) => Promise<readonly EvalResult[]>;
