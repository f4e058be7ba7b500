/** The HTML page of an evaluation: one file without references. */
import { type Html, html, intervalTable, page, short, table } from "../../page/index.ts";
import type { EvalResult } from "../result.ts";
import { classBars, confusionMatrix } from "./classes.ts";
import { figureTables, figureText, intervalText, valueText } from "./figures.ts";
import { examples, mistakes } from "./pictures.ts";
import { calibrationPlot, curvePlots } from "./plots.ts";

/** Tiles above the details of a result: its first figures. */
const TILES = 4;

/** @param title what the page is called; by default the models' names */
export function evaluationPage(results: readonly EvalResult[], title?: string): string {
  const models = [...new Set(results.map(({ model }) => model.name))];
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  const evaluations = results.length === 1 ? "one evaluation" : `${results.length} evaluations`;
  return page({
    title: title ?? `How good ${models.join(", ")} is`,
    summary: `${evaluations}, ${duration(seconds)}; brackets and bars are 95 % intervals`,
    body: [
      ...(results.length > 1 ? [summary(results, models.length > 1)] : []),
      ...results.map((result, i) => section(result, i, models.length > 1)),
    ],
  });
}

function summary(results: readonly EvalResult[], hasModels: boolean): Html {
  const rows = results.flatMap((result, i) => {
    const [figure] = result.figures;
    if (figure?.unit !== "share") return [];
    const task = html`<a href="#r${i}">${result.task}</a>`;
    const cells = [task, result.kind, ...(hasModels ? [result.model.name] : []), figure.name];
    return [{ ...figure, cells, shown: figureText(figure) }];
  });
  const head = ["task", "evaluation", ...(hasModels ? ["model"] : []), "figure", "95 % interval"];
  const others = results.flatMap(({ task, kind, figures: [figure] }, i) =>
    figure && figure.unit !== "share"
      ? [[html`<a href="#r${i}">${task}</a>`, kind, figure.name, figureText(figure)]]
      : [],
  );
  return html`${rows.length > 0 && intervalTable({ head, rows, unit: "share", from: 0, to: 1 })}
${others.length > 0 && table({ head: ["task", "evaluation", "figure", "value"], rows: others })}`;
}

function section(result: EvalResult, i: number, hasModels: boolean): Html {
  const { task, kind, model, data, figures, details = {}, seconds } = result;
  const names = details.classNames ?? [];
  const unreadable = data.unreadable > 0 ? `, ${data.unreadable} more could not be read` : "";
  const line = [
    `${kind}`,
    ...(hasModels ? [model.name] : []),
    `${data.pictures} pictures of ${data.name}${unreadable}`,
  ];
  const tiles = figures
    .slice(0, TILES)
    .map(
      (figure) =>
        html`<div class="tile"><b>${valueText(figure.value, figure.unit)}</b><span>${figure.name}</span><span>${intervalText(figure)}</span></div>`,
    );
  return html`<section id="r${i}"><h2>${task}</h2>
<p class="summary">${[...line, ...(data.classes > 0 ? [`${data.classes} classes`] : []), duration(seconds)].join("; ")}</p>
<div class="tiles">${tiles}</div>
${details.notes?.map((note) => html`<p class="note">${note}</p>`)}
${(kind !== "zero-shot" || figures.length > TILES) && figureTables(figures)}
${details.curves && curvePlots(details.curves)}
${details.tables?.map((one) => html`<h3>${one.title}</h3>${table({ head: one.head, rows: one.rows.map((row) => row.map((cell) => (typeof cell === "number" ? short(cell) : cell))) })}`)}
<div class="beside">${details.calibration && calibrationPlot(details.calibration)}${details.confusion && confusionMatrix(details.confusion, names)}</div>
${details.perClass && classBars(details.perClass, names)}
${details.worst && mistakes(details.worst)}
${details.examples?.map(examples)}
${provenance(result)}</section>\n`;
}

/** All that it takes to make the figures again. */
function provenance({ model, data, seed, settings, versions }: EvalResult): Html {
  const versionText = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const entries = [
    ["model", `${model.name}, fingerprint ${model.fingerprint}`],
    ["data", `${data.name}, hash ${data.hash}`],
    ["seed", String(seed)],
    ["versions", versionText.join(", ")],
    ...Object.entries(settings).map(([name, value]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  ];
  return html`<details><summary>How it was measured</summary><dl>${entries.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></details>`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
