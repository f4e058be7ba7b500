import { join } from "node:path";
import { createLoader, type Loader } from "../data/index.ts";
import type { Engine } from "../engine/engine.ts";
import { locked } from "../lock.ts";
import { initialise } from "../model/index.ts";
import type { NodeGroup } from "../nodes/index.ts";
import {
  checkpointFile,
  checkpointSteps,
  type MetricsLine,
  openCheckpoint,
  openMetrics,
  type RunFolder,
  removeLeftovers,
  saveCheckpoint,
  savePieces,
} from "./run-folder.ts";
import { learningRate } from "./schedule.ts";
import { createTrainer, type PairBatch, type StepMetrics } from "./trainer.ts";

export interface TrainOptions {
  readonly engine: Engine;
  /** When it aborts, the steps that are under way, two at most, are finished and saved. */
  readonly signal?: AbortSignal;
  /** Where the run shows how far it is. */
  readonly progress?: { show(line: MetricsLine, total: number): void };
  /** Threads that make batches. @default 1 */
  readonly loaderWorkers?: number;
  /** In place of the recipe's. */
  readonly fsdp?: boolean;
  /** The processes that train together, on an engine whose mesh spans them; the folder is one that all of them see. @default this one alone */
  readonly group?: NodeGroup;
}

export interface TrainResult {
  /** Updates done in all. */
  readonly step: number;
  /** Whether that is all of them; otherwise the run was stopped and can be resumed. */
  readonly finished: boolean;
  readonly checkpoint: string;
  readonly badImages: { readonly count: number; readonly names: readonly string[] };
  readonly truncatedCaptions: number;
  readonly compileSeconds: number;
}

/**
 * Trains from the run's latest checkpoint, or from the beginning, to the end or until the signal.
 * @throws one line, also where another process trains the same run
 */
export async function train(run: RunFolder, options: TrainOptions): Promise<TrainResult> {
  if (options.group && options.group.node !== 0) return openAndTrain(run, options);
  const waiting = (): never => {
    throw new Error(`${run.folder}: another process is training this run`);
  };
  return locked(join(run.folder, "training.lock"), () => openAndTrain(run, options), { waiting });
}

async function openAndTrain(run: RunFolder, options: TrainOptions): Promise<TrainResult> {
  const { recipe, model, tokenizer } = run;
  const { batch, microBatch = batch } = recipe;
  const { engine, group } = options;
  if (group === undefined || group.node === 0) await removeLeftovers(run.folder);
  const latest = await latestStep(run.folder, group);
  const loader = await createLoader({
    source: recipe.source,
    tokenizer: tokenizer.toJSON(),
    contextLength: model.text.contextLength,
    imageSize: model.imageSize,
    cropScale: recipe.cropScale,
    batchSize: microBatch,
    ...(engine.rows && { part: engine.rows }),
    seed: recipe.seed,
    workers: options.loaderWorkers ?? 1,
  });
  try {
    return await trainOn(loader, run, options, latest);
  } finally {
    await loader.close();
  }
}

async function trainOn(
  loader: Loader,
  run: RunFolder,
  options: TrainOptions,
  latest: number | undefined,
): Promise<TrainResult> {
  const { recipe, model, folder } = run;
  const { batch, microBatch = batch, checkpointActivations = false, patchDropout = 0, seed, steps } = recipe;
  const { checkpointEvery, precision = "float32" } = recipe;
  const lock = recipe.lock ? { lock: recipe.lock } : {};
  const { engine, group } = options;
  let step = latest ?? 0;
  let saved = step;
  const checkpoint = latest === undefined ? undefined : await openCheckpoint(run, latest);
  const trainer = await createTrainer(
    engine,
    {
      config: model,
      adam: recipe.adam,
      batch,
      microBatch,
      checkpointActivations,
      patchDropout,
      seed,
      precision,
      ...lock,
      fsdp: options.fsdp ?? recipe.fsdp ?? false,
    },
    checkpoint ?? (() => initialise(model, seed)),
  ).finally(() => checkpoint?.close());
  const log = group === undefined || group.node === 0 ? await openMetrics(folder, step) : undefined;
  const save = async (): Promise<void> => {
    await (group
      ? savePieces(run, step, trainer.ownPieces(group.node, group.nodes), group)
      : trainer.read().then((values) => saveCheckpoint(run, step, values)));
    saved = step;
  };
  const lastGood = (): string | undefined => (saved > 0 ? checkpointFile(folder, saved) : undefined);
  let foreseen = step;
  const foresee = (): void => {
    if (!trainer.prepare) return;
    for (const last = Math.min(steps, step + FORESEEN, foreseen + FORESEEN / 8); foreseen < last; foreseen++)
      for (let i = 0; i < batch / microBatch; i++)
        void trainer.prepare(loader.foreseenTokens((foreseen * batch) / microBatch + i));
  };
  let isGone = false;
  // A device that waits for one that is gone never returns.
  const orGone = <T>(work: Promise<T>): Promise<T> =>
    group
      ? Promise.race([
          work,
          group.lost.catch((error: unknown) => {
            isGone = true;
            throw new Error(`${error instanceof Error ? error.message : error}; ${goodCheckpoint(lastGood())}`);
          }),
        ])
      : work;
  let lineBegun = performance.now();
  /** Waits for a step's metrics, checks them, writes and shows them. */
  const finish = async ({ done, rate, pieces, computed }: UnderWay): Promise<void> => {
    const metrics = await orGone(computed);
    if (metrics.notFinite.length > 0 || !Number.isFinite(metrics.loss))
      throw new Error(divergence(metrics, done, pieces, lastGood()));
    const now = performance.now();
    const { loss, accuracy, scale, gradientNorm } = metrics;
    const pairsPerSecond = (batch * 1000) / (now - lineBegun);
    lineBegun = now;
    const line = { step: done, batch, loss, accuracy, learningRate: rate, scale, gradientNorm, pairsPerSecond };
    await log?.append(line);
    options.progress?.show(line, steps);
  };
  try {
    // A step is begun before the metrics of the last are here, so that the engine need not wait for what lies between them.
    let last: UnderWay | undefined;
    while (step < steps && !(await isToStop(options, step))) {
      foresee();
      const rate = learningRate(recipe.schedule, recipe.learningRate, step, steps);
      const pieces = await piecesOf(loader, step, batch / microBatch);
      const computed = trainer.step(pieces, rate, step).catch((error: unknown) => {
        // The state may be half updated: nothing more is saved of it.
        throw new Error(
          `step ${done}: ${error instanceof Error ? error.message : error}; ${goodCheckpoint(lastGood())}`,
        );
      });
      computed.catch(() => {}); // where the last step fails, nobody asks for this one
      const done = ++step;
      if (last) await finish(last);
      last = { done, rate, pieces, computed };
      if (step % checkpointEvery !== 0) continue;
      await finish(last);
      last = undefined;
      await orGone(save());
    }
    if (last) await finish(last);
    if (step > saved || step === 0) await orGone(save());
    return {
      step,
      finished: step >= steps,
      checkpoint: checkpointFile(folder, step),
      badImages: loader.badImages(),
      truncatedCaptions: loader.truncatedCaptions(),
      compileSeconds: trainer.compileSeconds(),
    };
  } finally {
    await log?.close();
    if (!isGone) await trainer.close();
  }
}

