/**
 * Keeps files of results (`clip-ts eval --json`) in bench/results/evaluation without what is only for looking at, and writes the tables
 * of docs/results.md from all that are kept. See README.md.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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
    /** What the document calls the model of the files. */
    model: { type: "string" },
    /** What the command called the task, where the results call it otherwise. */
    task: { type: "string" },
    /** What of the command that made the files does not follow from kind, task and seed. */
    with: { type: "string" },
    /** Writes the tables. */
    docs: { type: "boolean", default: false },
  },
});

/** Kinds whose curves the document has; those of others are in tables of their own, or only for looking at. */
const WITH_CURVES: readonly EvalKind[] = ["few-shot", "fine-tuning"];
/** Rows of a table of one result in the document, and places on a curve's axis. */
const [ROWS, PLACES] = [17, 12];
/** Letters of a data set's name. */
const LETTERS = 44;

/** Figures, curves and tables stay; pictures, predictions, matrices and every single choice go. */
function kept(result: EvalResult): EvalResult {
  const { curves, tables, notes, calibration } = result.details ?? {};
  const { chosen: _, prompts: __, things: ___, ...settings } = result.settings;
  const model = flags.model ?? result.model.name;
  const { kind, task, seed } = result;
  const said = [
    "clip-ts",
    "eval",
    `runs/${model}`,
    flags.task ?? task,
    ...(kind === "zero-shot" ? [] : ["--kind", kind]),
  ];
  const made = [...said, ...(seed === 0 ? [] : ["--seed", seed]), ...(flags.with ? [flags.with] : [])].join(" ");
  return {
    ...result,
    model: { ...result.model, name: model },
    settings: { ...settings, command: made },
    details: {
      ...(curves && WITH_CURVES.includes(kind) && { curves }),
      ...(tables && { tables }),
      ...(notes && { notes }),
      ...(calibration && { calibration }),
    },
  };
}

/** What stands under one key, in the order of its first appearance. */
function grouped<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** A figure with its interval; of several seeds their mean, least and greatest. */
function figureCell(figures: readonly Figure[]): string {
  const [figure] = figures;
  if (!figure) return "";
  // What does not depend on the seed keeps its interval.
  if (figures.every(({ value }) => value === figure.value)) return figureText(figure);
  const values = figures.map(({ value }) => value).toSorted((a, b) => a - b);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const [low, high] = [values[0] ?? mean, values.at(-1) ?? mean];
  return `${figureText({ ...figure, value: mean, low, high })}, ${values.length} seeds`;
}

/** By task, and where a task has several sets of pictures by those too. */
function byData(results: readonly EvalResult[]): ReadonlyMap<string, readonly EvalResult[]> {
  const hashes = grouped(results, ({ task }) => task);
  const isOne = (task: string): boolean => new Set(hashes.get(task)?.map(({ data }) => data.hash)).size === 1;
  const short = (name: string): string => (name.length > LETTERS ? `${name.slice(0, LETTERS)}…` : name);
  return grouped(results, ({ task, data }) =>
    isOne(task) ? task : `${task}: ${short(data.name)}, ${data.pictures} pictures`,
  );
}

/** A row for each figure of each task, a column for each model; counts are in tables of their own. */
function figureTable(results: readonly EvalResult[]): string[] {
  const models = [...new Set(results.map(({ model }) => model.name))];
  const rows = [...byData(results)].flatMap(([task, ofTask]) => {
    const names = new Set(
      ofTask.flatMap(({ figures }) => figures.flatMap(({ name, unit }) => (unit === "count" ? [] : [name]))),
    );
    return [...names].map((name) => {
      const cells = models.map((model) => figureCell(figuresOf(ofTask, model, name)));
      return [task, name, ...cells, String(figuresOf(ofTask, undefined, name)[0]?.samples ?? 0)];
    });
  });
  return table(["task", "figure", ...models, "samples"], rows);
}

const figuresOf = (results: readonly EvalResult[], model: string | undefined, name: string): Figure[] =>
  results.flatMap((result) =>
    model === undefined || result.model.name === model ? result.figures.filter((figure) => figure.name === name) : [],
  );

