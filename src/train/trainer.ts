import type { TensorPiece } from "../checkpoint/index.ts";
import type { Engine, HostTensors, TrainingPrecision } from "../engine/engine.ts";
import { axisSize, type Mesh } from "../graph/index.ts";
import type { ClipConfig } from "../model/index.ts";
import {
  applyGraph,
  backwardGraph,
  featuresGraph,
  forAnyTexts,
  lossGraph,
  type StatefulGraph,
  type StepShape,
  stateOf,
  stepGraph,
  type Tower,
} from "./graphs.ts";
import { type AdamW, unpackMoments } from "./optimizer.ts";
import { keptPatches } from "./patch-dropout.ts";
import { ownPieces } from "./pieces.ts";
import { trainingPlacements } from "./placements.ts";
import { createPreparation, createPrograms } from "./programs.ts";
import { type SavedState, startingValues, zeros } from "./starting-values.ts";
import { cachedStep, named, type ProgramName, type Training, wholeStep } from "./step.ts";
import { type Feed, type PairBatch, textInputs } from "./step-inputs.ts";
import { packsTexts } from "./text-packing.ts";

export interface StepMetrics {
  /** Of the batch, before the update; in nats. */
  readonly loss: number;
  /** Share of images whose own text is the most similar of the batch. */
  readonly accuracy: number;
  /** What cosines are multiplied by. */
  readonly scale: number;
  readonly gradientNorm: number;
  /** Parameters whose gradient is not finite. */
  readonly notFinite: readonly string[];
}

/** The training state on an engine and the programs that move it. */
export interface Trainer {
  /**
   * One update from a batch in one piece, or from the micro-batches of one. Steps are done in the order in which they are asked for: one
   * that is asked for before the metrics of the last are here follows it without a pause.
   * @param step updates done before: Adam's bias correction depends on it
   */
  step(pieces: readonly PairBatch[], learningRate: number, step: number): Promise<StepMetrics>;
  /**
   * Where texts have several sizes, on an engine that compiles for each: compiles beside the steps what they need for such tokens, [pairs, context] of one
   * piece, one size after the other. What fails is said by the step that needs it.
   */
  readonly prepare?: (tokens: Int32Array) => Promise<void>;
  /** Parameters and running statistics by published names, moments as `moment1.` and `moment2.` and the name. */
  read(): Promise<HostTensors>;
  /** On a mesh: what one of several processes writes of all that, each box once by one that holds it. */
  ownPieces(node: number, nodes: number): TensorPiece[];
  /** Seconds spent compiling so far. */
  compileSeconds(): number;
  close(): Promise<void>;
}

export interface TrainerOptions {
  readonly config: ClipConfig;
  readonly adam: AdamW;
  /** Pairs the loss sees. */
  readonly batch: number;
  /** Pairs whose activations are in memory at once; divides the batch. @default batch */
  readonly microBatch?: number;
  /** Whether each block's activations are computed again in the backward pass instead of being held. @default false */
  readonly checkpointActivations?: boolean;
  /** The tower that stays as it is. @default neither */
  readonly lock?: Tower;
  /** Share of each picture's patches that a step leaves out, others in each step (`seed` says which). @default 0 */
  readonly patchDropout?: number;
  /** @default 0 */
  readonly seed?: number;
  /** What the encoders compute in. @default "float32" */
  readonly precision?: TrainingPrecision;
  /** On an engine with a mesh: keeps large parameters and their moments in pieces over `data`, too. @default false */
  readonly fsdp?: boolean;
}

/** Rows of the logits that GradCache has in memory at once, at most. */
const LOSS_ROWS = 1024;

