/**
 * Keeps files of results (`clip-ts eval --json`) in bench/results/evaluation without what is only for looking at, and writes the tables
 * of docs/results.md from all that are kept. See README.md.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { figureText, valueText } from "../src/eval/report/figures.ts";
import {
  EVAL_KINDS,
  type EvalKind,
  type EvalResult,
  type Figure,
  readResults,
  writeResults,
} from "../src/eval/result.ts";
import { command, root, say } from "./command.ts";
import { table, writeDocs } from "./report.ts";

const KEPT = join(root, "bench", "results", "evaluation");

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    /** What made the files: stands in the document. */
    command: { type: "string" },
    /** Writes the tables. */
    docs: { type: "boolean", default: false },
  },
});

/** Figures, curves and tables stay; pictures, predictions and matrices go. */
function kept(result: EvalResult, made: string | undefined): EvalResult {
  const { curves, tables, notes, calibration } = result.details ?? {};
  const { chosen: _, ...settings } = result.settings;
  return {
    ...result,
    settings: { ...settings, ...(made !== undefined && { command: made }) },
    details: {
      ...(curves && { curves }),
      ...(tables && { tables }),
      ...(notes && { notes }),
      ...(calibration && { calibration }),
    },
  };
}

/** Results of one model and task that differ in their seeds alone. */
interface Group {
  readonly model: string;
  readonly task: string;
  readonly results: readonly EvalResult[];
}

function grouped(results: readonly EvalResult[]): Group[] {
  const groups = new Map<string, Group>();
  for (const result of results) {
    const { task, model } = result;
    const key = JSON.stringify([task, model.name]);
    const before = groups.get(key)?.results ?? [];
    groups.set(key, { model: model.name, task, results: [...before, result] });
  }
  return [...groups.values()];
}

/** A figure with its interval; of several seeds their mean, least and greatest. */
function figureCell(figures: readonly Figure[]): string {
  const [figure] = figures;
  if (!figure) return "-";
  // What does not depend on the seed keeps its interval.
  if (figures.every(({ value }) => value === figure.value)) return figureText(figure);
  const values = figures.map(({ value }) => value).toSorted((a, b) => a - b);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const [low, high] = [values[0] ?? mean, values.at(-1) ?? mean];
  return `${figureText({ ...figure, value: mean, low, high })}, ${values.length} seeds`;
}

/** A row for each figure of each model and task. */
function figureRows({ model, task, results }: Group): string[][] {
  const [first] = results;
  return (first?.figures ?? []).map(({ name }) => {
    const same = results.flatMap(({ figures }) => figures.filter((figure) => figure.name === name));
    return [task, model, name, figureCell(same), String(same[0]?.samples ?? 0)];
  });
}

/** A row for each line of a curve, a column for each place on the axis. */
function curveTables({ model, task, results }: Group): string[] {
  return results.flatMap(({ details, seed }) =>
    (details?.curves ?? []).flatMap(({ title, x, y, lines }) => {
      const places = [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].toSorted(
        (a, b) => a - b,
      );
      if (places.length > 12) return [];
      const rows = lines.map(({ name, points }) => [
        name,
        ...places.map((place) => {
          const point = points.find((one) => one.x === place);
          return point ? figureText({ value: point.y, low: point.low, high: point.high, unit: y.unit }) : "";
        }),
      ]);
      const head = [`${y.name}, by ${x.name}`, ...places.map((place) => valueText(place, x.unit ?? "score"))];
      return ["", `${task}, ${model}, seed ${seed}: ${title}`, "", ...table(head, rows)];
    }),
  );
}

const ownTables = ({ model, task, results }: Group): string[] =>
  results.flatMap(({ details }) =>
    (details?.tables ?? []).flatMap(({ title, head, rows }) => [
      "",
      `${task}, ${model}: ${title}`,
      "",
      ...table(
        head,
        rows.map((row) => row.map((cell) => (typeof cell === "number" ? valueText(cell, "score") : cell))),
      ),
    ]),
  );

/** Everything that is kept of a kind. */
function section(kind: EvalKind, all: readonly EvalResult[]): string {
  const results = all.filter((result) => result.kind === kind);
  const groups = grouped(results);
  const head = ["task", "model", "figure", "value (95 % interval; of seeds: least to greatest)", "samples"];
  const notes = [...new Set(results.flatMap(({ details }) => details?.notes ?? []))];
  const commands = [
    ...new Set(results.flatMap(({ settings }) => (typeof settings.command === "string" ? [settings.command] : []))),
  ];
  return [
    ...table(head, groups.flatMap(figureRows)),
    ...groups.flatMap(curveTables),
    ...groups.flatMap(ownTables),
    ...(notes.length > 0 ? ["", ...notes.map((note) => `- ${note}`)] : []),
    ...(commands.length > 0 ? ["", "```sh", ...commands, "```"] : []),
  ].join("\n");
}

/** Kinds that learn or choose a classifier of the same classes, side by side. */
const CLASSIFIERS = ["zero-shot", "linear-probe", "supervised", "fine-tuning"] as const;

function overview(all: readonly EvalResult[]): string {
  const rows = grouped(all.filter(({ kind }) => CLASSIFIERS.some((one) => one === kind))).map(
    ({ task, model, results }) => [
      task,
      model,
      ...CLASSIFIERS.map((kind) =>
        figureCell(results.filter((one) => one.kind === kind).flatMap(({ figures }) => figures.slice(0, 1))),
      ),
    ],
  );
  return table(["task", "model", ...CLASSIFIERS], rows).join("\n");
}

await command(async () => {
  mkdirSync(KEPT, { recursive: true });
  for (const file of files) {
    const path = join(KEPT, basename(file));
    await writeResults(
      path,
      (await readResults(file)).map((result) => kept(result, flags.command)),
    );
    say(path);
  }
  if (!flags.docs) return;
  const names = readdirSync(KEPT)
    .filter((name) => name.endsWith(".json"))
    .sort();
  const all = (await Promise.all(names.map((name) => readResults(join(KEPT, name))))).flat();
  const page = { page: "results.md", script: "evaluation" };
  writeDocs("overview", overview(all), page);
  for (const kind of EVAL_KINDS)
    if (all.some((result) => result.kind === kind)) writeDocs(kind, section(kind, all), page);
});
