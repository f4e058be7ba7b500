import { createLoader, type Loader } from "../data/index.ts";
import type { Engine } from "../engine/engine.ts";
import { initialise } from "../model/index.ts";
import {
  checkpointPath,
  checkpointSteps,
  type MetricsLine,
  openMetrics,
  type RunFolder,
  readCheckpoint,
  removeLeftovers,
  saveCheckpoint,
} from "./run-folder.ts";
import { learningRate } from "./schedule.ts";
import { createTrainer, type PairBatch, type StepMetrics } from "./trainer.ts";

export interface TrainOptions {
  readonly engine: Engine;
  /** When it aborts, the step is finished and saved. */
  readonly signal?: AbortSignal;
  /** Where the run shows how far it is. */
  readonly progress?: { show(line: MetricsLine, total: number): void };
  /** Threads that make batches. @default 1 */
  readonly loaderWorkers?: number;
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

/** Trains from the run's latest checkpoint, or from the beginning, to the end or until the signal. */
export async function train(run: RunFolder, options: TrainOptions): Promise<TrainResult> {
  const { recipe, model, folder, tokenizer } = run;
  const { batch, microBatch = batch, checkpointActivations = false, patchDropout = 0, seed, steps } = recipe;
  const { checkpointEvery, cropScale } = recipe;
  const { precision = "float32" } = recipe;
  const lock = recipe.lock ? { lock: recipe.lock } : {};
  await removeLeftovers(folder);
  const latest = (await checkpointSteps(folder)).at(-1);
  let step = latest ?? 0;
  let saved = step;
  const initial = latest === undefined ? initialise(model, seed) : await readCheckpoint(run, latest);
  const loader = await createLoader({
    source: recipe.source,
    tokenizer: tokenizer.toJSON(),
    contextLength: model.text.contextLength,
    imageSize: model.imageSize,
    cropScale,
    batchSize: microBatch,
    seed,
    workers: options.loaderWorkers ?? 1,
  });
  const trainer = await createTrainer(
    options.engine,
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
    },
    () => initial,
  );
  const log = await openMetrics(folder, step);
  try {
    let begun = performance.now();
    while (step < steps && !options.signal?.aborted) {
      const rate = learningRate(recipe.schedule, recipe.learningRate, step, steps);
      const pieces = await piecesOf(loader, step, batch / microBatch);
      const lastGood = saved > 0 ? checkpointPath(folder, saved) : undefined;
      const metrics = await trainer.step(pieces, rate, step).catch((error: unknown) => {
        // The state may be half updated: nothing more is saved of it.
        throw new Error(
          `step ${step + 1}: ${error instanceof Error ? error.message : error}; ${goodCheckpoint(lastGood)}`,
        );
      });
      if (metrics.notFinite.length > 0 || !Number.isFinite(metrics.loss))
        throw new Error(divergence(metrics, step, pieces, lastGood));
      step++;
      const now = performance.now();
      const { loss, accuracy, scale, gradientNorm } = metrics;
      const pairsPerSecond = (batch * 1000) / (now - begun);
      begun = now;
      const line = { step, batch, loss, accuracy, learningRate: rate, scale, gradientNorm, pairsPerSecond };
      await log.append(line);
      options.progress?.show(line, steps);
      if (step % checkpointEvery === 0) {
        await saveCheckpoint(run, step, await trainer.read());
        saved = step;
      }
    }
    if (step > saved || step === 0) await saveCheckpoint(run, step, await trainer.read());
    return {
      step,
      finished: step >= steps,
      checkpoint: checkpointPath(folder, step),
      badImages: loader.badImages(),
      truncatedCaptions: loader.truncatedCaptions(),
      compileSeconds: trainer.compileSeconds(),
    };
  } finally {
    await log.close();
    await loader.close();
    await trainer.close();
  }
}

type Piece = PairBatch & { readonly indices: ArrayLike<number> };

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
  return `step ${step + 1}: the loss is ${loss} (gradient norm ${gradientNorm}, scale ${scale.toFixed(2)}): ${culprit}; batch of pairs ${some}; ${goodCheckpoint(lastGood)}`;
}

const goodCheckpoint = (path: string | undefined): string =>
  path ? `last good checkpoint: ${path}` : "there is no checkpoint yet";
