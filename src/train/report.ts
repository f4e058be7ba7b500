/** report.html of a run: one file without references, made of plain data. */
import { mean } from "d3-array";
import { type Html, html, linePlot, page, picture, table } from "../page/index.ts";
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
  return page({
    title,
    summary,
    body: [
      ...tables.map((one) => html`<h2>${one.title}</h2>\n${table(one)}\n`),
      html`<h2>Training</h2>\n<div class="plots">\n${CURVES.map((curve) => curveOf(curve.title, metrics, curve.of))}</div>\n`,
      ...(predictions.length > 0
        ? [html`<h2>${predictionsTitle}</h2>\n<div class="grid">\n${predictions.map(cardOf)}</div>\n`]
        : []),
      ...(similarity.pairs.length > 0
        ? [html`<h2>Similarity of pictures and captions</h2>\n${matrixOf(similarity)}`]
        : []),
    ],
  });
}

/** Points of a curve: more would not be seen. */
const POINTS = 300;

/** Means of neighbouring steps. */
function curveOf(title: string, metrics: readonly MetricsLine[], of: (line: MetricsLine) => number): Html {
  const each = Math.max(1, Math.ceil(metrics.length / POINTS));
  const points = [];
  for (let i = 0; i < metrics.length; i += each)
    points.push({ x: metrics[i]?.step ?? 0, y: mean(metrics.slice(i, i + each), of) ?? Number.NaN });
  const lowest = points.reduce((least, { y }) => Math.min(least, y), 0);
  const x = { name: "step", from: 0, to: metrics.at(-1)?.step ?? 1 };
  return linePlot({ title, x, y: { name: "", from: lowest }, lines: [{ name: title, points }] });
}

function cardOf({ picture: address, caption, predictions }: ReportPrediction): Html {
  const lines = predictions.map(
    ({ label, probability }) =>
      html`<span${label === caption && html` class="right"`}>${(100 * probability).toFixed(0)} % ${label}</span><br>`,
  );
  return html`<div class="card"><b>${caption}</b>${picture(address, caption)}<div>${lines}</div></div>\n`;
}

function matrixOf({ pairs, cosines }: Report["similarity"]): Html {
  const all = cosines.flat();
  const [lowest, highest] = [Math.min(...all), Math.max(...all)];
  const head = pairs.map(({ caption }) => html`<th>${caption}</th>`);
  const rows = pairs.map(({ picture: address, caption }, i) => {
    const cells = (cosines[i] ?? []).map((cosine) => {
      const strength = (cosine - lowest) / (highest - lowest || 1);
      return html`<td style="background:rgb(42 111 219 / ${strength.toFixed(2)})">${cosine.toFixed(2)}</td>`;
    });
    return html`<tr><th>${picture(address, caption)}</th>${cells}</tr>\n`;
  });
  return html`<div class="scroll"><table class="matrix"><tr><th></th>${head}</tr>${rows}</table></div>`;
}
