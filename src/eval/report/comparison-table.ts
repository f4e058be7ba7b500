/** A comparison as a table of text, for the terminal and for documents. */
import { type ComparedFigure, type ComparedTask, type Comparison, type FigureDifference, isClear } from "../compare.ts";
import { valueText } from "./figures.ts";

export interface TextTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A row for each figure; each run after the first has its difference beside it. */
export function comparisonTable({ runs, tasks }: Comparison): TextTable {
  const [first = "", ...others] = runs;
  return {
    head: ["task", "evaluation", "figure", first, ...others.flatMap((name) => [name, `${name} − ${first}`])],
    rows: tasks.flatMap((compared) =>
      compared.figures.map((figure) => [
        ...[compared.task, kindsOf(compared), figure.name, cell(figure, 0)],
        ...others.flatMap((_, i) => [cell(figure, i + 1), differenceText(figure.differences[i + 1], figure.unit)]),
      ]),
    ),
  };
}

/** The evaluation, or those of all runs where they differ. */
export const kindsOf = ({ results }: ComparedTask): string =>
  [...new Set(results.flatMap((result) => (result ? [result.kind] : [])))].join(" / ");

const cell = ({ figures, unit }: ComparedFigure, i: number): string => {
  const figure = figures[i];
  return figure ? valueText(figure.value, unit) : "-";
};

/** +3.4 (+1.2 to +5.6) *, shares in points; `~` where the pictures were not compared one by one. */
export function differenceText(difference: FigureDifference | undefined, unit: ComparedFigure["unit"]): string {
  if (!difference) return "-";
  const { value, low, high, paired } = difference;
  const text = (number: number): string => {
    const bare = valueText(Math.abs(number), unit).replace(" %", "");
    return `${Number(bare) === 0 ? "" : number > 0 ? "+" : "−"}${bare}`;
  };
  if (low === undefined || high === undefined) return text(value);
  return `${text(value)} (${text(low)} to ${text(high)})${paired ? "" : " ~"}${isClear(difference) ? " *" : ""}`;
}

/** What the marks of the table mean, those that occur. */
export function comparisonNotes({ tasks, alone }: Comparison): string[] {
  const all = tasks.flatMap(({ figures }) => figures.flatMap(({ differences }) => differences)).filter((one) => one);
  const notes = ["Differences of shares in points, with their 95 % intervals."];
  if (all.some((one) => one && isClear(one)))
    notes.push(
      `* the interval leaves 0 out; of ${all.length} differences between equals one in twenty would by chance.`,
    );
  if (all.some((one) => one?.low !== undefined && !one.paired))
    notes.push(
      "~ from the figures' own intervals, as if measured on different pictures: wider than answers to the same pictures would give.",
    );
  if (alone.length > 0)
    notes.push(`Not compared: ${alone.map(({ run, kind, task }) => `${task} (${kind}) of ${run}`).join(", ")}.`);
  return notes;
}
