/** report.html of a run: one file without references, made of plain data. */
import type { MetricsLine } from "./run-folder.ts";

export interface ReportPicture {
  /** `data:` address. */
  readonly picture: string;
  readonly caption: string;
}

export interface ReportPrediction extends ReportPicture {
  readonly predictions: readonly { readonly label: string; readonly probability: number }[];
}

export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Report {
  readonly title: string;
  /** A line under the title: steps, time, size of the model. */
  readonly summary: string;
  readonly metrics: readonly MetricsLine[];
  readonly tables: readonly ReportTable[];
  /** What the predictions are of. */
  readonly predictionsTitle: string;
  readonly predictions: readonly ReportPrediction[];
  /** Cosine of every picture with every caption: [pictures][captions]. */
  readonly similarity: { readonly pairs: readonly ReportPicture[]; readonly cosines: readonly (readonly number[])[] };
}

const CURVES = [
  { title: "Loss", of: (line: MetricsLine) => line.loss },
  { title: "Accuracy in the batch", of: (line: MetricsLine) => line.accuracy },
  { title: "Learning rate", of: (line: MetricsLine) => line.learningRate },
  { title: "Scale of the logits", of: (line: MetricsLine) => line.scale },
] as const;

export function reportPage(report: Report): string {
  const { title, summary, metrics, tables, predictionsTitle, predictions, similarity } = report;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
<h1>${escaped(title)}</h1>
<p>${escaped(summary)}</p>
${tables.map(tableOf).join("\n")}
<h2>Training</h2>
<div class="curves">
${CURVES.map((curve) =>
  curveOf(
    curve.title,
    metrics.map(({ step }) => step),
    metrics.map(curve.of),
  ),
).join("\n")}
</div>
${predictions.length > 0 ? `<h2>${escaped(predictionsTitle)}</h2>\n<div class="grid">\n${predictions.map(cardOf).join("\n")}\n</div>` : ""}
${similarity.pairs.length > 0 ? `<h2>Similarity of pictures and captions</h2>\n${matrixOf(similarity)}` : ""}
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #2a6fdb; --faint: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.25rem 0.75rem; text-align: right; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child { text-align: left; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-weight: 600; }
svg { width: 100%; } polyline { fill: none; stroke: var(--line); stroke-width: 1.5; }
svg text { font-size: 11px; fill: currentColor; opacity: 0.7; } svg line { stroke: var(--faint); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.75rem; }
.card { display: grid; grid-template-columns: 64px 1fr; gap: 0.5rem; font-size: 12px; border: 1px solid var(--faint); border-radius: 6px; padding: 0.5rem; }
.card b { grid-column: 1 / 3; } .right { color: #1a7f37; font-weight: 600; }
img { width: 64px; height: 64px; }
.matrix td { padding: 0.2rem 0.3rem; font-size: 11px; text-align: center; border: 0; }
.matrix th { font-size: 11px; font-weight: 400; border: 0; max-width: 6rem; vertical-align: bottom; text-align: center; }
.matrix img { width: 40px; height: 40px; display: block; }
.scroll { overflow-x: auto; }
`;

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function tableOf({ title, head, rows }: ReportTable): string {
  const cells = (tag: "th" | "td", row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  return `<h2>${escaped(title)}</h2>\n<table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("")}</table>`;
}

/** Points of a curve: more would not be seen. */
const POINTS = 300;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [480, 180, 56, 20];

function curveOf(title: string, steps: readonly number[], values: readonly number[]): string {
  const points = thinned(steps, values).filter(([, y]) => Number.isFinite(y));
  const highest = Math.max(...points.map(([, y]) => y), Number.MIN_VALUE);
  const lowest = Math.min(...points.map(([, y]) => y), 0);
  const last = steps.at(-1) ?? 1;
  const x = (step: number): number => LEFT + (step / last) * (WIDTH - LEFT - 4);
  const y = (value: number): number => 8 + ((highest - value) / (highest - lowest)) * (HEIGHT - BOTTOM - 8);
  const line = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const marks = [lowest, (lowest + highest) / 2, highest].map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - 4}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${shortNumber(value)}</text>`,
  );
  return `<figure><figcaption>${escaped(title)}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">${marks.join("")}<polyline points="${line}"/><text x="${WIDTH - 4}" y="${HEIGHT - 4}" text-anchor="end">step ${last}</text></svg></figure>`;
}

/** Means of neighbouring steps. */
function thinned(steps: readonly number[], values: readonly number[]): [step: number, value: number][] {
  const each = Math.max(1, Math.ceil(steps.length / POINTS));
  const points: [number, number][] = [];
  for (let i = 0; i < steps.length; i += each) {
    const some = values.slice(i, i + each);
    points.push([steps[i] ?? 0, some.reduce((sum, value) => sum + value, 0) / some.length]);
  }
  return points;
}

const shortNumber = (value: number): string =>
  value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(1) : value.toPrecision(3);

function cardOf({ picture, caption, predictions }: ReportPrediction): string {
  const lines = predictions.map(
    ({ label, probability }) =>
      `<span${label === caption ? ' class="right"' : ""}>${(100 * probability).toFixed(0)} % ${escaped(label)}</span>`,
  );
  return `<div class="card"><b>${escaped(caption)}</b><img src="${escaped(picture)}" alt="${escaped(caption)}"><div>${lines.join("<br>")}</div></div>`;
}

function matrixOf({ pairs, cosines }: Report["similarity"]): string {
  const all = cosines.flat();
  const [lowest, highest] = [Math.min(...all), Math.max(...all)];
  const head = pairs.map(({ caption }) => `<th>${escaped(caption)}</th>`).join("");
  const rows = pairs.map(({ picture, caption }, i) => {
    const cells = (cosines[i] ?? []).map((cosine) => {
      const strength = (cosine - lowest) / (highest - lowest || 1);
      return `<td style="background:rgb(42 111 219 / ${strength.toFixed(2)})">${cosine.toFixed(2)}</td>`;
    });
    return `<tr><th><img src="${escaped(picture)}" alt="${escaped(caption)}"></th>${cells.join("")}</tr>`;
  });
  return `<div class="scroll"><table class="matrix"><tr><th></th>${head}</tr>${rows.join("")}</table></div>`;
}
