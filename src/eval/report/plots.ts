/** Curves and calibration as plots. */
import { type Html, type Line, linePlot, reliabilityPlot } from "../../page/index.ts";
import type { EvalDetails } from "../result.ts";
import { valueText } from "./figures.ts";

type Curve = NonNullable<EvalDetails["curves"]>[number];
type Calibration = NonNullable<EvalDetails["calibration"]>;

export function curvePlot({ title, x, y, logit, lines }: Curve): Html {
  const scale = logit === true ? "logit" : "linear";
  return linePlot({
    title,
    x: { name: x.name, scale: x.log === true ? "log" : scale, unit: axisUnit(x.unit) },
    y: { name: y.name, scale, unit: axisUnit(y.unit) },
    lines: lines satisfies readonly Line[],
    diagonal: logit === true,
  });
}

const axisUnit = (unit: Curve["y"]["unit"] | undefined): "share" | "number" => (unit === "share" ? "share" : "number");

export const calibrationPlot = ({ expectedError, bins }: Calibration): Html =>
  reliabilityPlot({
    title: `Calibration: expected error ${valueText(expectedError, "share")}`,
    bins,
  });