/** @param initial parameters and running statistics, with moments (as `read` gives them) where training goes on: see `startingValues` */
export async function createTrainer(
  engine: Engine,
  options: TrainerOptions,
  initial: HostTensors | (() => HostTensors) | SavedState,
): Promise<Trainer> {
  const { config, batch, microBatch = batch, seed = 0, precision = "float32", fsdp = false } = options;
  const { mesh, rows = { index: 0, of: 1 }, compilesPerSize: fewSizes = false } = engine;
  checkDivision(batch, microBatch, mesh);
  const base = stepShape(options);
  const { groups, parameters, buffers, moments, accumulated } = stateOf(base);
  const spread = mesh && trainingPlacements(config, groups, mesh, fsdp);
  const onMesh = mesh && spread && { textParts: axisSize(mesh, "data"), placements: spread.parameters };
  const shape: StepShape = { ...base, ...onMesh };
  const inPieces = microBatch < batch;

  const values = startingValues(initial, { ...parameters, ...buffers }, groups);
  const state = await engine.createState({ ...values, ...(inPieces && zeros(accumulated)) }, spread?.shardings);
  // How long the longest text of all is, each of several processes would have to ask the others.
  const packs = packsTexts(config) && rows.of === 1;
  const lossRows = rowsAtOnce(batch, microBatch);
  const graphs = stepGraphs(shape, packs, batch, lossRows);
  const programs = createPrograms(engine, graphs, { precision, ...(spread && { shardings: spread.shardings }) });
  const feed: Feed = { shape, rows, packs, fewSizes, seed };
  const training: Training = { feed, programs, state, batch, lossRows };

  const preparation = createPreparation(programs, inPieces ? ["features", "backward"] : ["step"]);
  const prepare = (tokens: Int32Array): Promise<void> => preparation.prepare(textInputs(feed, tokens));

  let lastCached: Promise<unknown> = Promise.resolve();
  /** A step of several parts begins when the one before it has ended, and fails where that failed. */
  const inTurn = (...given: Parameters<typeof cachedStep>): Promise<HostTensors> => {
    const ended = lastCached.then(() => cachedStep(...given));
    lastCached = ended;
    return ended;
  };

  return {
    ...(packs && fewSizes && { prepare }),
    async step(pieces, learningRate, step) {
      const [first] = pieces;
      if (!first || pieces.length !== batch / microBatch)
        throw new Error(`step: expected ${batch / microBatch} pieces of ${microBatch} pairs, got ${pieces.length}`);
      const results = inPieces
        ? await inTurn(training, pieces, learningRate, step)
        : await wholeStep(training, first, learningRate, step);
      return metricsOf(results, Object.keys(parameters));
    },
    async read() {
      const values = await state.read(state.names.filter((name) => !Object.hasOwn(accumulated, name)));
      const kept = Object.keys({ ...parameters, ...buffers }).map((name) => [name, named(values, name)] as const);
      return { ...Object.fromEntries(kept), ...unpackMoments(groups, values) };
    },
    ownPieces: (node, nodes) => {
      if (!mesh || !spread) throw new Error("checkpoint: the engine has no mesh");
      const entries = Object.entries({ ...parameters, ...buffers, ...moments });
      const shapes = entries.map(([name, { shape }]) => ({ name, shape }));
      return ownPieces(state, shapes, { mesh, shardings: spread.shardings, groups, node, nodes });
    },
    compileSeconds: programs.seconds,
    async close() {
      await preparation.close();
      await programs.close();
      await state.close();
    },
  };
}

/** @throws one line if the batch is not a whole number of micro-batches, or the devices cannot share one evenly */
function checkDivision(batch: number, microBatch: number, mesh: Mesh | undefined): void {
  if (microBatch < 1 || batch % microBatch !== 0)
    throw new Error(`micro-batch: expected a divisor of the batch of ${batch}, got ${microBatch}`);
  if (mesh && microBatch % axisSize(mesh, "data") !== 0)
    throw new Error(
      `mesh: data=${axisSize(mesh, "data")} does not divide the ${microBatch} pairs that are computed at once`,
    );
}

/** What goes through the encoders at once, on one device. */
function stepShape(options: TrainerOptions): StepShape {
  const { config, adam, batch, microBatch = batch, checkpointActivations = false, lock, patchDropout = 0 } = options;
  return {
    config,
    adam,
    batch: microBatch,
    length: config.text.contextLength,
    checkpointActivations,
    ...(lock && { lock }),
    ...(patchDropout > 0 && { patches: keptPatches(config, patchDropout) }),
  };
}

/** How many rows of the logits GradCache computes at once: some micro-batches' that divide the batch. */
function rowsAtOnce(batch: number, microBatch: number): number {
  let found = microBatch;
  for (let rows = microBatch; rows <= Math.min(batch, LOSS_ROWS); rows += microBatch)
    if (batch % rows === 0) found = rows;
  return found;
}

/** The programs that texts go into take any sizes of them where texts are packed. */
function stepGraphs(shape: StepShape, packs: boolean, batch: number, lossRows: number) {
  const ofTexts = (make: typeof stepGraph) => () => (packs ? forAnyTexts(make, shape) : make(shape));
  return {
    step: ofTexts(stepGraph),
    features: ofTexts(featuresGraph),
    loss: () => lossGraph(shape, batch, lossRows),
    backward: ofTexts(backwardGraph),
    apply: () => applyGraph(shape),
  } satisfies Record<ProgramName, () => StatefulGraph>;
}

function metricsOf(results: HostTensors, parameters: readonly string[]): StepMetrics {
  const scalar = (name: string): number => named(results, name).data[0] ?? Number.NaN;
  const squares = named(results, "gradientSquares").data;
  return {
    loss: scalar("loss"),
    accuracy: scalar("accuracy"),
    scale: scalar("scale"),
    gradientNorm: scalar("gradientNorm"),
    notFinite: parameters.filter((_, i) => !Number.isFinite(squares[i])),
  };
}
