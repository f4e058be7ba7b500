import { join } from "node:path";
import { Command, Option } from "commander";
import { CLIP } from "../clip.ts";
import { openSource } from "../data/index.ts";
import type { Engine, TrainingPrecision } from "../engine/engine.ts";
import { CONFIGS } from "../model/index.ts";
import type { NodeGroup } from "../nodes/index.ts";
import type { Tower } from "../train/graphs.ts";
import { type TrainOptions, type TrainResult, train } from "../train/loop.ts";
import { checkRecipe, DEFAULT_RECIPE, type Recipe } from "../train/recipe.ts";
import {
  createRunFolder,
  openRunFolder,
  type RunFolder,
  refuseExisting,
  removeIfUnused,
  reportPath,
} from "../train/run-folder.ts";
import { tokenizerOf } from "../train/vocabulary.ts";
import { createEngine, type EngineName, engineOption, hasMesh, loaderThreads } from "./engines.ts";
import { lineOf } from "./failure.ts";
import { INTERRUPTED, onInterrupt } from "./interrupt.ts";
import { threadsOption } from "./model-flag.ts";
import { count, positive, share, whole } from "./options.ts";
import { print } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";
import { loadRecipe } from "./recipe-file.ts";
import { emojiTable, reportRun } from "./run-report.ts";
import { openStartingModel, type StartingModel } from "./starting-model.ts";
import { duration } from "./status-line.ts";
import { textTable } from "./text-table.ts";
import { joinGroup, type NodeFlags, nodeOptions } from "./train-nodes.ts";

interface Flags extends NodeFlags {
  readonly resume?: string;
  readonly from?: string;
  readonly lock?: Tower;
  readonly out?: string;
  readonly table?: string;
  readonly images?: string;
  readonly folder?: string;
  readonly imageColumn?: string;
  readonly captionColumn?: string;
  readonly model?: string;
  readonly vocab?: number;
  readonly batch?: number;
  readonly microBatch?: number;
  readonly checkpointActivations?: boolean;
  readonly patchDropout?: number;
  readonly precision?: TrainingPrecision;
  readonly steps?: number;
  readonly warmup?: number;
  readonly lr?: number;
  readonly seed?: number;
  readonly checkpointEvery?: number;
  readonly engine: EngineName;
  readonly threads?: number;
  readonly loaders?: number;
}

/** Where a model starts from learned weights, a rate for random ones would destroy them (WiSE-FT, arXiv 2109.01903, appendix). */
const FINE_TUNING_RATE = 3e-5;

export const trainCommand = (): Command => {
  const command = new Command("train")
    .argument("[recipe]", "emoji-s, emoji-vit, emoji-l, or a .js, .mjs or .json file")
    .option("--resume <run>", "go on with a run that was stopped")
    .option("--from <model>", "start from a model: a run folder, a file, or a name on the hub such as ViT-B/32")
    .addOption(new Option("--lock <tower>", "leave a tower as it is").choices(["image", "text"] satisfies Tower[]))
    .option("--out <folder>", "the run's folder (default: runs/<name of the recipe>)")
    .option("--table <file>", "train on the pictures and captions of a .csv, .tsv or .jsonl file")
    .option("--images <folder>", "where the table's pictures are (default: the table's folder)")
    .option("--image-column <name>", "the table's column of pictures (default: image)")
    .option("--caption-column <name>", "the table's column of captions (default: caption)")
    .option("--folder <folder>", "train on pictures with a .txt caption beside each")
    .option("--model <name>", `architecture: ${Object.keys(CONFIGS).join(", ")}`)
    .option("--vocab <n>", "size of the vocabulary that is learned from the captions", whole)
    .option("--batch <n>", "pairs that the loss sees at once", whole)
    .option("--micro-batch <n>", "pairs in memory at once; the loss still sees the whole batch", whole)
    .option("--checkpoint-activations", "compute blocks again in the backward pass: less memory, a quarter more work")
    .option("--patch-dropout <share>", "share of each picture's patches that a step leaves out (FLIP)", share)
    .addOption(
      new Option(
        "--precision <type>",
        "what the encoders compute in (default: float32; bfloat16 with --engine xla)",
      ).choices(["float32", "bfloat16"] satisfies TrainingPrecision[]),
    )
    .option("--steps <n>", "training steps", whole)
    .option("--warmup <n>", "steps of warm-up", count)
    .option("--lr <rate>", "highest learning rate", positive)
    .option("--seed <n>", "of the initial weights, the order and the crops", count)
    .option("--checkpoint-every <n>", "steps between checkpoints", whole)
    .addOption(engineOption())
    .addOption(threadsOption())
    .option(
      "--loaders <n>",
      "threads that read and decode pictures (default: 1; where a GPU or TPU computes, one a core, at most 16)",
      whole,
    );
  for (const option of nodeOptions()) command.addOption(option);
  return command
    .addHelpText(
      "after",
      `
Examples:
  clip-ts train emoji-s                              the quickstart's model, five minutes on two cores
  clip-ts train emoji-s --seed 1 --out runs/second
  clip-ts train --table photos.csv --caption-column text --model emoji-vit --steps 5000
  clip-ts train --folder photos/ --batch 1024 --micro-batch 64
  clip-ts train --table photos.csv --from ViT-B/32 --lock text --batch 64 --lr 1e-5
  clip-ts train --resume runs/emoji-s                go on after ctrl-C or a crash
  clip-ts train recipe.json --engine xla --mesh data=8 --fsdp
  clip-ts train recipe.json --engine xla --mesh data=16 --nodes 2 --node-id 0 --coordinator host0:7411
                                                     on two machines (docs/distributed.md)`,
    )
    .action(async (name: string | undefined, flags: Flags) => {
      process.exitCode = await runTraining(name, flags);
    });
};