/** A row for each line of a curve, a column for each place on the axis. */
function curveTables({ task, model, seed, details }: EvalResult): string[] {
  // Tables of its own say the same.
  if (details?.tables) return [];
  return (details?.curves ?? []).flatMap(({ title, x, y, lines }) => {
    const places = [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].toSorted(
      (a, b) => a - b,
    );
    if (places.length > PLACES) return [];
    const rows = lines.map(({ name, points }) => [
      name,
      ...places.map((place) => {
        const point = points.find((one) => one.x === place);
        return point ? figureText({ value: point.y, low: point.low, high: point.high, unit: y.unit }) : "";
      }),
    ]);
    const head = [`${y.name}, by ${x.name}`, ...places.map((place) => valueText(place, x.unit ?? "score"))];
    return ["", `${task}, ${model.name}, seed ${seed}: ${title}`, "", ...table(head, rows)];
  });
}

/** Tables of the same title and columns as one, with the task and the model before. */
function ownTables(results: readonly EvalResult[]): string[] {
  const all = results.flatMap(({ task, model, details }) =>
    (details?.tables ?? []).map((one) => ({ ...one, task, model: model.name })),
  );
  return [...grouped(all, ({ title, head }) => JSON.stringify([title, head])).values()].flatMap((same) => {
    const [first] = same;
    if (!first) return [];
    const isCut = same.some(({ rows }) => rows.length > ROWS);
    const rows = same.flatMap(({ task, model, rows }) =>
      rows
        .slice(0, ROWS)
        .map((row) => [
          task,
          model,
          ...row.map((cell) => (typeof cell === "number" ? valueText(cell, "score") : cell)),
        ]),
    );
    const more = isCut ? ` (the first ${ROWS} rows of each)` : "";
    return ["", `${first.title}${more}:`, "", ...table(["task", "model", ...first.head], rows)];
  });
}

/** Everything that is kept of a kind. */
function section(kind: EvalKind, all: readonly EvalResult[]): string {
  const results = all.filter((result) => result.kind === kind);
  const notes = new Set(results.flatMap(({ details }) => details?.notes ?? []));
  const commands = new Set(results.map(({ settings }) => String(settings.command)));
  return [
    "",
    ...figureTable(results),
    ...results.flatMap(curveTables),
    ...ownTables(results),
    "",
    ...[...notes].map((note) => `- ${note}`),
    "",
    "```sh",
    ...commands,
    "```",
    "",
  ].join("\n");
}

/** Kinds that name pictures among the same classes, side by side. */
const CLASSIFIERS = ["zero-shot", "linear-probe", "supervised", "fine-tuning"] as const;

/** The figure that each task is judged by. */
function overview(all: readonly EvalResult[]): string {
  const results = all.filter(({ kind }) => CLASSIFIERS.some((one) => one === kind));
  const groups = grouped(results, ({ task, model }) => JSON.stringify([task, model.name]));
  const rows = [...groups.values()].map((group) => [
    ...[group[0]?.task ?? "", group[0]?.model.name ?? ""],
    ...CLASSIFIERS.map((kind) =>
      figureCell(group.filter((one) => one.kind === kind).flatMap(({ figures }) => figures.slice(0, 1))),
    ),
  ]);
  return ["", ...table(["task", "model", ...CLASSIFIERS], rows), ""].join("\n");
}

/** The model of which most is known comes first. */
function mostFirst(results: readonly EvalResult[]): readonly EvalResult[] {
  const groups = [...grouped(results, ({ model }) => model.name).values()];
  return groups.toSorted((a, b) => b.length - a.length).flat();
}

/** As JSON writes it inside a string. */
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1);

await command(async () => {
  mkdirSync(KEPT, { recursive: true });
  for (const file of files) {
    const path = join(KEPT, basename(file));
    // Plots and tables say the model's name too, which may be a path of the machine that measured it.
    const { model } = flags;
    const names = (await readResults(file)).map((result) => result.model.name);
    const renamed = (text: string, name: string): string =>
      name.includes("/")
        ? text.replaceAll(quoted(name), quoted(model ?? name))
        : text.replaceAll(`"${quoted(name)}"`, `"${quoted(model ?? name)}"`);
    writeFileSync(path, names.reduce(renamed, readFileSync(file, "utf8")));
    await writeResults(path, (await readResults(path)).map(kept));
    say(path);
  }
  if (!flags.docs) return;
  const names = readdirSync(KEPT).filter((name) => name.endsWith(".json"));
  const all = mostFirst((await Promise.all(names.sort().map((name) => readResults(join(KEPT, name))))).flat());
  const page = { page: "results.md", script: "evaluation" };
  writeDocs("overview", overview(all), page);
  for (const kind of EVAL_KINDS)
    if (all.some((result) => result.kind === kind)) writeDocs(kind, section(kind, all), page);
});
