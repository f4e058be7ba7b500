import type { TensorPiece } from "../checkpoint/index.ts";
import type { Engine, HostTensors, Program, TrainingPrecision } from "../engine/engine.ts";
import { axisSize, type HostTensor, hostArray, hostTensor } from "../graph/index.ts";
import type { ClipConfig } from "../model/index.ts";
import {
  applyGraph,
  backwardGraph,
  featuresGraph,
  forAnyTexts,
  lossGradientName,
  lossGraph,
  lossParameters,
  type StatefulGraph,
  type StepShape,
  stateOf,
  stepGraph,
  type Tower,
} from "./graphs.ts";
import { type AdamW, unpackMoments, updateScalars } from "./optimizer.ts";
import { drawPatches, keptPatches } from "./patch-dropout.ts";
import { ownPieces } from "./pieces.ts";
import { trainingPlacements } from "./placements.ts";
import { type SavedState, startingValues, zeros } from "./starting-values.ts";
import { packsTexts, packTexts, ROW_BLOCK } from "./text-packing.ts";

/** Pairs as the loader gives them. */
export interface PairBatch {
  /** u8 [batch, size, size, 3]. */
  readonly images: Uint8Array;
  /** [batch, context], padded with 0. */
  readonly tokens: Int32Array;
}

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

/** The programs that texts go into. */
const WHOLE_STEP = [["step", stepGraph]] as const;
const CACHED_STEP = [
  ["features", featuresGraph],
  ["backward", backwardGraph],
] as const;

/** Rows of the logits that GradCache has in memory at once. */
const LOSS_ROWS = 1024;

