/** What the evaluations of robustness and failures have in common: predictions of feature rows, changed pictures, the frame of a result. */
import { dotProduct } from "../../directions.ts";
import { packageVersion } from "../../train/version.ts";
import type { EvalContext } from "../evaluator.ts";
import type { EvalDetails, EvalKind, EvalResult, Figure } from "../result.ts";
import { hashOf } from "../tasks/content-hash.ts";
import { type FeatureMatrix, normalizedMatrix } from "../tasks/features.ts";
import type { LabelledImages } from "../tasks/task.ts";

/** Rows read at once. */
const BLOCK = 512;

/** Calls back with every row as a unit vector, one after the other. */
export async function eachRow(matrix: FeatureMatrix, use: (row: Float32Array, index: number) => void): Promise<void> {
  const unit = normalizedMatrix(matrix);
  for (let start = 0; start < unit.count; start += BLOCK) {
    const end = Math.min(unit.count, start + BLOCK);
    const rows = await unit.read(start, end);
    for (let i = start; i < end; i++) use(rows.subarray((i - start) * unit.width, (i - start + 1) * unit.width), i);
  }
}

/** [rows]: the class with the largest cosine; of equal ones the lower number. @param weights one unit vector for each class */
export async function predictions(matrix: FeatureMatrix, weights: readonly Float32Array[]): Promise<Int32Array> {
  const found = new Int32Array(matrix.count);
  await eachRow(matrix, (row, index) => {
    found[index] = nearest(row, weights);
  });
  return found;
}

export function nearest(row: Float32Array, weights: readonly Float32Array[]): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (const [label, weight] of weights.entries()) {
    const sum = dotProduct(row, weight);
    if (sum > highest) {
      highest = sum;
      best = label;
    }
  }
  return best;
}

/**
 * Weights of texts that an evaluation adds by itself: what is too long for the model is cut off, since nobody can shorten it. Those of the task's
 * own names are `classWeights`, which says so.
 */
export async function textWeights(
  { clip, templates }: Pick<EvalContext, "clip" | "templates">,
  names: readonly string[],
): Promise<readonly Float32Array[]> {
  return (await clip.classifier(names, templates, "truncate")).weights;
}

/** @throws one line if pictures have several labels, for which there is no first answer to be right or wrong */
export function singleLabels(kind: string, { name, several }: LabelledImages): void {
  if (several) throw new Error(`${kind}: ${name} has several labels a picture; expected one`);
}

export interface ResultParts {
  readonly kind: EvalKind;
  /** Where it is not the task's own pictures that were used. @default the task's name */
  readonly task?: string;
  readonly data: EvalResult["data"];
  readonly figures: readonly Figure[];
  readonly settings: EvalResult["settings"];
  readonly details?: EvalDetails;
  /** `performance.now()` at the beginning. */
  readonly started: number;
}

export function resultOf(context: EvalContext, { started, ...parts }: ResultParts): EvalResult {
  const { clip, modelName, task, seed } = context;
  return {
    task: task.name,
    ...parts,
    model: { name: modelName, fingerprint: clip.fingerprint },
    seed,
    versions: { "clip-ts": packageVersion(), node: process.versions.node, engine: clip.engine.name },
    seconds: (performance.now() - started) / 1000,
  };
}

export const dataOf = (images: LabelledImages, unreadable: number): EvalResult["data"] => ({
  name: images.name,
  hash: hashOf(images.contentHash, [...images.labels], images.classNames).slice(0, 32),
  pictures: images.count,
  unreadable,
  classes: images.classNames.length,
});

/** A number on the command line or its default. @throws one line */
export function numberOption(context: EvalContext, name: string, otherwise: number, least: number): number {
  const given = context.options[name];
  if (given === undefined) return otherwise;
  const value = Number(given);
  if (!(Number.isSafeInteger(value) && value >= least))
    throw new Error(`--${name}: expected a whole number of at least ${least}, got ${given}`);
  return value;
}
