/** Curves and calibration as plots. */
import { type Html, html, type Line, linePlot, reliabilityPlot } from "../../page/index.ts";
import type { EvalDetails } from "../result.ts";
import { valueText } from "./figures.ts";

type Curve = NonNullable<EvalDetails["curves"]>[number];
type Calibration = NonNullable<EvalDetails["calibration"]>;

/** Lines of a plot that can still be told apart. */
export const LINES = 8;

/** Each curve as a plot; with many lines a plot for each, the others being faint in it. */
export function curvePlots(curves: readonly Curve[]): Html {
  const [few, many] = [curves.filter(isReadable), curves.filter((curve) => !isReadable(curve))];
  return html`${few.length > 0 && html`<div class="plots">${few.map((curve) => curvePlot(curve))}</div>`}
${many.map((curve) => html`<h3>${curve.title}</h3><div class="plots many">${curve.lines.map((_, i) => curvePlot(curve, i))}</div>`)}`;
}

/** Points with labels are no lines. */
const isReadable = ({ lines }: Curve): boolean =>
  lines.filter(({ points }) => points.some(({ label }) => label === undefined)).length <= LINES;

/** @param highlight the one line that is shown in colour */
function curvePlot(curve: Curve, highlight?: number): Html {
  const { x, y, logit, lines } = curve;
  const title = highlight === undefined ? curve.title : (lines[highlight]?.name ?? "");
  const scale = logit === true ? "logit" : "linear";
  return linePlot({
    title,
    x: { name: x.name, scale: x.log === true ? "log" : scale, unit: axisUnit(x.unit) },
    y: { name: y.name, scale, unit: axisUnit(y.unit) },
    lines: lines satisfies readonly Line[],
    diagonal: logit === true,
    ...(highlight !== undefined && { highlight }),
  });
}

const axisUnit = (unit: Curve["y"]["unit"] | undefined): "share" | "number" => (unit === "share" ? "share" : "number");

export const calibrationPlot = ({ expectedError, bins }: Calibration): Html =>
  reliabilityPlot({
    title: `Calibration: expected error ${valueText(expectedError, "share")}`,
    bins,
  });