/** @param initial parameters and running statistics, with moments (as `read` gives them) where training goes on: see `startingValues` */
export async function createTrainer(
  engine: Engine,
  options: TrainerOptions,
  initial: HostTensors | (() => HostTensors) | SavedState,
): Promise<Trainer> {
  const { config, adam, batch, microBatch = batch, checkpointActivations = false } = options;
  const { patchDropout = 0, seed = 0, precision = "float32", lock, fsdp = false } = options;
  if (microBatch < 1 || batch % microBatch !== 0)
    throw new Error(`micro-batch: expected a divisor of the batch of ${batch}, got ${microBatch}`);
  const { mesh, rows: ownRows = { index: 0, of: 1 } } = engine;
  if (mesh && microBatch % axisSize(mesh, "data") !== 0)
    throw new Error(
      `mesh: data=${axisSize(mesh, "data")} does not divide the ${microBatch} pairs that are computed at once`,
    );
  /** Of a micro-batch, the pairs that this process feeds. */
  const share = { pairs: microBatch / ownRows.of, first: (ownRows.index * microBatch) / ownRows.of };
  const base: StepShape = {
    config,
    adam,
    batch: microBatch,
    length: config.text.contextLength,
    checkpointActivations,
    ...(lock ? { lock } : {}),
    ...(patchDropout > 0 && { patches: keptPatches(config, patchDropout) }),
  };
  const { groups, parameters, buffers, moments, accumulated } = stateOf(base);
  const spread = mesh && trainingPlacements(config, groups, mesh, fsdp);
  const textParts = mesh ? axisSize(mesh, "data") : 1;
  const whole: StepShape = { ...base, textParts, ...(spread && { placements: spread.parameters }) };
  // How long the longest text of all is, each of several processes would have to ask the others.
  const packs = packsTexts(config) && ownRows.of === 1;
  const kept = [...Object.keys(parameters), ...Object.keys(buffers)];
  const values = startingValues(initial, { ...parameters, ...buffers }, groups);
  const sums = microBatch < batch ? zeros(accumulated) : {};
  const state = await engine.createState({ ...values, ...sums }, spread?.shardings);

  const programs = new Map<string, Promise<Program>>();
  const ready: Program[] = [];
  let tracingSeconds = 0;
  const compiled = (key: string, make: () => StatefulGraph): Promise<Program> => {
    const known = programs.get(key);
    if (known) return known;
    const started = performance.now();
    const { graph, state: names } = make();
    tracingSeconds += (performance.now() - started) / 1000;
    const program = engine.compile(graph, { state: names, precision, ...(spread && { shardings: spread.shardings }) });
    programs.set(key, program);
    void program.then(
      (made) => ready.push(made),
      () => {},
    );
    return program;
  };

  const textsOf = (tokens: Int32Array): HostTensors => {
    const context = config.text.contextLength;
    if (!packs) return { tokens: hostTensor("i32", [share.pairs, context], tokens) };
    const sizes = { fewSizes: engine.compilesPerSize ?? false, parts: textParts };
    const { length, rows, places, tokens: cut } = packTexts(tokens, microBatch, context, sizes);
    return {
      tokens: hostTensor("i32", [microBatch, length], cut),
      rows: hostTensor("i32", [textParts, rows.length / textParts / ROW_BLOCK, ROW_BLOCK], rows),
      places: hostTensor("i32", [microBatch, length], places),
    };
  };
  const patchesOf = (step: number, row: number): HostTensors => {
    const { patches: kept } = whole;
    if (kept === undefined) return {};
    const drawn = drawPatches({ seed, step, row: row + share.first }, share.pairs, keptPatches(config, 0), kept);
    return { patches: hostTensor("i32", [share.pairs, kept], drawn) };
  };
  const inputsOf = ({ images, tokens }: PairBatch, step: number, row = 0): HostTensors => ({
    images: hostTensor("u8", [share.pairs, config.imageSize, config.imageSize, 3], images),
    ...textsOf(tokens),
    ...patchesOf(step, row),
  });
  const scalarsOf = (learningRate: number, step: number): HostTensors =>
    Object.fromEntries(
      Object.entries(updateScalars(adam, learningRate, step)).map(([name, value]) => [
        name,
        hostTensor("f32", [], [value]),
      ]),
    );

  /** A program that texts go into: where they are packed, for any sizes of them. */
  const compiledForTexts = (name: string, make: typeof stepGraph): Promise<Program> =>
    compiled(name, () => (packs ? forAnyTexts(make, whole) : make(whole)));

  async function wholeStep(piece: PairBatch, learningRate: number, step: number): Promise<HostTensors> {
    const inputs = inputsOf(piece, step);
    const program = await compiledForTexts("step", stepGraph);
    return program.run({ ...inputs, ...scalarsOf(learningRate, step) }, state);
  }

  let lastCached: Promise<unknown> = Promise.resolve();
  /** Its parts meet on the host: it begins when the one before it has ended, and fails where that failed. */
  function cachedStep(...given: Parameters<typeof cachedStepAlone>): Promise<HostTensors> {
    const ended = lastCached.then(() => cachedStepAlone(...given));
    lastCached = ended;
    return ended;
  }

  async function cachedStepAlone(
    pieces: readonly PairBatch[],
    learningRate: number,
    step: number,
  ): Promise<HostTensors> {
    const inputs = pieces.map((piece, i) => inputsOf(piece, step, i * microBatch));
    const encoded: HostTensors[] = [];
    for (const pairs of inputs) {
      const features = await compiledForTexts("features", featuresGraph);
      encoded.push(await features.run(pairs, state));
    }
    const loss = await lossOf(
      stacked(encoded.map((e) => named(e, "imageFeatures"))),
      stacked(encoded.map((e) => named(e, "textFeatures"))),
    );
    for (const [i, pairs] of inputs.entries()) {
      const slopes = {
        imageSlopes: rowsOf(loss.imageSlopes, i * microBatch + share.first, share.pairs),
        textSlopes: rowsOf(loss.textSlopes, i * microBatch + share.first, share.pairs),
      };
      const backward = await compiledForTexts("backward", backwardGraph);
      await backward.run({ ...pairs, ...slopes }, state);
    }
    const apply = await compiled("apply", () => applyGraph(whole));
    const own = Object.fromEntries(
      lossParameters(config)
        .map(lossGradientName)
        .map((name) => [name, named(loss, name)]),
    );
    const results = await apply.run({ ...own, ...scalarsOf(learningRate, step) }, state);
    return { ...results, loss: loss.loss, accuracy: loss.accuracy };
  }

  /** The loss of the whole batch, a block of rows at a time, and its gradients to all features. */
  async function lossOf(imageFeatures: HostTensor, textFeatures: HostTensor) {
    let block = microBatch;
    for (let rows = microBatch; rows <= Math.min(batch, LOSS_ROWS); rows += microBatch)
      if (batch % rows === 0) block = rows;
    const program = await compiled("loss", () => lossGraph(whole, batch, block));
    const total = {
      ...Object.fromEntries(lossParameters(config).map((name) => [lossGradientName(name), zerosLike([])])),
      loss: zerosLike([]),
      accuracy: zerosLike([]),
      imageSlopes: zerosLike(imageFeatures.shape),
      textSlopes: zerosLike(textFeatures.shape),
    };
    const count = block / ownRows.of;
    for (let start = 0; start < batch; start += block) {
      const rows = hostTensor(
        "i32",
        [count],
        Int32Array.from({ length: count }, (_, i) => start + ownRows.index * count + i),
      );
      const part = await program.run({ imageFeatures, textFeatures, rows }, state);
      for (const [name, sum] of Object.entries(total)) addTo(sum, named(part, name));
    }
    return total;
  }

  let isOpen = true;
  const foreseen = new Set<string>();
  let prepared: Promise<void> = Promise.resolve();
  const prepare = (tokens: Int32Array): Promise<void> => {
    const types = Object.entries(textsOf(tokens)).map(([name, { dtype, shape }]) => [name, { dtype, shape }] as const);
    const sizes = types.map(([, { shape }]) => shape).join(" ");
    if (foreseen.has(sizes)) return prepared;
    foreseen.add(sizes);
    const texts = Object.fromEntries(types);
    prepared = prepared
      .then(async () => {
        for (const [name, make] of batch === microBatch ? WHOLE_STEP : CACHED_STEP)
          if (isOpen) await (await compiledForTexts(name, make)).prepare?.(texts);
      })
      .catch(() => {});
    return prepared;
  };

  return {
    ...(packs && engine.compilesPerSize && { prepare }),
    async step(pieces, learningRate, step) {
      const [first] = pieces;
      if (!first || pieces.length !== batch / microBatch)
        throw new Error(`step: expected ${batch / microBatch} pieces of ${microBatch} pairs, got ${pieces.length}`);
      const out =
        microBatch === batch
          ? await wholeStep(first, learningRate, step)
          : await cachedStep(pieces, learningRate, step);
      const squares = named(out, "gradientSquares").data;
      return {
        loss: scalar(out, "loss"),
        accuracy: scalar(out, "accuracy"),
        scale: scalar(out, "scale"),
        gradientNorm: scalar(out, "gradientNorm"),
        notFinite: Object.keys(parameters).filter((_, i) => !Number.isFinite(squares[i])),
      };
    },
    async read() {
      const values = await state.read(state.names.filter((name) => !Object.hasOwn(accumulated, name)));
      const own = Object.fromEntries(kept.map((name) => [name, named(values, name)]));
      return { ...own, ...unpackMoments(groups, values) };
    },
    ownPieces: (node, nodes) => {
      if (!mesh || !spread) throw new Error("checkpoint: the engine has no mesh");
      const entries = Object.entries({ ...parameters, ...buffers, ...moments });
      const named = entries.map(([name, { shape }]) => ({ name, shape }));
      return ownPieces(state, named, { mesh, shardings: spread.shardings, groups, node, nodes });
    },
    compileSeconds: () => ready.reduce((sum, program) => sum + program.compileSeconds, tracingSeconds),
    async close() {
      isOpen = false;
      await prepared;
      for (const program of ready) await program.close();
      await state.close();
    },
  };
}

