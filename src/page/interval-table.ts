/** Figures one below the other with their intervals drawn to one scale. */
import { max, min, nice } from "d3-array";
import { short } from "./axis.ts";
import { type Html, html } from "./html.ts";
import { COLOURS } from "./line-plot.ts";

export interface IntervalRow {
  /** Columns before the value; the first one is what the row is. */
  readonly cells: readonly (string | Html)[];
  readonly value: number;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
  /** The value as text. */
  readonly shown: string;
  /** @default 0 */
  readonly colour?: number;
}

export interface IntervalTable {
  readonly head: readonly string[];
  readonly rows: readonly IntervalRow[];
  readonly unit: "share" | "number";
  /** `bar`: from 0 on. `change`: a dot on a scale that has 0. @default "dot" */
  readonly mark?: "dot" | "bar" | "change";
  /** Ends of the scale; by default the data's, with 0 where bars begin. */
  readonly from?: number;
  readonly to?: number;
}

const [WIDTH, HEIGHT] = [240, 16];

export function intervalTable({ head, rows, unit, mark = "dot", from, to }: IntervalTable): Html {
  const ends = rows.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]).filter(Number.isFinite);
  const all = mark === "dot" ? ends : [0, ...ends];
  let [least, most] = [from ?? min(all) ?? 0, to ?? max(all) ?? 1];
  if (least === most) [least, most] = [least - 0.01, most + 0.01];
  const [low, high] = [from ?? nice(least, most, 4)[0], to ?? nice(least, most, 4)[1]];
  const x = (value: number): number => 2 + ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * (WIDTH - 4);
  const said = (value: number): string => (unit === "share" ? `${short(100 * value)} %` : short(value));
  const zero = low < 0 && high > 0 && html`<span style="left:${((-100 * low) / (high - low)).toFixed(1)}%">0</span>`;
  const scale = html`<div><span>${said(low)}</span>${zero}<span>${said(high)}</span></div>`;
  return html`<div class="scroll"><table class="intervals"><thead><tr>${head.map((cell, i) => html`<th${i === head.length - 1 && html` class="figure"`}>${cell}</th>`)}<th>${scale}</th></tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.cells.map((cell) => html`<td>${cell}</td>`)}<td class="figure">${row.shown}</td><td>${drawn(row, mark, x, low < 0 && high > 0)}</td></tr>\n`)}</tbody></table></div>`;
}

function drawn(
  { value, low, high, colour = 0 }: IntervalRow,
  mark: IntervalTable["mark"],
  x: (v: number) => number,
  hasZero: boolean,
): Html {
  if (!Number.isFinite(value)) return html``;
  const middle = HEIGHT / 2;
  const [start, end] = [x(Math.min(0, value)), x(Math.max(0, value))];
  const zero = px(x(0));
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" class="s${colour % COLOURS}" aria-hidden="true">${
    mark !== "bar" && html`<line x1="2" x2="${WIDTH - 2}" y1="${middle}" y2="${middle}"/>`
  }${hasZero && html`<line class="base" x1="${zero}" x2="${zero}" y1="0" y2="${HEIGHT}"/>`}${
    mark === "bar" && html`<rect class="bar" x="${px(start)}" y="3" width="${px(end - start)}" height="${HEIGHT - 6}"/>`
  }${
    low !== undefined &&
    high !== undefined &&
    html`<line class="whisker" x1="${px(x(low))}" x2="${px(x(high))}" y1="${middle}" y2="${middle}"/>`
  }${mark !== "bar" && html`<ellipse cx="${px(x(value))}" cy="${middle}" rx="3" ry="4"/>`}</svg>`;
}

const px = (value: number): string => value.toFixed(1);
