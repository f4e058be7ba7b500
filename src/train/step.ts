/** One update of the training state: by one program, or from the micro-batches of a batch. */
import type { HostTensors, State } from "../engine/engine.ts";
import { type HostTensor, hostArray, hostTensor } from "../graph/index.ts";
import { lossGradientName, lossParameters } from "./graphs.ts";
import type { Programs } from "./programs.ts";
import { type Feed, ownRows, type PairBatch, pairInputs, scalarInputs } from "./step-inputs.ts";

export type ProgramName = "step" | "features" | "loss" | "backward" | "apply";

/** What every step of a run works with. */
export interface Training {
  readonly feed: Feed;
  readonly programs: Programs<ProgramName>;
  readonly state: State;
  /** Pairs the loss sees. */
  readonly batch: number;
  /** Rows of the logits that are in memory at once, where a batch is in micro-batches. */
  readonly lossRows: number;
}

export async function wholeStep(
  { feed, programs, state }: Training,
  pairs: PairBatch,
  learningRate: number,
  step: number,
): Promise<HostTensors> {
  const inputs = pairInputs(feed, pairs, step, 0);
  const program = await programs.get("step");
  return program.run({ ...inputs, ...scalarInputs(feed, learningRate, step) }, state);
}

/** GradCache's step (see `graphs.ts`), whose parts meet on the host. */
export async function cachedStep(
  training: Training,
  pieces: readonly PairBatch[],
  learningRate: number,
  step: number,
): Promise<HostTensors> {
  const { feed, programs, state } = training;
  const inputs = pieces.map((pairs, i) => pairInputs(feed, pairs, step, i * feed.shape.batch));
  const { imageFeatures, textFeatures } = await encoded(training, inputs);
  const loss = await lossOf(training, imageFeatures, textFeatures);
  await pullBack(training, inputs, loss.imageSlopes, loss.textSlopes);
  const own = lossParameters(feed.shape.config)
    .map(lossGradientName)
    .map((name) => [name, named(loss, name)] as const);
  const apply = await programs.get("apply");
  const results = await apply.run({ ...Object.fromEntries(own), ...scalarInputs(feed, learningRate, step) }, state);
  return { ...results, loss: loss.loss, accuracy: loss.accuracy };
}

/** The features of all micro-batches. */
async function encoded({ programs, state }: Training, inputs: readonly HostTensors[]) {
  const features: HostTensors[] = [];
  for (const pairs of inputs) features.push(await (await programs.get("features")).run(pairs, state));
  return {
    imageFeatures: stacked(features.map((piece) => named(piece, "imageFeatures"))),
    textFeatures: stacked(features.map((piece) => named(piece, "textFeatures"))),
  };
}

/** The loss of the whole batch, a block of rows at a time, and its gradients to all features. */
async function lossOf(training: Training, imageFeatures: HostTensor, textFeatures: HostTensor) {
  const { feed, programs, state, batch, lossRows } = training;
  const program = await programs.get("loss");
  const own = lossParameters(feed.shape.config).map((name) => [lossGradientName(name), zerosLike([])] as const);
  const total = {
    ...Object.fromEntries(own),
    loss: zerosLike([]),
    accuracy: zerosLike([]),
    imageSlopes: zerosLike(imageFeatures.shape),
    textSlopes: zerosLike(textFeatures.shape),
  };
  const { first, count } = ownRows(feed, lossRows);
  for (let start = 0; start < batch; start += lossRows) {
    const rows = Int32Array.from({ length: count }, (_, i) => start + first + i);
    const part = await program.run({ imageFeatures, textFeatures, rows: hostTensor("i32", [count], rows) }, state);
    for (const [name, sum] of Object.entries(total)) addTo(sum, named(part, name));
  }
  return total;
}

/** Each micro-batch once more, from the gradients of its features to those of the parameters, which add up in the state. */
async function pullBack(
  { feed, programs, state }: Training,
  inputs: readonly HostTensors[],
  imageSlopes: HostTensor,
  textSlopes: HostTensor,
): Promise<void> {
  const { batch } = feed.shape;
  const { first, count } = ownRows(feed, batch);
  for (const [i, pairs] of inputs.entries()) {
    const slopes = {
      imageSlopes: rowsOf(imageSlopes, i * batch + first, count),
      textSlopes: rowsOf(textSlopes, i * batch + first, count),
    };
    const backward = await programs.get("backward");
    await backward.run({ ...pairs, ...slopes }, state);
  }
}

/** One of a program's results. */
export function named(values: HostTensors, name: string): HostTensor {
  const value = values[name];
  if (!value) throw new Error(`training: expected a tensor ${name}, got none`);
  return value;
}

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
