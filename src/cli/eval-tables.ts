/** Results of evaluations as tables of text. */
import { EVALUATORS } from "../eval/evaluators.ts";
import type { EvalKind, EvalResult, Figure } from "../eval/result.ts";
import type { KnownTask } from "../eval/tasks/find-task.ts";

interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Results whose every figure is shown; of more of them the first alone. */
const FEW = 3;

/** Shares in per cent with one digit; everything else as it is. */
const shown = (value: number, unit: Figure["unit"]): string =>
  unit === "share" ? (100 * value).toFixed(1) : unit === "count" ? String(value) : value.toFixed(3);

export function resultTables(results: readonly EvalResult[], perClass: boolean): Table[] {
  const all = results.length <= FEW;
  const rows = results.flatMap(({ task, kind, data, figures }) =>
    (all ? figures : figures.slice(0, 1)).map(({ name, value, low, high, samples, unit }) => [
      ...[task, kind, String(data.classes), String(samples), `${name}${unit === "share" ? " %" : ""}`],
      ...[value, low, high].map((one) => (one === undefined ? "" : shown(one, unit))),
    ]),
  );
  const head = ["task", "kind", "ways", "samples", "figure", "value", "95 % from", "to"];
  return [
    { head, rows },
    ...(all ? results.flatMap(detailTables) : []),
    ...(perClass ? results.flatMap(classTable) : []),
  ];
}

const detailTables = ({ details }: EvalResult): Table[] =>
  (details?.tables ?? []).map(({ head, rows }) => ({ head, rows: rows.map((row) => row.map(String)) }));

function classTable({ task, details }: EvalResult): Table[] {
  const { classNames = [], perClass } = details ?? {};
  if (!perClass) return [];
  const rows = perClass.map(({ samples, value }, i) => [
    ...[classNames[i] ?? "", String(samples)],
    samples === 0 ? "" : (100 * value).toFixed(1),
  ]);
  return [{ head: [`${task}: class`, "samples", "top-1 %"], rows }];
}

export function taskTable(tasks: readonly KnownTask[]): Table {
  const size = (value: number | undefined): string => (value === undefined ? "" : String(value));
  return {
    head: ["task", "metric", "ways", "train", "test", "licence", "here"],
    rows: tasks.map(({ name, metric, sizes, licence, task, missing }) => [
      ...[name, metric, size(sizes?.classes), size(sizes?.train), size(sizes?.test), licence],
      task ? `yes, ${task.test.kind}` : `no: ${missing ?? ""}`,
    ]),
  };
}

export const kindTable = (kinds: readonly EvalKind[]): Table => ({
  head: ["kind", "what is measured"],
  rows: kinds.map((kind) => [kind, EVALUATORS[kind]?.about ?? ""]),
});
