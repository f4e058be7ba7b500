/** Lines, bands and points over two axes, as one `<figure>`. Ours, since plotting libraries draw in a browser or bring one along. */
import { type Axis, fits, type Scale, scaleOf } from "./axis.ts";
import { type Html, html } from "./html.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Ends of an interval of y. */
  readonly low?: number | undefined;
  readonly high?: number | undefined;
  /** What the point is; shown beside it. */
  readonly label?: string | undefined;
}

export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface LinePlot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Drawn as lines with bands; those whose points have labels as single points with whiskers. */
  readonly lines: readonly Line[];
  /** The line that is shown in colour, the others being faint behind it. @default all are in colour */
  readonly highlight?: number;
  /** Also y = x: perfect calibration, no loss under shift. @default false */
  readonly diagonal?: boolean;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [420, 250, 44, 16, 10, 24];
/** Points of a line that have a mark of their own. */
const MARKED = 40;
/** Labels beyond these would cover each other; pointing at a point shows it in any case. */
const LABELLED = 16;
export const COLOURS = 8;

/** Points that an axis has no place for are left out. */
export function linePlot(plot: LinePlot): Html {
  const lines = plot.lines.map(({ name, points }) => ({
    name,
    points: points.filter(({ x, y }) => fits(plot.x, x) && fits(plot.y, y)),
  }));
  const points = lines.flatMap((line) => line.points);
  const ends = points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]);
  const x = scaleOf(
    plot.x,
    points.map((point) => point.x),
    LEFT,
    WIDTH - RIGHT,
  ); // prettier
  const y = scaleOf(plot.y, ends, HEIGHT - BOTTOM, TOP);
  const isLabelled = points.filter(({ label }) => label !== undefined).length <= LABELLED;
  const { highlight } = plot;
  const faint = lines.flatMap((line, i) =>
    highlight === undefined || i === highlight ? [] : [faintLine(line, { x, y })],
  );
  const marks = lines.flatMap((line, i) =>
    highlight === undefined || i === highlight
      ? [lineMarks(line, highlight === undefined ? i : 0, { x, y }, plot, isLabelled)]
      : [],
  );
  const legend = html`<ul class="legend">${lines.map(({ name }, i) => html`<li class="s${i % COLOURS}">${swatch(i)}${name}</li>`)}</ul>`;
  return html`<figure><figcaption>${plot.title}</figcaption>${lines.length > 1 && highlight === undefined && legend}
<div class="axis">${axisName(plot.y)}</div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${plot.title}">${grid(x, y)}${plot.diagonal === true && x.from < y.to && y.from < x.to && diagonal(x, y)}${faint}${marks}</svg>
<div class="axis" style="text-align:right">${axisName(plot.x)}</div></figure>`;
}

const axisName = ({ name, unit }: Axis): string => (unit === "share" ? `${name}, %` : name);

function grid(x: Scale, y: Scale): Html[] {
  return [
    ...y.ticks.map(({ at, label }) => {
      const place = y.place(at);
      return html`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(place)}" y2="${px(place)}"/><text x="${LEFT - 6}" y="${px(place + 4)}" text-anchor="end">${label}</text>`;
    }),
    html`<line class="base" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>`,
    ...x.ticks.map(({ at, label }) => {
      const place = px(x.place(at));
      return html`<line class="base" x1="${place}" x2="${place}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM + 4}"/><text x="${place}" y="${HEIGHT - 7}" text-anchor="middle">${label}</text>`;
    }),
  ];
}

/** Over what both axes show. */
function diagonal(x: Scale, y: Scale): Html {
  const [low, high] = [Math.max(x.from, y.from), Math.min(x.to, y.to)];
  return html`<line class="diagonal" x1="${px(x.place(low))}" y1="${px(y.place(low))}" x2="${px(x.place(high))}" y2="${px(y.place(high))}"/>`;
}

interface Scales {
  readonly x: Scale;
  readonly y: Scale;
}

function lineMarks({ name, points }: Line, i: number, { x, y }: Scales, plot: LinePlot, isLabelled: boolean): Html {
  const place = (point: Point, value: number): string => `${px(x.place(point.x))},${px(y.place(value))}`;
  const isScatter = points.some(({ label }) => label !== undefined);
  const banded = points.filter(({ low, high }) => low !== undefined && high !== undefined);
  const edge = [
    ...banded.map((point) => place(point, point.high ?? point.y)),
    ...banded.toReversed().map((point) => place(point, point.low ?? point.y)),
  ];
  const line = html`<polyline points="${points.map((point) => place(point, point.y)).join(" ")}" class="dash${Math.floor(i / 2) % 4}"/>`;
  const marks = points.map((point) => {
    const [cx, cy] = [x.place(point.x), y.place(point.y)];
    const said = `${point.label ?? name}: ${valueText(point.x, plot.x)}, ${valueText(point.y, plot.y)}${intervalText(point, plot.y)}`;
    const circle = html`<circle cx="${px(cx)}" cy="${px(cy)}" r="${isScatter ? 4 : 2.5}"><title>${said}</title></circle>`;
    if (!isScatter) return circle;
    const isRight = cx > WIDTH * 0.7;
    const text = html`<text x="${px(isRight ? cx - 7 : cx + 7)}" y="${px(cy + 4)}" text-anchor="${isRight ? "end" : "start"}">${point.label}</text>`;
    return html`${whisker(point, x, y)}${circle}${isLabelled && text}`;
  });
  return html`<g class="s${i % COLOURS}">${!isScatter && banded.length > 1 && html`<polygon class="band" points="${edge.join(" ")}"/>`}
${!isScatter && line}${(isScatter || points.length <= MARKED) && marks}</g>`;
}

const faintLine = ({ points }: Line, { x, y }: Scales): Html =>
  html`<polyline class="faint" points="${points.map((point) => `${px(x.place(point.x))},${px(y.place(point.y))}`).join(" ")}"/>`;

function whisker(point: Point, x: Scale, y: Scale): Html | undefined {
  const { low, high } = point;
  if (low === undefined || high === undefined) return undefined;
  const place = px(x.place(point.x));
  return html`<line class="whisker" x1="${place}" x2="${place}" y1="${px(y.place(low))}" y2="${px(y.place(high))}"/>`;
}

const swatch = (i: number): Html =>
  html`<svg viewBox="0 0 20 8"><polyline points="0,4 20,4" class="dash${Math.floor(i / 2) % 4}"/></svg>`;

const valueText = (value: number, { unit }: Axis): string =>
  unit === "share" ? `${(100 * value).toFixed(1)} %` : String(Number(value.toPrecision(4)));

const intervalText = ({ low, high }: Point, axis: Axis): string =>
  low === undefined || high === undefined ? "" : ` (${valueText(low, axis)} to ${valueText(high, axis)})`;

const px = (value: number): string => value.toFixed(1);
