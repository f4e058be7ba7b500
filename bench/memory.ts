/**
 * Memory and time of training steps of large models, with and without what saves them: activation checkpointing, micro-batches, patch
 * dropout. Each case is a process of its own, whose largest resident set the system tells.
 *
 *     npm run build && npx tsc -p bench/tsconfig.json && node dist/bench/memory.js --cases vit-b-32,vit-b-32-checkpointed
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createOnnxEngine } from "../src/engine/onnx/onnx-engine.ts";
import { createPjrtEngine } from "../src/engine/pjrt/pjrt-engine.ts";
import { type ClipConfig, CONFIGS, initialise } from "../src/model/index.ts";
import { choosePlugin } from "../src/plugins/index.ts";
import { PAPER_ADAM } from "../src/train/recipe.ts";
import type { PairBatch } from "../src/train/step-inputs.ts";
import { createTrainer, type TrainerOptions } from "../src/train/trainer.ts";
import { listed, say, whole } from "./command.ts";

interface Case {
  readonly config: ClipConfig;
  readonly batch: number;
  readonly options?: Partial<TrainerOptions>;
}

const B32: Case = { config: CONFIGS["ViT-B/32"], batch: 32 };
const B16: Case = { config: CONFIGS["ViT-B/16"], batch: 32 };
/** 24 blocks, 512 wide, on 197 tokens; the text tower is small. */
const DEEP: Case = {
  config: {
    ...CONFIGS["emoji-vit"],
    imageSize: 224,
    vision: { ...CONFIGS["ViT-B/16"].vision, width: 512, layers: 24, heads: 8 },
  },
  batch: 16,
};
const checkpointed = (one: Case): Case => ({ ...one, options: { ...one.options, checkpointActivations: true } });
const dropped = (one: Case, patchDropout: number): Case => ({ ...one, options: { ...one.options, patchDropout } });
const pieced = (one: Case, microBatch: number): Case => ({ ...one, options: { ...one.options, microBatch } });

const CASES: Readonly<Record<string, Case>> = {
  "vit-b-32": B32,
  "vit-b-32-checkpointed": checkpointed(B32),
  "vit-b-32-256": { ...B32, batch: 256 },
  "vit-b-32-256-checkpointed": checkpointed({ ...B32, batch: 256 }),
  "vit-b-32-256-pieces-of-32": pieced({ ...B32, batch: 256 }, 32),
  "vit-b-32-half-of-patches": dropped(B32, 0.5),
  "vit-b-16": B16,
  "vit-b-16-half-of-patches": dropped(B16, 0.5),
  "vit-b-16-checkpointed": checkpointed(B16),
  "24-layers": DEEP,
  "24-layers-checkpointed": checkpointed(DEEP),
};

/** Pictures of noise and texts of 8 to 24 tokens. */
function pairs({ config, batch }: Case): PairBatch {
  const { contextLength, vocabSize } = config.text;
  const images = new Uint8Array(batch * config.imageSize ** 2 * 3).map((_, i) => (i * 2654435761) >>> 24);
  const tokens = new Int32Array(batch * contextLength);
  for (let row = 0; row < batch; row++) {
    const end = 7 + ((row * 7) % 17);
    for (let t = 0; t < end; t++) tokens[row * contextLength + t] = (row * 7919 + t * 104729) % (vocabSize - 2);
    tokens[row * contextLength + end] = vocabSize - 1;
  }
  return { images, tokens };
}

function piecesOf({ images, tokens }: PairBatch, count: number): PairBatch[] {
  const part = <T extends Uint8Array | Int32Array>(all: T, i: number): T =>
    all.subarray((i * all.length) / count, ((i + 1) * all.length) / count) as T;
  return Array.from({ length: count }, (_, i) => ({ images: part(images, i), tokens: part(tokens, i) }));
}

/** Bytes that this process has had at most; Linux only. */
const peak = (): number =>
  1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? Number.NaN);
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function measure(name: string, engineName: string, steps: number): Promise<void> {
  const one = CASES[name];
  if (!one) throw new Error(`no case ${name}`);
  const { config, batch, options } = one;
  const engine = engineName === "onnx" ? await createOnnxEngine() : await createPjrtEngine(await choosePlugin("cpu"));
  const trainer = await createTrainer(engine, { config, adam: PAPER_ADAM.vit, batch, ...options }, () =>
    initialise(config, 0),
  );
  const created = peak();
  const pieces = piecesOf(pairs(one), batch / (options?.microBatch ?? batch));
  const seconds: number[] = [];
  const processor: number[] = [];
  let loss = Number.NaN;
  let first = 0;
  for (let step = 0; step <= steps; step++) {
    const [begun, before] = [performance.now(), process.cpuUsage()];
    ({ loss } = await trainer.step(pieces, 1e-5, step));
    const { user, system } = process.cpuUsage(before);
    seconds.push((performance.now() - begun) / 1000);
    processor.push((user + system) / 1e6);
    if (step === 0) first = peak();
  }
  const lines = [
    `${median(seconds.slice(1)).toFixed(2)} s a step, ${median(processor.slice(1)).toFixed(2)} s of processors`,
    `peak ${gigabytes(peak())}, ${gigabytes(first)} after the first step, ${gigabytes(created)} when created`,
    `compiled in ${trainer.compileSeconds().toFixed(1)} s; loss ${loss.toFixed(5)}`,
  ];
  process.stdout.write(`${name}, ${engineName}: ${lines.join("; ")}\n`);
  process.exit();
}

const { values: flags } = parseArgs({
  options: {
    cases: { type: "string", default: "vit-b-32,vit-b-32-checkpointed" },
    steps: { type: "string", default: "3" },
    engine: { type: "string", default: "onnx" },
    only: { type: "string" },
  },
});
const steps = whole("steps", flags.steps);
const [engine = "onnx"] = listed("engine", flags.engine, ["onnx", "xla-cpu"]);
if (flags.only === undefined)
  for (const name of listed("cases", flags.cases, Object.keys(CASES))) {
    const args = [fileURLToPath(import.meta.url), "--only", name, "--engine", engine, "--steps", flags.steps];
    const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
    if (status !== 0) say(`${name}: ended with ${status}`);
  }
else await measure(flags.only, engine, steps);
