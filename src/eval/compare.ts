/** Runs side by side: figures of the same evaluation on the same data, and how sure their differences are. */
import { accuracyDifference, bootstrap } from "./bootstrap.ts";
import { reliability } from "./calibration.ts";
import type { EvalDetails, EvalKind, EvalResult, Figure } from "./result.ts";

export interface Run {
  /** What tables call it. */
  readonly name: string;
  readonly results: readonly EvalResult[];
}

export interface FigureDifference {
  /** The run's figure minus the first run's. */
  readonly value: number;
  /** Ends of the 95 % interval; absent where the figures have none. */
  readonly low?: number;
  readonly high?: number;
  /** McNemar's exact test, for accuracies on the same pictures. */
  readonly pValue?: number;
  /** Both models' answers to each picture were compared; else the figures' own intervals were, as if the pictures were others. */
  readonly paired: boolean;
}

export interface ComparedFigure {
  readonly name: string;
  readonly unit: Figure["unit"];
  /** By run; nothing where a run has no such figure. */
  readonly figures: readonly (Figure | undefined)[];
  /** By run, the first being compared with itself: nothing. */
  readonly differences: readonly (FigureDifference | undefined)[];
}

export interface ComparedTask {
  readonly kind: EvalKind;
  readonly task: string;
  readonly figures: readonly ComparedFigure[];
  /** By run. */
  readonly results: readonly (EvalResult | undefined)[];
}

export interface Comparison {
  readonly runs: readonly string[];
  readonly tasks: readonly ComparedTask[];
  /** Evaluations that only one run has, or not the first. */
  readonly alone: readonly { readonly run: string; readonly kind: EvalKind; readonly task: string }[];
}

export interface CompareOptions {
  /** Of the bootstrap. @default 0 */
  readonly seed?: number;
  /** Compares evaluations of different kinds too, where they were made of the same pictures: zero-shot with a linear probe. @default false */
  readonly anyKind?: boolean;
}

/** @throws one line if there is nothing to compare, or what has the same name was measured on other data */
export function compareRuns(runs: readonly Run[], { seed = 0, anyKind = false }: CompareOptions = {}): Comparison {
  const [first, ...others] = runs;
  if (!first || others.length === 0) throw new Error(`compare: expected two runs or more, got ${runs.length}`);
  const isSame = (a: Named, b: Named): boolean => a.task === b.task && (anyKind || a.kind === b.kind);
  for (const run of runs) checkOnce(run, isSame);
  const tasks: ComparedTask[] = [];
  const found = new Set<EvalResult>();
  for (const own of first.results) {
    const results = [own, ...others.map((other) => partner(first.name, own, other, isSame))];
    if (results.every((result, i) => i === 0 || result === undefined)) continue;
    tasks.push(comparedTask(results, seed));
    for (const result of results) if (result) found.add(result);
  }
  if (tasks.length === 0) {
    const has = runs.map((run) => `${run.name} has ${run.results.map(nameOf).join(", ") || "nothing"}`);
    throw new Error(`compare: the runs have no evaluation in common: ${has.join("; ")}`);
  }
  const alone = runs.flatMap(({ name, results }) =>
    results.filter((result) => !found.has(result)).map(({ kind, task }) => ({ run: name, kind, task })),
  );
  return { runs: runs.map(({ name }) => name), tasks, alone };
}

type Named = Pick<EvalResult, "kind" | "task">;
const nameOf = ({ kind, task }: Named): string => `${task} (${kind})`;

/** Results of one task may differ in their data: natural shift has two. */
function checkOnce({ name, results }: Run, isSame: (a: Named, b: Named) => boolean): void {
  for (const [i, result] of results.entries()) {
    const before = results.slice(0, i).find((one) => isSame(one, result) && one.data.hash === result.data.hash);
    if (!before) continue;
    const twice = before.kind === result.kind ? "twice" : `and ${nameOf(before)}`;
    throw new Error(`compare: ${name} has ${nameOf(result)} ${twice}; keep one of them in a file of its own`);
  }
}

/** The other run's result on the same data; nothing if it has not evaluated the task. */
function partner(
  firstName: string,
  own: EvalResult,
  { name, results }: Run,
  isSame: (a: Named, b: Named) => boolean,
): EvalResult | undefined {
  const candidates = results.filter((result) => isSame(own, result));
  const found = candidates.find(({ data }) => data.hash === own.data.hash);
  const [other] = candidates;
  if (found || !other) return found;
  const said = ({ data }: EvalResult): string =>
    `${data.name}, ${data.pictures} pictures, hash ${data.hash.slice(0, 12)}`;
  throw new Error(
    `compare: ${nameOf(own)} was measured on other data, so that its figures cannot be compared: ${firstName} on ${said(own)}; ${name} on ${said(other)}`,
  );
}

