import { max } from "d3-array";
import { type Html, html } from "./html.ts";

export interface HeatMap {
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** What the rows and the columns are. */
  readonly axes: readonly [rows: string, columns: string];
  /** Strength 0 to 1 of a cell and what it says. */
  readonly cell: (row: number, column: number) => { readonly strength: number; readonly text: string };
}

/** Cells up to this many columns have their text in them; otherwise it shows where one points. */
const WITH_TEXT = 12;
/** Letters of a name that are drawn. */
const LETTERS = 18;

export function heatMap({ title, rows, columns, axes, cell }: HeatMap): Html {
  const side = columns.length <= WITH_TEXT ? 34 : Math.max(10, Math.floor(460 / columns.length));
  const margin = 8 + 6 * Math.min(LETTERS, max([...rows, ...columns], (name) => name.length) ?? 1);
  const [width, height] = [margin + side * columns.length + 8, margin + side * rows.length + 8];
  const cells = rows.flatMap((row, i) =>
    columns.flatMap((column, j) => {
      const { strength, text } = cell(i, j);
      if (!(strength > 0)) return [];
      const [x, y] = [margin + j * side, margin + i * side];
      const inside = html`<text x="${x + side / 2}" y="${y + side / 2 + 4}" text-anchor="middle" style="fill:${strength > 0.55 ? "var(--ground)" : "var(--text)"}">${text}</text>`;
      return html`<rect x="${x}" y="${y}" width="${side - 1}" height="${side - 1}" fill="var(${i === j ? "--s0" : "--s1"})" fill-opacity="${Math.min(1, 0.08 + 0.92 * strength).toFixed(2)}"><title>${row} → ${column}: ${text}</title></rect>${columns.length <= WITH_TEXT && inside}`;
    }),
  );
  const font = side < 12 ? "font-size:9px" : "";
  const names = [
    ...rows.map(
      (name, i) =>
        html`<text x="${margin - 5}" y="${margin + i * side + side / 2 + 4}" text-anchor="end" style="${font}">${cut(name)}</text>`,
    ),
    ...columns.map((name, j) => {
      const [x, y] = [margin + j * side + side / 2 + 3, margin - 5];
      return html`<text x="${x}" y="${y}" transform="rotate(-90 ${x} ${y})" style="${font}">${cut(name)}</text>`;
    }),
  ];
  return html`<figure><figcaption>${title}</figcaption><div class="axis">${axes[0]} ↓ ${axes[1]} →</div><div class="scroll"><svg viewBox="0 0 ${width} ${height}" style="width:${width}px;max-width:none" role="img" aria-label="${title}">${cells}${names}</svg></div></figure>`;
}

const cut = (name: string): string => (name.length > LETTERS ? `${name.slice(0, LETTERS - 1)}…` : name);
