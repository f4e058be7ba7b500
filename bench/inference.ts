/**
 * Encoding pictures and texts beside onnxruntime with the exported model, transformers.js and PyTorch, on the same weights, in one
 * run on the same cores: each side is a process of its own, measured in turns, a short block each. See README.md.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { COMMON_FLAGS, command, listed, needPython, publish, root, runOf, say, whole } from "./command.ts";
import { type Features, type InferenceJob, writeInferenceJob } from "./inference-job.ts";
import { type InferenceResults, inferenceMarkdown, type SideCosts } from "./inference-report.ts";
import { type Side, startSide } from "./side.ts";

const python = join(root, "bench", "python");
const transformersJs = join(root, "bench", "transformers-js");

/** What is measured, with steps that take a block of a second or so. */
const MODES = {
  "images 1": { warmup: 4, steps: 20 },
  "images 8": { warmup: 1, steps: 4 },
  "images 32": { warmup: 1, steps: 2 },
  "texts 1": { warmup: 4, steps: 30 },
  "texts 32": { warmup: 1, steps: 3 },
  "files 64": { warmup: 0, steps: 1 },
} as const;

const SIDES = [
  "ours",
  "ours-int8",
  "onnxruntime-node",
  "transformers.js",
  "onnxruntime",
  "onnxruntime-int8",
  "pytorch",
];
/** Of onnxruntime's there is no end-to-end: nothing reads pictures for it. */
const WITHOUT_FILES = ["onnxruntime-node", "onnxruntime", "onnxruntime-int8"];
/** Pictures are what its 8 bits are compared in. */
const WITHOUT_TEXTS = ["onnxruntime-int8"];

const { values: flags } = parseArgs({
  options: {
    sides: { type: "string", default: SIDES.join(",") },
    modes: { type: "string", default: Object.keys(MODES).join(",") },
    threads: { type: "string", default: String(availableParallelism()) },
    ...COMMON_FLAGS,
    rounds: { type: "string", default: "5" },
  },
});

function start(name: string, jobPath: string, { threads }: InferenceJob, folder: string): Side {
  const kinds: Record<string, string> = { ours: "float32", "ours-int8": "int8", "onnxruntime-node": "exported" };
  const kind = kinds[name];
  const env = { OMP_NUM_THREADS: String(threads), CLIP_TS_CACHE: join(folder, "cache"), HF_HUB_OFFLINE: "1" };
  if (kind !== undefined) {
    const args = [join(import.meta.dirname, "inference-ours.js"), jobPath, kind];
    return startSide({ name, command: process.execPath, args, env });
  }
  if (name === "transformers.js")
    return startSide({ name, command: process.execPath, args: [join(transformersJs, "peer.mjs"), jobPath], env });
  return startSide({ name, command: flags.python, args: [join(python, "inference_peer.py"), jobPath, name], env });
}

/** Seconds from starting a process until it has encoded one picture. */
async function begun(name: string, path: string, job: InferenceJob, folder: string): Promise<[Side, number, object]> {
  const before = performance.now();
  const side = start(name, path, job, folder);
  const { versions } = await side.ask<{ versions: object }>({ ask: "prepare" });
  return [side, (performance.now() - before) / 1000, versions];
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * (y[i] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Least cosine of a side's features with those of the first side. */
function agreement(found: Features, wanted: Features): number {
  const all = [
    ...found.images.map((row, i) => [row, wanted.images[i]]),
    ...found.texts.map((row, i) => [row, wanted.texts[i]]),
  ];
  return Math.min(...all.map(([row, other]) => cosine(row ?? [], other ?? [])));
}

async function measure(
  folder: string,
  sides: readonly string[],
  modes: readonly string[],
  rounds: number,
  threads: number,
) {
  say("writing weights, pictures and captions; exporting the model");
  const { job, path } = await writeInferenceJob(folder, threads);
  if (sides.some((side) => !side.startsWith("ours")))
    execFileSync(
      flags.python,
      [join(python, "inference_export.py"), job.weights, JSON.stringify(job.config), job.exported],
      {
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...process.env, HF_HUB_OFFLINE: "1" },
      },
    );
  const running = new Map<string, Side>();
  const costs: Record<string, SideCosts> = {};
  const versions: Record<string, string> = {};
  try {
    let reference: Features | undefined;
    for (const name of sides) {
      say(`starting ${name}`);
      // Ours twice: the first start compiles and keeps, the second finds.
      let firstStart: number | undefined;
      if (name.startsWith("ours")) {
        const [first, seconds] = await begun(name, path, job, folder);
        firstStart = seconds;
        first.close();
      }
      const [side, seconds, found] = await begun(name, path, job, folder);
      running.set(name, side);
      Object.assign(versions, found);
      const features = await side.ask<Features>({ ask: "features" });
      reference ??= features;
      costs[name] = { start: seconds, firstStart, cosine: agreement(features, reference), peakBytes: undefined };
    }
    const speeds: Record<string, Record<string, number[]>> = {};
    let elsewhere = 0;
    for (const mode of modes) {
      const count = Number(mode.split(" ")[1]);
      const plan = MODES[mode as keyof typeof MODES];
      const able = [...running].filter(
        ([name]) =>
          !(mode.startsWith("files") && WITHOUT_FILES.includes(name)) &&
          !(mode.startsWith("texts") && WITHOUT_TEXTS.includes(name)),
      );
      const blocks: Record<string, number[]> = Object.fromEntries(able.map(([name]) => [name, []]));
      for (let round = 0; round < rounds; round++) {
        for (const [name, side] of round % 2 === 0 ? able : able.toReversed()) {
          const { seconds, elsewhere: others = 0 } = await side.run({ mode, ...plan });
          elsewhere = Math.max(elsewhere, others);
          blocks[name]?.push((count * seconds.length) / seconds.reduce((sum, s) => sum + s, 0));
        }
        say(`${mode}, round ${round + 1}: ${able.map(([n]) => `${n} ${blocks[n]?.at(-1)?.toFixed(1)}`).join(", ")}`);
      }
      speeds[mode] = blocks;
    }
    for (const [name, side] of running) {
      const cost = costs[name];
      if (cost) costs[name] = { ...cost, peakBytes: side.peakMemory() };
    }
    return { speeds, costs, versions, elsewhere, weightBytes: statSync(job.weights).size };
  } finally {
    for (const side of running.values()) side.close();
  }
}

async function main(): Promise<void> {
  const sides = listed("sides", flags.sides, SIDES);
  const modes = listed("modes", flags.modes, Object.keys(MODES));
  const [rounds, threads] = [whole("rounds", flags.rounds), whole("threads", flags.threads)];
  if (sides.some((side) => !side.startsWith("ours"))) needPython(flags.python, "--python, or --sides ours");
  if (sides.includes("transformers.js") && !existsSync(join(transformersJs, "node_modules")))
    throw new Error(`transformers.js is not installed: npm install --prefix bench/transformers-js (or other --sides)`);
  const folder = mkdtempSync(join(tmpdir(), "clip-ts-bench-"));
  try {
    const measured = await measure(folder, sides, modes, rounds, threads);
    const results: InferenceResults = {
      ...runOf(),
      cores: availableParallelism(),
      ...{ threads, rounds, ...measured },
    };
    const tables = inferenceMarkdown(results);
    publish("inference", results, tables, flags);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await command(main);
