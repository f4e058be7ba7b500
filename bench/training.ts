/**
 * Our training step beside PyTorch's, in one run on the same cores: each side is a process of its own, and they are
 * measured in turns, a short block each, while the others wait. See README.md.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type Job, writeJob } from "./job.ts";
import { type ModeResult, markdown, type Results, spread, type WorkloadResult, writeDocs } from "./report.ts";
import { type Measured, type Side, startSide } from "./side.ts";
import { DEFAULT_WORKLOADS, type Mode, WORKLOADS, type Workload } from "./workloads.ts";

const root = join(import.meta.dirname, "..", "..");
const SIDES = ["ours", "eager", "compiled"];

const { values: flags } = parseArgs({
  options: {
    workloads: { type: "string", default: DEFAULT_WORKLOADS.join(",") },
    sides: { type: "string", default: SIDES.join(",") },
    rounds: { type: "string", default: "7" },
    steps: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
    python: { type: "string", default: join(root, "bench", "python", ".venv", "bin", "python") },
    out: { type: "string" },
    docs: { type: "boolean", default: false },
  },
});

const say = (text: string): void => void process.stderr.write(`${text}\n`);

function whole(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${flag}: expected a whole number above 0, got ${text}`);
}

function listed(flag: string, text: string, known: readonly string[]): string[] {
  const names = text.split(",");
  for (const name of names)
    if (!known.includes(name)) throw new Error(`--${flag}: expected some of ${known.join(", ")}, got ${name}`);
  return names;
}

function start(side: string, jobPath: string, threads: number, folder: string): Side {
  if (side === "ours")
    return startSide({ name: side, command: process.execPath, args: [join(import.meta.dirname, "ours.js"), jobPath] });
  return startSide({
    name: `PyTorch ${side}`,
    command: flags.python,
    args: [join(root, "bench", "python", "peer.py"), jobPath, side],
    env: {
      OMP_NUM_THREADS: String(threads),
      // PyTorch frees large tensors to the system otherwise and is 1.3 to 1.6 times slower at these sizes.
      MALLOC_MMAP_THRESHOLD_: String(2 ** 34),
      MALLOC_TRIM_THRESHOLD_: String(2 ** 34),
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
  const ours = blocks.get("ours")?.map(speedOf);
  const shares = [...blocks.values()].flat().map((block) => block.elsewhere);
  return {
    mode,
    pairsPerSecond: Object.fromEntries(speeds.map(([key, all]) => [key, { ...spread(all), blocks: all }])),
    ratio: ours
      ? Object.fromEntries(
          speeds.flatMap(([key, all]) =>
            key === "ours" ? [] : [[key, spread(all.map((theirs, i) => (ours[i] ?? Number.NaN) / theirs))]],
          ),
        )
      : {},
    loss: Object.fromEntries([...blocks].map(([key, all]) => [key, all.at(-1)?.loss ?? Number.NaN])),
    elsewhere: shares.some((share) => share === undefined) ? undefined : Math.max(...shares.map((share) => share ?? 0)),
  };
}

async function main(): Promise<void> {
  const names = listed("workloads", flags.workloads, Object.keys(WORKLOADS));
  const options: Options = {
    sides: listed("sides", flags.sides, SIDES),
    rounds: whole("rounds", flags.rounds),
    steps: flags.steps === undefined ? undefined : whole("steps", flags.steps),
    threads: whole("threads", flags.threads),
  };
  if (options.sides.some((side) => side !== "ours") && !existsSync(flags.python))
    throw new Error(`no Python at ${flags.python}: bench/README.md says how to make it (or --python, or --sides ours)`);
  const [load = 0] = loadavg();
  if (load > 0.3) say(`the machine is busy (load ${load.toFixed(2)}): the figures will be of little worth`);

  const workloads: WorkloadResult[] = [];
  for (const name of names) {
    const workload = WORKLOADS[name];
    if (workload) workloads.push(await measure(name, workload, options));
  }
  const results: Results = {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: availableParallelism(),
    ...{ threads: options.threads, rounds: options.rounds, workloads },
  };
  const out = flags.out ?? join(root, "bench", "results", `training-${results.date.replaceAll(":", "")}.json`);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(results, null, 2)}\n`);
  const tables = markdown(results);
  if (flags.docs) writeDocs("training", tables);
  process.stdout.write(`${tables}\n`);
  say(out);
}

try {
  await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
