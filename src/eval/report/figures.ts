/** Figures as text, and one below the other with their intervals. */
import { type Html, intervalTable, short } from "../../page/index.ts";
import type { Figure } from "../result.ts";

type Unit = Figure["unit"];

/** 23.7 %, 0.0512, 1181. */
export function valueText(value: number, unit: Unit): string {
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  return unit === "count" ? String(Math.round(value)) : short(Number(value.toPrecision(3)));
}

/** 23.7 % (22.5 to 24.9). */
export function figureText({ value, low, high, unit }: Pick<Figure, "value" | "low" | "high" | "unit">): string {
  return `${valueText(value, unit)}${intervalText({ low, high, unit })}`;
}

export function intervalText({ low, high, unit }: Pick<Figure, "low" | "high" | "unit">): string {
  if (low === undefined || high === undefined) return "";
  const bare = (value: number): string => valueText(value, unit).replace(" %", "");
  return ` (${bare(low)} to ${bare(high)})`;
}

/** A table for each unit, as they have no common scale; counts are in the tiles alone. */
export function figureTables(figures: readonly Figure[]): Html[] {
  return (["share", "score"] as const).flatMap((unit) => {
    const rows = figures
      .filter((figure) => figure.unit === unit)
      .map((figure) => ({ ...figure, cells: [figure.name, String(figure.samples)], shown: figureText(figure) }));
    if (rows.length < 2) return [];
    const head = ["figure", "samples", "95 % interval"];
    return [intervalTable({ head, rows, unit: unit === "share" ? "share" : "number" })];
  });
}
