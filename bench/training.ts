/**
 * Our training step beside PyTorch's and JAX's, in one run on the same cores: each side is a process of its own, and they are
 * measured in turns, a short block each, while the others wait. See README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { COMMON_FLAGS, command, listed, needPython, publish, root, runOf, say, sayIfBusy, whole } from "./command.ts";
import { type Job, writeJob } from "./job.ts";
import {
  type ModeResult,
  markdown,
  type Results,
  SIDE_TITLES,
  type Spread,
  spread,
  type WorkloadResult,
} from "./report.ts";
import { type Measured, type Side, startSide } from "./side.ts";
import { DEFAULT_WORKLOADS, type Mode, WORKLOADS, type Workload } from "./workloads.ts";

const DEFAULT_SIDES = ["ours", "eager", "compiled"];

const { values: flags } = parseArgs({
  options: {
    workloads: { type: "string", default: DEFAULT_WORKLOADS.join(",") },
    sides: { type: "string", default: DEFAULT_SIDES.join(",") },
    steps: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
    ...COMMON_FLAGS,
  },
});

const OURS: Readonly<Record<string, readonly string[]>> = {
  ours: ["onnx", "float32"],
  xla: ["xla", "float32"],
  "xla-bf16": ["xla", "bfloat16"],
};

/** Sides of bench/python/peer.py. */
const PEERS: readonly string[] = ["eager", "compiled", "autocast", "jax", "jax-bf16"];

/** The peers give large tensors back to the system otherwise, and are 1.3 to 1.7 times slower at these sizes. Our sides see to it themselves. */
const KEPT_MEMORY = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: String(2 ** 34),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 34),
};

function start(side: string, jobPath: string, threads: number, folder: string): Side {
  const own = OURS[side];
  if (own)
    return startSide({
      name: side,
      command: process.execPath,
      args: [join(import.meta.dirname, "ours.js"), jobPath, ...own],
    });
  return startSide({
    name: SIDE_TITLES[side] ?? side,
    command: flags.python,
    args: [join(root, "bench", "python", "peer.py"), jobPath, side],
    env: {
      OMP_NUM_THREADS: String(threads),
      NPROC: String(threads), // of XLA's, on the CPU
      ...KEPT_MEMORY,
      TORCHINDUCTOR_CACHE_DIR: join(folder, "inductor"), // new, so that compiling is measured
    },
  });
}

async function measure(name: string, workload: Workload, options: Options): Promise<WorkloadResult> {
  const { rounds, threads } = options;
  const folder = mkdtempSync(join(tmpdir(), "clip-ts-bench-"));
  const running: Side[] = [];
  try {
    const { job, path } = await writeJob(workload, threads, folder);
    const plan = { warmup: workload.warmup, steps: options.steps ?? workload.steps };
    const sides = new Map<string, { side: Side; prepared: Awaited<ReturnType<Side["prepare"]>> }>();
    for (const sideName of options.sides) {
      say(`${name}: preparing ${sideName}`);
      const side = start(sideName, path, threads, folder);
      running.push(side);
      sides.set(sideName, { side, prepared: await side.prepare() });
    }
    const counts = new Set([...sides.values()].map(({ prepared }) => prepared.parameters));
    if (counts.size > 1) throw new Error(`${name}: the sides' models differ: ${[...counts].join(", ")} parameters`);

    const modes: ModeResult[] = [];
    for (const mode of workload.modes)
      modes.push(
        await alternate(name, mode, new Map([...sides].map(([key, { side }]) => [key, side])), job, plan, rounds),
      );
    return {
      workload: name,
      title: workload.title,
      batch: job.batch,
      parameters: [...counts][0] ?? 0,
      texts: {
        mean: job.fixed.mean,
        longest: spread(job.fixed.longest),
        context: job.config.text.contextLength,
      },
      modes,
      sides: Object.fromEntries(
        [...sides].map(([key, { side, prepared }]) => [
          key,
          {
            versions: prepared.versions,
            firstStepSeconds: prepared.firstStep,
            compileSeconds: side.compileSeconds(),
            peakBytes: side.peakMemory(),
          },
        ]),
      ),
    };
  } finally {
    for (const side of running) side.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const ratioOf = (ours: readonly number[], theirs: readonly number[]): Spread =>
  spread(theirs.map((speed, i) => (ours[i] ?? Number.NaN) / speed));

interface Options {
  readonly sides: readonly string[];
  readonly rounds: number;
  readonly steps: number | undefined;
  readonly threads: number;
}

/** Rounds of one block a side, every other round backwards, so that a slow drift of the machine favours none. */
async function alternate(
  name: string,
  mode: Mode,
  sides: ReadonlyMap<string, Side>,
  { batch }: Job,
  plan: { readonly warmup: number; readonly steps: number },
  rounds: number,
): Promise<ModeResult> {
  const blocks = new Map<string, Measured[]>([...sides.keys()].map((side) => [side, []]));
  const speedOf = ({ seconds }: Measured): number => (seconds.length * batch) / seconds.reduce((sum, s) => sum + s, 0);
  for (let round = 0; round < rounds; round++) {
    for (const [key, side] of round % 2 === 0 ? [...sides] : [...sides].reverse())
      blocks.get(key)?.push(await side.run({ mode, ...plan }));
    const latest = [...blocks].map(([key, all]) => `${key} ${all.slice(-1).map((b) => speedOf(b).toFixed(1))}`);
    say(`${name}, ${mode}, round ${round + 1}: ${latest.join(", ")} pairs/s`);
  }
  const speeds = [...blocks].map(([key, all]) => [key, all.map(speedOf)] as const);
  const ratios = Object.keys(OURS).flatMap((own) => {
    const ours = blocks.get(own)?.map(speedOf);
    if (!ours) return [];
    const theirs = speeds.filter(([key]) => key !== own);
    return [[own, Object.fromEntries(theirs.map(([key, all]) => [key, ratioOf(ours, all)]))] as const];
  });
  const shares = [...blocks.values()].flat().map((block) => block.elsewhere);
  return {
    mode,
    pairsPerSecond: Object.fromEntries(speeds.map(([key, all]) => [key, { ...spread(all), blocks: all }])),
    ratios: Object.fromEntries(ratios),
    loss: Object.fromEntries([...blocks].map(([key, all]) => [key, all.at(-1)?.loss ?? Number.NaN])),
    elsewhere: shares.some((share) => share === undefined) ? undefined : Math.max(...shares.map((share) => share ?? 0)),
  };
}

async function main(): Promise<void> {
  const names = listed("workloads", flags.workloads, Object.keys(WORKLOADS));
  const options: Options = {
    sides: listed("sides", flags.sides, [...Object.keys(OURS), ...PEERS]),
    rounds: whole("rounds", flags.rounds),
    steps: flags.steps === undefined ? undefined : whole("steps", flags.steps),
    threads: whole("threads", flags.threads),
  };
  if (options.sides.some((side) => !OURS[side])) needPython(flags.python, "--python, or --sides ours");
  sayIfBusy();

  const workloads: WorkloadResult[] = [];
  for (const name of names) {
    const workload = WORKLOADS[name];
    if (workload) workloads.push(await measure(name, workload, options));
  }
  const results: Results = {
    ...runOf(),
    cores: availableParallelism(),
    ...{ threads: options.threads, rounds: options.rounds, workloads },
  };
  const tables = markdown(results);
  publish("training", results, tables, flags);
}

await command(main);
