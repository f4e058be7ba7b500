export { short } from "./axis.ts";
export { type HeatMap, heatMap } from "./heat-map.ts";
export { type Html, html, picture, table } from "./html.ts";
export { type IntervalRow, intervalTable } from "./interval-table.ts";
export { COLOURS, type Line, linePlot } from "./line-plot.ts";
export { page } from "./page.ts";
export { reliabilityPlot } from "./reliability-plot.ts";