/** Whether the signal was given; among several processes to any of them, and then all stop behind the same step. @param step begun so far */
async function isToStop({ signal, group }: TrainOptions, step: number): Promise<boolean> {
  if (!group) return signal?.aborted ?? false;
  // Others may have begun this step and the next, none more: they do not come through this one without us.
  const agreed = new TextEncoder().encode(String(step + 2));
  if (signal?.aborted) await group.put(STOP, agreed).catch(() => {}); // another one was first
  const at = await group.get(STOP, 0).catch(() => undefined);
  return at !== undefined && step >= Number(new TextDecoder().decode(at));
}

/** The step of the checkpoint to go on from: as node 0 sees it, where several processes might see different ones. */
async function latestStep(folder: string, group: NodeGroup | undefined): Promise<number | undefined> {
  const seen = group === undefined || group.node === 0 ? (await checkpointSteps(folder)).at(-1) : undefined;
  if (!group) return seen;
  if (group.node === 0) await group.put(RESUME, new TextEncoder().encode(String(seen ?? "")));
  const said = new TextDecoder().decode(await group.get(RESUME, RESUME_MS));
  return said === "" ? undefined : Number(said);
}

/** Under which that step is kept, and how long node 0 may take to tidy up the folder. */
const RESUME = "resume from step";
const RESUME_MS = 300_000;

/** Under which the step is kept behind which all processes stop. */
const STOP = "stop behind step";

/** How many steps ahead their sizes of texts are looked at, for engines that compile for each: compiling takes as long as a few dozen steps. */
const FORESEEN = 64;

type Piece = PairBatch & { readonly indices: ArrayLike<number> };

/** A step that was begun. */
interface UnderWay {
  /** How many steps are done with it. */
  readonly done: number;
  readonly rate: number;
  readonly pieces: readonly Piece[];
  readonly computed: Promise<StepMetrics>;
}

/** The micro-batches of a step. Their pixels are held, which is little beside the activations of even one of them. */
async function piecesOf(loader: Loader, step: number, count: number): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (let i = 0; i < count; i++) pieces.push(await loader.batch(step * count + i));
  return pieces;
}

/** What went wrong where, in one line. */
function divergence(
  { loss, gradientNorm, scale, notFinite }: StepMetrics,
  step: number,
  pieces: readonly Piece[],
  lastGood: string | undefined,
): string {
  const indices = pieces.flatMap((piece) => Array.from(piece.indices));
  const some = indices.slice(0, 8).join(", ") + (indices.length > 8 ? `, ... (${indices.length} in all)` : "");
  const [first, ...others] = notFinite;
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  const culprit = first ? `the gradient of ${first}${more} is not finite` : "all gradients are finite";
  return `step ${step}: the loss is ${loss} (gradient norm ${gradientNorm}, scale ${scale.toFixed(2)}): ${culprit}; batch of pairs ${some}; ${goodCheckpoint(lastGood)}`;
}

const goodCheckpoint = (path: string | undefined): string =>
  path ? `last good checkpoint: ${path}` : "there is no checkpoint yet";