async function runTraining(name: string | undefined, flags: Flags): Promise<number> {
  refuseIgnored(name, flags);
  const resumed = flags.resume === undefined ? undefined : await openRunFolder(flags.resume);
  const { recipe, folder, start }: Plan = resumed ?? (await newPlan(name, flags));
  if (flags.mesh && !hasMesh(flags.engine))
    throw new Error(`--mesh: ${flags.engine} computes on one device; the XLA engine has several (--engine xla)`);
  const mesh = hasMesh(flags.engine) ? (flags.mesh ?? recipe.mesh) : undefined;
  const isFirst = (flags.nodeId ?? 0) === 0;
  const group = await joinGroup(flags, recipe);
  let engine: Engine | undefined;
  try {
    if (group && !mesh) throw new Error("--nodes: say how the devices of all nodes stand (--mesh data=N)");
    // Before the folder: without a plugin or a device there is to be none.
    engine = await createEngine(flags.engine, flags.threads, { mesh, group });
    const run = resumed ?? (isFirst ? await createRun(recipe, folder, start) : undefined);
    await group?.barrier("the run's folder is there");
    const status = await trainAndReport(run ?? (await openRunFolder(folder)), engine, flags, group);
    await engine.close();
    return status;
  } catch (error) {
    if (!group) {
      await engine?.close();
      throw error;
    }
    await group.fail(lineOf(error));
    process.stderr.write(`clip-ts: node ${group.node}: ${lineOf(error)}\n`);
    // Devices may wait for ever for those of a node that is gone, and threads for them.
    const { endAtOnce } = await import("../engine/pjrt/end-process.ts");
    return endAtOnce(1);
  }
}

async function trainAndReport(
  run: RunFolder,
  engine: Engine,
  flags: Flags,
  group: NodeGroup | undefined,
): Promise<number> {
  const { fsdp, loaders = await loaderThreads(flags.engine) } = flags;
  try {
    const options = { loaderWorkers: loaders, ...(group && { group }), ...(fsdp && { fsdp }) };
    const result = await trainWithProgress(run, engine, options);
    await group?.leave();
    if ((group?.node ?? 0) === 0) await report(run, engine, result);
    return result.finished ? 0 : INTERRUPTED;
  } catch (error) {
    if (flags.resume === undefined) await removeIfUnused(run.folder);
    throw error;
  }
}

async function report(run: RunFolder, engine: Engine, { finished }: TrainResult): Promise<void> {
  const clip = await CLIP.load(run.folder, { engine });
  const results = await reportRun(run, clip);
  await clip.close();
  if (results.length > 0 && finished) await print(`${textTable(emojiTable(results))}\n`);
  process.stderr.write(`report: ${reportPath(run.folder)}\n`);
}

/** A run that is there, or to be made. */
interface Plan {
  readonly recipe: Recipe;
  readonly folder: string;
  readonly start?: StartingModel | undefined;
}

async function newPlan(name: string | undefined, flags: Flags): Promise<Plan> {
  const base = name === undefined ? { ...DEFAULT_RECIPE, ...ownData(flags) } : await loadRecipe(name);
  const folder = flags.out ?? join("runs", base.name);
  if ((flags.nodeId ?? 0) === 0) await refuseExisting(folder);
  const start = flags.from === undefined ? undefined : await openStartingModel(flags.from);
  return { recipe: recipeOf({ ...base, ...start?.recipe }, flags, name ?? "the flags"), folder, start };
}

/** A new run folder with its tokenizer; emoji are drawn first where they never were. */
export async function createRun(recipe: Recipe, folder: string, start?: StartingModel): Promise<RunFolder> {
  await refuseExisting(folder);
  const bar = createProgressBar();
  const source = await openSource(recipe.source, {
    onProgress: (done, total) => bar.note(`drawing emoji ${done}/${total}`),
  });
  source.close?.();
  bar.end();
  return createRunFolder(folder, recipe, start?.tokenizer ?? (await tokenizerOf(recipe)), start?.weights);
}

