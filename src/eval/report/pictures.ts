/** Pictures for the reader: the worst mistakes, and examples of questions with their answers. */
import { type Html, html, picture } from "../../page/index.ts";
import type { EvalDetails, ExampleItem } from "../result.ts";
import { valueText } from "./figures.ts";

type Worst = NonNullable<EvalDetails["worst"]>;
type Examples = NonNullable<EvalDetails["examples"]>[number];

export function mistakes(worst: Worst): Html | undefined {
  if (worst.length === 0) return undefined;
  const cards = worst.map(
    ({ picture: { name, thumbnail }, label, predicted, confidence }) =>
      html`<div class="card">${picture(thumbnail, name) ?? html`<span class="quiet">no picture</span>`}<div><span class="wrong">${predicted}</span><br>${valueText(confidence, "share")} sure<br><span class="quiet">is</span> <b>${label}</b></div><span class="quiet name">${name}</span></div>\n`,
  );
  return html`<h3>The mistakes it was surest of</h3><div class="grid">${cards}</div>`;
}

export function examples({ title, rows }: Examples): Html | undefined {
  if (rows.length === 0) return undefined;
  const shown = rows.map(
    ({ query, answers }) =>
      html`<div class="answers"><div class="card query">${item(query)}</div>${answers.map((answer) => html`<div class="card${answer.right === true && " hit"}">${item(answer)}</div>`)}</div>\n`,
  );
  return html`<h3>${title}</h3>${shown}`;
}

function item({ text, picture: shown, score, right }: ExampleItem): Html {
  const image = shown && (picture(shown.thumbnail, shown.name) ?? html`<span class="quiet">${shown.name}</span>`);
  const tone = right === undefined ? "" : right ? "right" : "wrong";
  return html`${image}${text !== undefined && html`<span class="${tone}">${text}</span>`}${score !== undefined && html`<span class="quiet">${score.toFixed(2)}</span>`}`;
}
