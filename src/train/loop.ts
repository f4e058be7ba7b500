import { join } from "node:path";
import { createLoader, type Loader } from "../data/index.ts";
import type { Engine } from "../engine/engine.ts";
import { locked } from "../lock.ts";
import { initialise } from "../model/index.ts";
import type { NodeGroup } from "../nodes/index.ts";
import { isToStop, keepsFolder, latestStep } from "./agreement.ts";
import type { Recipe } from "./recipe.ts";
import {
  checkpointFile,
  type MetricsLine,
  openCheckpoint,
  openMetrics,
  type RunFolder,
  removeLeftovers,
  saveCheckpoint,
  savePieces,
} from "./run-folder.ts";
import { learningRate } from "./schedule.ts";
import type { PairBatch } from "./step-inputs.ts";
import { createTrainer, type StepMetrics, type Trainer } from "./trainer.ts";

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
  if (!keepsFolder(options.group)) return openAndTrain(run, options);
  const waiting = (): never => {
    throw new Error(`${run.folder}: another process is training this run`);
  };
  return locked(join(run.folder, "training.lock"), () => openAndTrain(run, options), { waiting });
}

async function openAndTrain(run: RunFolder, options: TrainOptions): Promise<TrainResult> {
  const { recipe, model, tokenizer } = run;
  const { batch, microBatch = batch } = recipe;
  const { engine, group } = options;
  if (keepsFolder(group)) await removeLeftovers(run.folder);
  const latest = await latestStep(run.folder, group);
  const loader = await createLoader({
    source: recipe.source,
    tokenizer: tokenizer.toJSON(),
    contextLength: model.text.contextLength,
    imageSize: model.imageSize,
    cropScale: recipe.cropScale,
    ...(recipe.background !== undefined && { background: recipe.background }),
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
  const { recipe, folder } = run;
  const { batch, microBatch = batch, steps, checkpointEvery } = recipe;
  const { signal, group, progress } = options;
  let step = latest ?? 0;
  let saved = step;
  const trainer = await startTrainer(run, options, latest);
  const log = keepsFolder(group) ? await openMetrics(folder, step) : undefined;
  const foresee = foresight(trainer, loader, recipe, step);

  const failure = (what: string): Error => {
    const lastGood =
      saved > 0 ? `last good checkpoint: ${checkpointFile(folder, saved)}` : "there is no checkpoint yet";
    return new Error(`${what}; ${lastGood}`);
  };

  let isGone = false;
  // A device that waits for one that is gone never returns.
  const orGone = <T>(work: Promise<T>): Promise<T> => {
    if (!group) return work;
    const gone = group.lost.catch((error: unknown) => {
      isGone = true;
      throw failure(error instanceof Error ? error.message : String(error));
    });
    return Promise.race([work, gone]);
  };

  let lineBegun = performance.now();
  /** Waits for a step's metrics, checks them, writes and shows them. */
  const finish = async ({ done, rate, pieces, computed }: UnderWay): Promise<void> => {
    const metrics = await orGone(computed);
    const { loss, accuracy, scale, gradientNorm, notFinite } = metrics;
    if (notFinite.length > 0 || !Number.isFinite(loss)) throw failure(`step ${done}: ${divergence(metrics, pieces)}`);
    const now = performance.now();
    const pairsPerSecond = (batch * 1000) / (now - lineBegun);
    lineBegun = now;
    const line = { step: done, batch, loss, accuracy, learningRate: rate, scale, gradientNorm, pairsPerSecond };
    await log?.append(line);
    progress?.show(line, steps);
  };

  try {
    // A step is begun before the metrics of the last are here, so that the engine need not wait for what lies between them.
    let last: UnderWay | undefined;
    while (step < steps && !(await isToStop(step, signal, group))) {
      foresee(step);
      const rate = learningRate(recipe.schedule, recipe.learningRate, step, steps);
      const pieces = await piecesOf(loader, step, batch / microBatch);
      const done = step + 1;
      const computed = trainer.step(pieces, rate, step).catch((error: unknown) => {
        // The state may be half updated: nothing more is saved of it.
        throw failure(`step ${done}: ${error instanceof Error ? error.message : error}`);
      });
      computed.catch(() => {}); // where the last step fails, nobody asks for this one
      step = done;
      if (last) await finish(last);
      last = { done, rate, pieces, computed };
      if (step % checkpointEvery !== 0) continue;
      await finish(last);
      last = undefined;
      await orGone(save(run, trainer, step, group));
      saved = step;
    }
    if (last) await finish(last);
    if (step > saved || step === 0) await orGone(save(run, trainer, step, group));
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

/** A step that was begun. */
interface UnderWay {
  /** How many steps are done with it. */
  readonly done: number;
  readonly rate: number;
  readonly pieces: readonly Piece[];
  readonly computed: Promise<StepMetrics>;
}

type Piece = PairBatch & { readonly indices: ArrayLike<number> };

/** A trainer in the state of a checkpoint or, where there is none yet, as the model is made. */
async function startTrainer(run: RunFolder, options: TrainOptions, latest: number | undefined): Promise<Trainer> {
  const { recipe, model } = run;
  const fsdp = options.fsdp ?? recipe.fsdp ?? false;
  const checkpoint = latest === undefined ? undefined : await openCheckpoint(run, latest);
  const initial = checkpoint ?? (() => initialise(model, recipe.seed));
  return createTrainer(options.engine, { ...recipe, config: model, fsdp }, initial).finally(() => checkpoint?.close());
}

/** How many steps ahead their sizes of texts are looked at, for engines that compile for each: compiling takes as long as a few dozen steps. */
const FORESEEN = 64;

/** What tells the trainer, before each step, of the texts of steps to come: those that were not told yet, not all at once. */
function foresight(trainer: Trainer, loader: Loader, recipe: Recipe, from: number): (step: number) => void {
  const { prepare } = trainer;
  if (!prepare) return () => {};
  const { batch, microBatch = batch, steps } = recipe;
  const count = batch / microBatch;
  let foreseen = from;
  return (step) => {
    const end = Math.min(steps, step + FORESEEN, foreseen + FORESEEN / 8);
    for (; foreseen < end; foreseen++)
      for (let i = 0; i < count; i++) void prepare(loader.foreseenTokens(foreseen * count + i));
  };
}

/** The micro-batches of a step. Their pixels are held, which is little beside the activations of even one of them. */
async function piecesOf(loader: Loader, step: number, count: number): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (let i = 0; i < count; i++) pieces.push(await loader.batch(step * count + i));
  return pieces;
}

async function save(run: RunFolder, trainer: Trainer, step: number, group: NodeGroup | undefined): Promise<void> {
  if (group) await savePieces(run, step, trainer.ownPieces(group.node, group.nodes), group);
  else await saveCheckpoint(run, step, await trainer.read());
}

/** What went wrong where. */
function divergence({ loss, gradientNorm, scale, notFinite }: StepMetrics, pieces: readonly Piece[]): string {
  const indices = pieces.flatMap((piece) => Array.from(piece.indices));
  const some = indices.slice(0, 8).join(", ") + (indices.length > 8 ? `, ... (${indices.length} in all)` : "");
  const [first, ...others] = notFinite;
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  const culprit = first ? `the gradient of ${first}${more} is not finite` : "all gradients are finite";
  return `the loss is ${loss} (gradient norm ${gradientNorm}, scale ${scale.toFixed(2)}): ${culprit}; batch of pairs ${some}`;
}
