/**
 * Time of retrieval both ways over n texts and n pictures, in blocks, beside PyTorch's over the whole matrix of scores, in turns; and what a
 * million of each would take, by the same rate.
 *
 *     npm run build && npx tsc -p bench/tsconfig.json && node dist/bench/retrieval.js --python bench/python/.venv/bin/python
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createOnnxEngine } from "../src/engine/onnx/onnx-engine.ts";
import { retrievalRanks } from "../src/eval/retrieval.ts";
import { engineProducts } from "../src/eval/retrieval-products.ts";
import { memoryMatrix, normalizedMatrix } from "../src/eval/tasks/features.ts";
import { say, whole } from "./command.ts";

const { values } = parseArgs({
  options: {
    counts: { type: "string", default: "5000,10000" },
    width: { type: "string", default: "512" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(cpus().length) },
    python: { type: "string" },
  },
});
const [width, rounds, threads] = [
  whole("width", values.width),
  whole("rounds", values.rounds),
  whole("threads", values.threads),
];

/** Rows of noise of length 1. */
async function rowsOf(count: number, seed: number) {
  const data = Float32Array.from({ length: count * width }, (_, i) => Math.sin(i * 12.9898 + seed) * 43758.5453);
  for (const [i, x] of data.entries()) data[i] = x - Math.floor(x) - 0.5;
  return memoryMatrix(await normalizedMatrix(memoryMatrix(data, width)).read(0, count), width);
}

const engine = await createOnnxEngine({ threads });
const { products, close } = engineProducts(engine);
async function ours(count: number): Promise<number> {
  const [texts, images] = [await rowsOf(count, 1), await rowsOf(count, 2)];
  const owners = Int32Array.from({ length: count }, (_, i) => i);
  const started = performance.now();
  await retrievalRanks(texts, images, owners, { products });
  return (performance.now() - started) / 1000;
}

const python =
  values.python && spawn(values.python, ["bench/python/retrieval.py"], { stdio: ["pipe", "pipe", "inherit"] });
const answers = python ? createInterface({ input: python.stdout })[Symbol.asyncIterator]() : undefined;
async function theirs(count: number): Promise<{ readonly seconds: number; readonly peak: number } | undefined> {
  if (!python || !answers) return undefined;
  python.stdin.write(`${count} ${width} ${threads}\n`);
  return JSON.parse(String((await answers.next()).value));
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const round = (x: number): number => Number(x.toPrecision(3));

for (const said of values.counts.split(",")) {
  const count = whole("counts", said);
  await ours(Math.min(count, 4096)); // programs are compiled
  const [mine, other, peaks]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i < rounds; i++) {
    mine.push(await ours(count));
    const answer = await theirs(count);
    if (answer) other.push(answer.seconds);
    if (answer) peaks.push(answer.peak);
  }
  const seconds = median(mine);
  const gigaflops = (2 * count * count * width) / seconds / 1e9;
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  say(
    JSON.stringify({
      ...{ count, width, threads, seconds: round(seconds), gigaflops: round(gigaflops), peakMiB: memory },
      millionHours: round((seconds * (1e6 / count) ** 2) / 3600),
      ...(other.length > 0 && {
        pytorch: round(median(other)),
        pytorchPeakMiB: Math.round(Math.max(...peaks)),
        timesAsFast: mine.map((own, i) => round((other[i] ?? 0) / own)),
      }),
    }),
  );
}
if (python) python.stdin.end();
await close();
await engine.close();
