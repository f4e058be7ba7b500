/** Runs evaluations of tasks: opens their pictures, keeps their features, calls the evaluator of a kind. */
import type { CLIP } from "../clip.ts";
import type { EvalContext } from "./evaluator.ts";
import { EVALUATORS } from "./evaluators.ts";
import { needsScores } from "./metrics.ts";
import type { EvalKind, EvalResult } from "./result.ts";
import { type FeatureSet, imageFeatures, selectedRows } from "./tasks/features.ts";
import { drawn, someOf, subset } from "./tasks/labelled-images.ts";
import { openImages } from "./tasks/open-images.ts";
import type { LabelledImages, Split, Task } from "./tasks/task.ts";

export interface EvaluateOptions {
  /** @default "zero-shot" */
  readonly kind?: EvalKind;
  /** What results call the model. @default its fingerprint */
  readonly modelName?: string;
  /** Of everything that is drawn at random. @default 0 */
  readonly seed?: number;
  /** Pictures of a split at most, drawn with the seed. @default all */
  readonly limit?: number;
  /** Prompts in place of the task's. */
  readonly templates?: readonly string[];
  /** Folder where features and class weights are kept, by the content that they depend on. */
  readonly cache: string;
  /** Of the kind of evaluation. */
  readonly options?: EvalContext["options"];
  /** Stops at the next good place with its reason; what is computed so far is kept. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** A tenth of the training pictures is for choosing hyperparameters where a task has none for that. */
const VALIDATION = 0.1;

/** @throws one line that names the task, the file or the picture at fault */
export async function evaluate(clip: CLIP, task: Task, options: EvaluateOptions): Promise<readonly EvalResult[]> {
  const { kind = "zero-shot" } = options;
  const entry = EVALUATORS[kind];
  if (!entry) throw new Error(`eval: no evaluation ${kind}; expected one of ${Object.keys(EVALUATORS).join(", ")}`);
  const evaluator = await entry.load();
  const { context, close } = await openContext(clip, task, options);
  try {
    const results = await evaluator(context);
    const { limit } = options;
    return limit === undefined ? results : results.map((one) => ({ ...one, settings: { ...one.settings, limit } }));
  } finally {
    await close();
  }
}

/** What an evaluator gets; closed when it is done. */
export async function openContext(
  clip: CLIP,
  task: Task,
  options: EvaluateOptions,
): Promise<{ readonly context: EvalContext; close(): Promise<void> }> {
  const { cache, seed = 0, limit, signal, onProgress, modelName = clip.fingerprint } = options;
  const opened = new Map<Split, Promise<LabelledImages>>();
  const computed = new Map<string, Promise<FeatureSet>>();
  const open = (split: Split): Promise<LabelledImages> => {
    const spec = task[split];
    if (!spec) throw new Error(`${task.name}: has no pictures for ${split}, which this evaluation needs`);
    return remembered(opened, split, async () => {
      const onHash = (done: number, total: number): void => onProgress?.(`${task.name}: reading ${split}`, done, total);
      const images = named(await openImages(spec, { cache, onProgress: onHash }), task);
      return limit === undefined ? images : someOf(images, limit, seed);
    });
  };
  const test = await open("test");
  if (test.several && !needsScores(task.metric)) {
    await test.close?.();
    throw new Error(
      `${task.name}: pictures have several labels: expected the metric 11-point mAP or ROC AUC, got ${task.metric}`,
    );
  }
  const featuresOf = (images: LabelledImages, what = images.name): Promise<FeatureSet> =>
    remembered(computed, images.contentHash, () =>
      imageFeatures(clip, images, {
        cache,
        ...(signal && { signal }),
        onProgress: (done, total) => onProgress?.(`${task.name}: features of ${what}`, done, total),
      }),
    );
  /** Numbers of the training pictures that are for training, and of those that are for validation. */
  const parts = async (): Promise<Record<"train" | "validation", Int32Array>> => {
    const { count } = await open("train");
    const validation = drawn(count, Math.max(1, Math.round(VALIDATION * count)), seed);
    const isOut = new Set(validation);
    return { validation, train: Int32Array.from({ length: count }, (_, i) => i).filter((i) => !isOut.has(i)) };
  };
  const isWhole = (split: Split): split is "test" => split === "test" || task.validation !== undefined;
  const templates = options.templates ?? task.templates ?? test.templates ?? clip.templates;
  const template = options.templates ? templates[0] : (task.template ?? templates.find((one) => one.trim() !== "{}"));
  const context: EvalContext = {
    ...{ clip, modelName, task, cache, seed, templates, options: options.options ?? {} },
    classNames: test.classNames,
    template: template ?? templates[0] ?? "{}",
    featuresOf: (images) => featuresOf(images),
    images: async (split) => (isWhole(split) ? open(split) : subset(await open("train"), (await parts())[split])),
    // Of a part the whole's: they do not depend on the seed and are computed once.
    features: async (split) =>
      isWhole(split)
        ? featuresOf(await open(split), split)
        : selectedRows(await featuresOf(await open("train"), "train"), (await parts())[split]),
    ...(signal && { signal }),
    progress: (what, done, total) => onProgress?.(`${task.name}: ${what}`, done, total),
  };
  const close = async (): Promise<void> => {
    for (const images of opened.values()) await (await images.catch(() => undefined))?.close?.();
  };
  return { context, close };
}

/** The task's names of the classes in place of the source's. */
function named(images: LabelledImages, { name, classNames }: Task): LabelledImages {
  if (!classNames) return images;
  const most = images.labels.reduce((max, label) => Math.max(max, label), -1);
  if (classNames.length <= most || (images.several && classNames.length !== images.classNames.length))
    throw new Error(`${name}: expected names for ${images.classNames.length} classes, got ${classNames.length}`);
  return { ...images, classNames };
}

function remembered<K, T>(known: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const found = known.get(key);
  if (found) return found;
  const made = make();
  made.catch(() => known.delete(key));
  known.set(key, made);
  return made;
}
