/** Runs side by side as an HTML page. */
import { type Html, html, type IntervalRow, intervalTable, page, table } from "../../page/index.ts";
import { type ComparedTask, type Comparison, isClear } from "../compare.ts";
import type { EvalDetails } from "../result.ts";
import { comparisonNotes, comparisonTable, differenceText, kindsOf } from "./comparison-table.ts";
import { calibrationPlot, curvePlots, LINES } from "./plots.ts";

type Curve = NonNullable<EvalDetails["curves"]>[number];

/** Classes that are named on each side. */
const CLASSES = 8;

export function comparisonPage(comparison: Comparison): string {
  const { runs, tasks } = comparison;
  return page({
    title: runs.join(" and "),
    summary: `${tasks.length === 1 ? "one evaluation" : `${tasks.length} evaluations`} side by side; brackets and bars are 95 % intervals`,
    body: [
      table(comparisonTable(comparison)),
      ...comparisonNotes(comparison).map((note) => html`<p class="note">${note}</p>`),
      ...tasks.map((task) => section(task, runs)),
    ],
  });
}

function section(compared: ComparedTask, runs: readonly string[]): Html {
  const { task, figures, results } = compared;
  const rows = figures.flatMap((figure) =>
    figure.unit !== "share"
      ? []
      : runs.flatMap((run, i): IntervalRow[] => {
          const difference = figure.differences[i];
          if (!difference) return [];
          const shown = `${differenceText(difference, figure.unit)} points`;
          return [{ ...difference, cells: [figure.name, run], shown, colour: isClear(difference) ? 0 : 7 }];
        }),
  );
  const calibrations = results.flatMap((result, i) =>
    result?.details?.calibration
      ? [html`<div><p class="note">${runs[i]}</p>${calibrationPlot(result.details.calibration)}</div>`]
      : [],
  );
  const curves = sharedCurves(
    results.map((result) => result?.details?.curves ?? []),
    runs,
  ); // prettier
  return html`<section><h2>${task}</h2><p class="summary">${kindsOf(compared)}; ${results[0]?.data.pictures} pictures of ${results[0]?.data.name}</p>
${rows.length > 0 && intervalTable({ head: ["figure", "run", `minus ${runs[0]}`], rows, unit: "share", mark: "change" })}
${curvePlots(curves)}
${calibrations.length > 1 && html`<div class="beside">${calibrations}</div>`}
${runs.slice(1).map((run, i) => classChanges(results[0]?.details, results[i + 1]?.details, runs[0] ?? "", run))}</section>\n`;
}

/** Curves of the same title in one plot; with many lines a plot for each that the runs share. */
function sharedCurves(curves: readonly (readonly Curve[])[], runs: readonly string[]): readonly Curve[] {
  const [first = []] = curves;
  return first.flatMap((curve) => {
    const found = curves.map((own) => own.find(({ title }) => title === curve.title));
    if (found.filter((own) => own).length < 2) return [];
    const all = found.flatMap((own, i) => own?.lines.map((line) => ({ line, run: runs[i] ?? "" })) ?? []);
    const linesOf = (some: typeof all, named: (of: (typeof all)[number]) => string): Curve["lines"] =>
      some.map((of) => ({ ...of.line, name: named(of) }));
    if (all.length <= LINES) return [{ ...curve, lines: linesOf(all, ({ line, run }) => `${run}: ${line.name}`) }];
    return curve.lines.flatMap(({ name }) => {
      const same = all.filter(({ line }) => line.name === name);
      const title = `${curve.title}: ${name}`;
      return same.length < 2 ? [] : [{ ...curve, title, lines: linesOf(same, ({ run }) => run) }];
    });
  });
}

/** The classes that gained and lost most. */
function classChanges(
  a: EvalDetails | undefined,
  b: EvalDetails | undefined,
  first: string,
  run: string,
): Html | undefined {
  const changes = (a?.perClass ?? []).flatMap((own, i) => {
    const other = b?.perClass?.[i];
    const name = a?.classNames?.[i] ?? `class ${i}`;
    if (!other || own.samples === 0 || other.samples !== own.samples || b?.classNames?.[i] !== a?.classNames?.[i])
      return [];
    const difference = other.value - own.value;
    return difference === 0 ? [] : [{ name, samples: own.samples, from: own.value, to: other.value, difference }];
  });
  if (changes.length === 0) return undefined;
  const sorted = changes.toSorted((x, y) => y.difference - x.difference || y.samples - x.samples);
  const shown = sorted.length <= 2 * CLASSES ? sorted : [...sorted.slice(0, CLASSES), ...sorted.slice(-CLASSES)];
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const rows = shown.map(({ name, samples, from, to, difference }) => [
    ...[name, samples, percent(from), percent(to)],
    differenceText({ value: difference, paired: true }, "share"),
  ]);
  return html`<h3>Classes that changed most with ${run}</h3>${table({ head: ["class", "pictures", first, run, "points"], rows })}`;
}
