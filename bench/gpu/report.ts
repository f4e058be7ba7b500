/** Makes a table of the lines that the sides of bench/gpu.sh wrote: report.js DEVICE.json SIDES.jsonl [OUT.json]. */
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { textTable } from "../../src/cli/text-table.ts";
import { CONFIGS } from "../../src/model/index.ts";
import { peakOf, trainingFlops } from "./peaks.ts";

const deviceSchema = z.looseObject({ platform: z.string(), devices: z.array(z.string()).min(1) });
const sideSchema = z.object({
  side: z.string(),
  engine: z.string(),
  model: z.string(),
  batch: z.number(),
  precision: z.string(),
  parameters: z.number(),
  firstStep: z.number(),
  compiling: z.number(),
  firstLoss: z.number(),
  loss: z.number(),
  /** Of a step, a block each. */
  seconds: z.array(z.number()).min(1),
});

const [devicePath = "", sidesPath = "", out] = process.argv.slice(2);
const device = deviceSchema.parse(JSON.parse(readFileSync(devicePath, "utf8")));
const lines = readFileSync(sidesPath, "utf8").split("\n");
const runs = lines.filter((line) => line.startsWith("{")).map((line) => sideSchema.parse(JSON.parse(line)));

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const [card = ""] = device.devices;
const peak = peakOf(card);

const sides = [...new Set(runs.map(({ side }) => side))].map((side) => {
  const own = runs.filter((run) => run.side === side);
  const [first] = own;
  if (!first) throw new Error(`${side}: no run`);
  const { batch, model, precision, parameters, engine, firstLoss } = first;
  const blocks = own.flatMap(({ seconds }) => seconds);
  const seconds = median(blocks);
  const config = Object.entries(CONFIGS).find(([name]) => name === model)?.[1];
  const flops = config && trainingFlops(config, batch) * batch;
  const perSecond = batch / seconds;
  const share = flops !== undefined && peak !== undefined ? flops / seconds / peak : undefined;
  const fastest = batch / Math.min(...blocks);
  const slowest = batch / Math.max(...blocks);
  const compiling = Math.max(...own.map((run) => run.compiling));
  return {
    ...{ side, engine, model, batch, precision, parameters, perSecond, fastest, slowest },
    ...{ tflops: flops && flops / seconds / 1e12, share, compiling, firstLoss, loss: own.at(-1)?.loss },
  };
});

const figure = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? "";
const rows = sides.map((side) => [
  ...[side.side, side.engine, figure(side.perSecond, 1), `${figure(side.slowest, 1)} to ${figure(side.fastest, 1)}`],
  ...[figure(side.tflops, 2), side.share === undefined ? "" : figure(100 * side.share, 1)],
  ...[figure(side.compiling, 1), figure(side.firstLoss, 4), figure(side.loss, 4)],
]);
const head = ["side", "engine", "pairs/s", "range", "TFLOP/s", "% of peak", "compiling, s", "first loss", "last loss"];
const [{ model, batch, precision } = { model: "", batch: 0, precision: "" }] = runs;
process.stdout.write(
  `${model}, batch ${batch}, ${precision}, ${card}; ${peak === undefined ? "peak unknown" : `peak ${peak / 1e12} TFLOP/s in bfloat16`}\n\n`,
);
process.stdout.write(`${textTable({ head, rows })}\n`);
const [ours, ...peers] = sides;
for (const peer of peers)
  if (ours)
    process.stdout.write(
      `\n${ours.side} is ${figure(ours.perSecond / peer.perSecond, 2)} times as fast as ${peer.side}\n`,
    );
if (out) writeFileSync(out, `${JSON.stringify({ device, peak, sides, runs }, null, 2)}\n`);
