/**
 * Our sides: a trainer as `clip-ts train` has it, with the loader's worker, answering training.ts's questions.
 * ours.js JOB onnx|xla float32|bfloat16
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createLoader } from "../src/data/index.ts";
import type { Engine } from "../src/engine/engine.ts";
import { restartKeepingMemory } from "../src/engine/pjrt/kept-memory.ts";
import { elements } from "../src/graph/index.ts";
import { initialise, parameterShapes } from "../src/model/index.ts";
import { choosePlugin } from "../src/plugins/index.ts";
import type { PairBatch } from "../src/train/step-inputs.ts";
import { createTrainer } from "../src/train/trainer.ts";
import { type Job, readFixed } from "./job.ts";
import { versionOf } from "./package-version.ts";
import type { Prepared, Question, Ran } from "./protocol.ts";
import type { Mode } from "./workloads.ts";

const job: Job = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const { config, adam, batch, learningRate, threads } = job;
const [engineName = "onnx", precision = "float32"] = process.argv.slice(3);
// As the command does it.
await restartKeepingMemory();
const { engine, versions } = await engineOf(engineName);
const trainer = await createTrainer(
  engine,
  { config, adam, batch, precision: precision === "bfloat16" ? precision : "float32" },
  initialise(config, 0),
);
const loader = job.loader && (await createLoader(job.loader));
const fixed = readFixed(job);
let updates = 0;
const position: Record<Mode, number> = { data: 0, fixed: 0 };

async function engineOf(name: string): Promise<{ engine: Engine; versions: Record<string, string> }> {
  const { node } = process.versions;
  if (name === "xla") {
    const { createPjrtEngine } = await import("../src/engine/pjrt/pjrt-engine.ts");
    const plugin = await choosePlugin("cpu");
    // XLA's CPU client has no option for it, but reads this variable.
    process.env.NPROC = String(threads);
    return { engine: await createPjrtEngine(plugin), versions: { node, "XLA's plugin": plugin.package ?? "?" } };
  }
  const { createOnnxEngine } = await import("../src/engine/onnx/onnx-engine.ts");
  return {
    engine: await createOnnxEngine({ threads }),
    versions: { node, "onnxruntime-node": versionOf("onnxruntime-node") },
  };
}

async function inputs(mode: Mode): Promise<PairBatch> {
  const step = position[mode]++;
  const pairs = mode === "data" ? await loader?.batch(step) : fixed[step % fixed.length];
  if (!pairs) throw new Error(`ours: no inputs for ${mode}`);
  return pairs;
}

const train = async (pairs: PairBatch): Promise<number> => (await trainer.step([pairs], learningRate, updates++)).loss;

/** Steps through the fixed batches and some of the loader's. */
async function prepare(): Promise<Prepared> {
  const begun = performance.now();
  await train(await inputs("fixed"));
  const firstStep = (performance.now() - begun) / 1000;
  for (let i = 1; i < fixed.length; i++) await train(await inputs("fixed"));
  if (loader) for (let i = 0; i < fixed.length; i++) await train(await inputs("data"));
  const parameters = Object.values(parameterShapes(config)).reduce((sum, shape) => sum + elements(shape), 0);
  return { versions, parameters, firstStep, compiling: trainer.compileSeconds() };
}

/** A step that compiles a program first does not count, and one more is run. */
async function run(mode: Mode, warmup: number, steps: number): Promise<Ran> {
  const seconds: number[] = [];
  let loss = Number.NaN;
  for (let i = 0; seconds.length < steps; i++) {
    const [begun, compiled] = [performance.now(), trainer.compileSeconds()];
    loss = await train(await inputs(mode));
    if (i >= warmup && trainer.compileSeconds() === compiled) seconds.push((performance.now() - begun) / 1000);
  }
  return { seconds, loss, compiling: trainer.compileSeconds() };
}

for await (const line of createInterface({ input: process.stdin })) {
  const question: Question<Mode> = JSON.parse(line);
  const answer =
    question.ask === "prepare" ? await prepare() : await run(question.mode, question.warmup, question.steps);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