function named(values: HostTensors, name: string): HostTensor {
  const value = values[name];
  if (!value) throw new Error(`training: expected a tensor ${name}, got none`);
  return value;
}

const scalar = (values: HostTensors, name: string): number => named(values, name).data[0] ?? Number.NaN;

const zerosLike = (shape: readonly number[]): HostTensor =>
  hostTensor("f32", shape, new Float32Array(shape.reduce((product, size) => product * size, 1)));

function addTo(sum: HostTensor, more: HostTensor): void {
  for (let i = 0; i < sum.data.length; i++) sum.data[i] = (sum.data[i] ?? 0) + (more.data[i] ?? 0);
}

/** Tensors [rows, width] below each other. */
function stacked(parts: readonly HostTensor[]): HostTensor {
  const width = parts[0]?.shape[1] ?? 0;
  const rows = parts.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const data = hostArray("f32", rows * width);
  let offset = 0;
  for (const part of parts) {
    data.set(part.data, offset);
    offset += part.data.length;
  }
  return { dtype: "f32", shape: [rows, width], data };
}

function rowsOf({ dtype, shape, data }: HostTensor, start: number, count: number): HostTensor {
  const width = shape[1] ?? 0;
  return { dtype, shape: [count, width], data: data.slice(start * width, (start + count) * width) };
}