function comparedTask(results: readonly (EvalResult | undefined)[], seed: number): ComparedTask {
  const [first] = results;
  if (!first) throw new Error("compare: the first run has no such evaluation");
  const figures = first.figures.flatMap((own): ComparedFigure[] => {
    const found = results.map((result) =>
      result?.figures.find(({ name, unit }) => name === own.name && unit === own.unit),
    );
    if (found.every((figure, i) => i === 0 || figure === undefined)) return [];
    const differences = results.map((result, i) => {
      const figure = found[i];
      return i === 0 || !result || !figure ? undefined : difference(first, own, result, figure, seed);
    });
    return [{ name: own.name, unit: own.unit, figures: found, differences }];
  });
  return { kind: first.kind, task: first.task, figures, results };
}

type Predictions = NonNullable<EvalDetails["predictions"]>;

/** What can be computed again from predictions: which one a figure is, its value tells. */
const STATISTICS: Readonly<Record<string, (predictions: Predictions) => (rows: Uint32Array) => number>> = {
  accuracy:
    ({ label, predicted }) =>
    (rows) => {
      let right = 0;
      for (const row of rows) if (label[row] === predicted[row]) right++;
      return right / rows.length;
    },
  "mean per class": ({ label, predicted }) => {
    const places = new Map([...new Set(label)].map((own, place) => [own, place]));
    const place = Int32Array.from(label, (own) => places.get(own) ?? 0);
    const [seen, right] = [new Float64Array(places.size), new Float64Array(places.size)];
    return (rows) => {
      seen.fill(0);
      right.fill(0);
      for (const row of rows) {
        const own = place[row] ?? 0;
        seen[own] = (seen[own] ?? 0) + 1;
        if (label[row] === predicted[row]) right[own] = (right[own] ?? 0) + 1;
      }
      const shares = right.map((count, own) => count / (seen[own] ?? 0)).filter((share) => !Number.isNaN(share));
      return shares.reduce((sum, share) => sum + share, 0) / shares.length;
    };
  },
  "calibration error": ({ label, predicted, confidence }) => {
    const right = label.map((own, row) => own === predicted[row]);
    return (rows) => {
      const drawn = [...rows];
      return reliability(
        drawn.map((row) => confidence[row] ?? 0),
        drawn.map((row) => right[row] ?? false),
      ).expectedError;
    };
  },
};

/** Figures that were computed from rounded confidences. */
const SAME = 1e-6;
/** Draws of all resamples together: more pictures need fewer resamples. */
const DRAWS = 4e7;

function difference(
  first: EvalResult,
  own: Figure,
  result: EvalResult,
  figure: Figure,
  seed: number,
): FigureDifference {
  const value = figure.value - own.value;
  const [a, b] = [result.details?.predictions, first.details?.predictions];
  if (!a || !b || !samePictures(a, b)) return { value, ...unpaired(own, figure), paired: false };
  const all = Uint32Array.from(a.index, (_, row) => row);
  for (const [name, statisticOf] of Object.entries(STATISTICS)) {
    if (all.length === 0) break;
    const [ours, theirs] = [statisticOf(a), statisticOf(b)];
    if (Math.abs(ours(all) - figure.value) > SAME || Math.abs(theirs(all) - own.value) > SAME) continue;
    if (name === "accuracy") {
      const { low, high, pValue } = accuracyDifference(pairedCounts(a, b));
      return { value, low, high, pValue, paired: true };
    }
    const resamples = Math.max(200, Math.min(2000, Math.floor(DRAWS / all.length)));
    const { low, high } = bootstrap(all.length, (rows) => ours(rows) - theirs(rows), { resamples, seed });
    return { value, low, high, paired: true };
  }
  return { value, ...unpaired(own, figure), paired: false };
}

function samePictures(a: Predictions, b: Predictions): boolean {
  const isSame = (key: "index" | "label"): boolean => a[key].every((value, row) => value === b[key][row]);
  return a.index.length === b.index.length && isSame("index") && isSame("label");
}

function pairedCounts(a: Predictions, b: Predictions): { onlyFirst: number; onlySecond: number; total: number } {
  let [onlyFirst, onlySecond] = [0, 0];
  for (const [row, label] of a.label.entries()) {
    const [isA, isB] = [a.predicted[row] === label, b.predicted[row] === label];
    if (isA && !isB) onlyFirst++;
    if (isB && !isA) onlySecond++;
  }
  return { onlyFirst, onlySecond, total: a.label.length };
}

/**
 * From the intervals of both figures as if they were independent (Zou and Donner 2008, Statistics in Medicine 27): wider than the truth where
 * the same pictures are easy for both models.
 */
function unpaired(own: Figure, figure: Figure): { low?: number; high?: number } {
  if (own.low === undefined || own.high === undefined || figure.low === undefined || figure.high === undefined)
    return {};
  const value = figure.value - own.value;
  return {
    low: value - Math.hypot(figure.value - figure.low, own.high - own.value),
    high: value + Math.hypot(figure.high - figure.value, own.value - own.low),
  };
}

/** Whether the interval leaves no doubt which one is higher. */
export const isClear = ({ low, high }: FigureDifference): boolean =>
  low !== undefined && high !== undefined && (low > 0 || high < 0);
