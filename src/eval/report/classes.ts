/** What became of each class: shares of right answers, and what was taken for what. */
import { type Html, heatMap, html, intervalTable, table } from "../../page/index.ts";
import { accuracyInterval, exactInterval, type Interval } from "../bootstrap.ts";
import type { EvalDetails } from "../result.ts";
import { figureText } from "./figures.ts";

/** Bars shown at once: with more classes, those at both ends. */
const BARS = 24;
/** Pictures of a class, on average, below which its share of right answers says nothing. */
const WORTH = 4;
/** A matrix of more classes could not be read: it shows those with the most mistakes. */
const MATRIX = 30;
/** Pairs of classes named in words. */
const PAIRS = 12;

type PerClass = NonNullable<EvalDetails["perClass"]>;
type Confusion = NonNullable<EvalDetails["confusion"]>;

export function classBars(perClass: PerClass, names: readonly string[]): Html | undefined {
  const rows = perClass
    .flatMap(({ samples, value, low, high }, i) => {
      if (samples === 0) return [];
      const ends = low === undefined ? intervalOf(value, samples) : { low, high };
      const figure = { value, samples, ...ends, unit: "share" } as const;
      return [{ ...figure, cells: [names[i] ?? `class ${i}`, String(samples)], shown: figureText(figure) }];
    })
    .toSorted((a, b) => b.value - a.value);
  const pictures = rows.reduce((sum, { samples }) => sum + samples, 0);
  if (pictures < WORTH * rows.length || rows.length === 0) return undefined;
  const of = (some: typeof rows): Html =>
    intervalTable({ head: ["class", "pictures", "right"], rows: some, unit: "share", mark: "bar", from: 0, to: 1 });
  if (rows.length <= BARS) return html`<h3>Each class</h3>${of(rows)}`;
  return html`<h3>The best and the worst of ${rows.length} classes</h3>${of([...rows.slice(0, BARS / 2), ...rows.slice(-BARS / 2)])}
<details><summary>All classes</summary>${of(rows)}</details>`;
}

/** Pictures from which both intervals are the same to the eye, and the exact one takes long. */
const MANY = 1000;

/** A bootstrap of few pictures that are all right, or all wrong, has no width. */
function intervalOf(share: number, samples: number): Partial<Interval> {
  const correct = Math.round(share * samples);
  if (!(share >= 0 && share <= 1 && samples <= 2 ** 31)) return {};
  return samples < MANY ? exactInterval(correct, samples) : accuracyInterval(correct, samples);
}

export function confusionMatrix(confusion: Confusion, names: readonly string[]): Html | undefined {
  const entries = confusion.counts.map((count, i) => ({
    actual: confusion.actual[i] ?? 0,
    predicted: confusion.predicted[i] ?? 0,
    count,
  }));
  const totals = summed(entries, ({ actual }) => [actual]);
  const wrong = entries.filter(({ actual, predicted }) => actual !== predicted);
  const mistakes = summed(wrong, ({ actual, predicted }) => [actual, predicted]);
  const nameOf = (key: number): string => names[key] ?? `class ${key}`;
  const classes = [...new Set(entries.flatMap(({ actual, predicted }) => [actual, predicted]))];
  const worst = classes.toSorted((a, b) => (mistakes.get(b) ?? 0) - (mistakes.get(a) ?? 0) || a - b);
  const shown = worst.slice(0, MATRIX).toSorted((a, b) => a - b);
  const counts = new Map(entries.map(({ actual, predicted, count }) => [`${actual} ${predicted}`, count]));
  const matrix = heatMap({
    title: worst.length > MATRIX ? `Confusion among the ${MATRIX} classes with the most mistakes` : "Confusion",
    rows: shown.map(nameOf),
    columns: shown.map(nameOf),
    axes: ["what it is", "what it was taken for"],
    cell: (row, column) => {
      const [actual = 0, predicted = 0] = [shown[row], shown[column]];
      const count = counts.get(`${actual} ${predicted}`) ?? 0;
      return { strength: count / (totals.get(actual) || 1), text: String(count) };
    },
  });
  // With few pictures of each of many classes a matrix is all but empty; which answers come too often still tells something.
  const isDense = classes.length <= MATRIX || [...totals.values()].filter((total) => total >= WORTH).length >= MATRIX;
  const pairs = wrong
    .filter(({ count }) => count > 1)
    .toSorted((a, b) => b.count - a.count || a.actual - b.actual)
    .slice(0, PAIRS)
    .map(({ actual, predicted, count }) => [nameOf(actual), nameOf(predicted), count, totals.get(actual) ?? 0]);
  const answers = summed(wrong, ({ predicted }) => [predicted]);
  const often = [...answers]
    .toSorted((a, b) => b[1] - a[1] || a[0] - b[0])
    .slice(0, PAIRS)
    .map(([key, count]) => [nameOf(key), count, counts.get(`${key} ${key}`) ?? 0]);
  return html`${isDense && entries.length > 0 && matrix}
${pairs.length > 0 && captioned("Most often confused", ["is", "taken for", "times", "of"], pairs)}
${classes.length > MATRIX && often.length > 0 && captioned("Answers given wrongly most often", ["answer", "wrongly", "rightly"], often)}`;
}

type Entry = { readonly actual: number; readonly predicted: number; readonly count: number };

function summed(entries: readonly Entry[], keysOf: (entry: Entry) => readonly number[]): ReadonlyMap<number, number> {
  const sums = new Map<number, number>();
  for (const entry of entries) for (const key of keysOf(entry)) sums.set(key, (sums.get(key) ?? 0) + entry.count);
  return sums;
}

const captioned = (caption: string, head: readonly string[], rows: readonly (readonly (string | number)[])[]): Html =>
  html`<figure><figcaption>${caption}</figcaption>${table({ head, rows })}</figure>`;