/** Trains with a bar on stderr; ctrl-C saves and says how to go on. */
export async function trainWithProgress(
  run: RunFolder,
  engine: Engine,
  options: Pick<TrainOptions, "fsdp" | "group" | "loaderWorkers"> = {},
): Promise<TrainResult> {
  const bar = createProgressBar();
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const interrupt = onInterrupt(() => {
    bar.end();
    say("finishing the step and saving (press again to quit at once)");
  });
  const begun = performance.now();
  try {
    const result = await train(run, { engine, signal: interrupt.signal, progress: bar, ...options });
    bar.end();
    const { count, names } = result.badImages;
    if (count > 0) {
      say(`${count} pictures could not be read:`);
      for (const name of names.slice(0, 10)) say(`  ${name}`);
      if (count > 10) say("  ...");
    }
    if (result.truncatedCaptions > 0) say(`${result.truncatedCaptions} captions were longer than the context and cut`);
    const took = duration((performance.now() - begun) / 1000);
    say(
      result.finished
        ? `trained ${result.step} steps in ${took}: ${run.folder}`
        : `stopped after step ${result.step} of ${run.recipe.steps}; go on with: clip-ts train --resume ${run.folder}`,
    );
    return result;
  } finally {
    bar.end();
    interrupt.release();
  }
}

function recipeOf(base: Recipe, flags: Flags, where: string): Recipe {
  if (flags.from !== undefined && (flags.model !== undefined || flags.vocab !== undefined))
    throw new Error("--from: the model decides architecture and vocabulary; leave --model and --vocab out");
  const steps = flags.steps ?? base.steps;
  const warmup = flags.warmup ?? Math.min(base.schedule.warmup, Math.ceil(0.08 * steps));
  const { microBatch = base.microBatch, checkpointActivations = base.checkpointActivations } = flags;
  const { patchDropout = base.patchDropout, precision = base.precision } = flags;
  const recipe = {
    ...base,
    ...(flags.model === undefined ? {} : { model: configOf(flags.model) }),
    ...(flags.vocab === undefined ? {} : { tokenizer: { kind: "trained", vocabSize: flags.vocab } }),
    batch: flags.batch ?? base.batch,
    ...(microBatch === undefined ? {} : { microBatch }),
    ...(checkpointActivations === undefined ? {} : { checkpointActivations }),
    ...(patchDropout === undefined ? {} : { patchDropout }),
    ...(precision === undefined ? {} : { precision }),
    steps,
    learningRate: flags.lr ?? (flags.from === undefined ? base.learningRate : FINE_TUNING_RATE),
    ...(flags.lock === undefined ? {} : { lock: flags.lock }),
    schedule: { ...base.schedule, warmup },
    seed: flags.seed ?? base.seed,
    checkpointEvery: flags.checkpointEvery ?? base.checkpointEvery,
  };
  return checkRecipe(recipe, where);
}

/** What may differ where a run goes on: what computes it, not what is computed. */
const OF_THE_MACHINE = new Set<string>([
  "resume",
  "engine",
  "threads",
  "loaders",
  "mesh",
  "fsdp",
  "nodes",
  "nodeId",
  "coordinator",
  "bind",
] satisfies (keyof Flags)[]);
const OF_A_TABLE = ["images", "imageColumn", "captionColumn"] as const satisfies readonly (keyof Flags)[];

/** @throws one line if something was given that would have no effect */
function refuseIgnored(name: string | undefined, flags: Flags): void {
  const { resume, table, folder } = flags;
  const dashed = (flag: string): string => `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (resume !== undefined) {
    const flag = Object.keys(flags).find((one) => !OF_THE_MACHINE.has(one));
    const given = name ?? (flag === undefined ? undefined : dashed(flag));
    if (given === undefined) return;
    throw new Error(
      `--resume: a run goes on by its own recipe, so that ${given} would have no effect; --from starts another run from its model`,
    );
  }
  const data = (["table", "folder", ...OF_A_TABLE] as const).find((flag) => flags[flag] !== undefined);
  if (name !== undefined && data !== undefined)
    throw new Error(`${dashed(data)}: the recipe ${name} says what it trains on; leave one of them out`);
  if (table !== undefined && folder !== undefined) throw new Error("--table and --folder: expected one of them");
  const ofTable = OF_A_TABLE.find((flag) => flags[flag] !== undefined);
  if (table === undefined && ofTable !== undefined) throw new Error(`${dashed(ofTable)}: is of a table (--table)`);
}

function ownData(flags: Flags): Pick<Recipe, "name" | "source"> {
  const { table, folder, images, imageColumn, captionColumn } = flags;
  if (table !== undefined)
    return {
      name: "own",
      source: {
        kind: "table",
        table,
        ...(images === undefined ? {} : { folder: images }),
        ...(imageColumn === undefined ? {} : { imageColumn }),
        ...(captionColumn === undefined ? {} : { captionColumn }),
      },
    };
  if (folder !== undefined) return { name: "own", source: { kind: "sidecar", folder } };
  throw new Error("name a recipe, or data with --table or --folder (clip-ts train --help shows examples)");
}

function configOf(name: string): Recipe["model"] {
  if (!Object.hasOwn(CONFIGS, name))
    throw new Error(`--model: expected one of ${Object.keys(CONFIGS).join(", ")}, got ${name}`);
  return CONFIGS[name as keyof typeof CONFIGS];
}
