/** The loss of softmax regression on an engine: a block of rows at a time as one program, in single precision; sums of blocks in double. */
import { mapAhead } from "../../ahead.ts";
import type { Engine, HostTensors, Program, State } from "../../engine/engine.ts";
import {
  abs,
  add,
  compare,
  crossEntropy,
  exp,
  type Graph,
  gradients,
  hostTensor,
  linear,
  log,
  max,
  mul,
  neg,
  reduceSum,
  select,
  sub,
  type Tensor,
  type TensorType,
  trace,
} from "../../graph/index.ts";
import type { FeatureMatrix } from "../tasks/features.ts";
import { checkLabels, type LabelledRows } from "./feature-rows.ts";
import { IN_DOUBLE_PRECISION, type LinearArithmetic, type SoftmaxLoss } from "./softmax-loss.ts";

export interface EngineArithmeticOptions {
  /** Rows of a block: activations in memory are this many times the classes. @default 4096, fewer where there are many classes */
  readonly block?: number;
  /** Features up to this many bytes stay with the engine between evaluations; others are read again for each. @default 2 GiB */
  readonly residentBytes?: number;
}

/** Logits of a block: with the softmax and its gradient about four times as many bytes. */
const BLOCK_LOGITS = 2 ** 22;
/** Of a block's sum in single precision. */
const NOISE = 3e-7;
/** Blocks that are read before their turn. */
const AHEAD = 2;

/** A linear classifier's arithmetic on an engine. The engine stays open. */
export function onEngine(
  engine: Engine,
  { block, residentBytes = 2 ** 31 }: EngineArithmeticOptions = {},
): LinearArithmetic {
  const blocks = createBlocks(engine, block);
  return {
    name: engine.name,
    loss: (data, classes) => lossOf(blocks, data, classes, residentBytes),
    scores: (rows, weights, classes) => scoresOf(blocks, rows, weights, classes),
    close: blocks.close,
  };
}

/** Consecutive rows that are computed at once. */
interface Block {
  readonly index: number;
  readonly start: number;
  readonly rows: number;
}

/** Rows in blocks, and programs for blocks on an engine. */
interface Blocks {
  of(count: number, classes: number): Block[];
  compiled(key: string, graph: () => Graph): Promise<Program>;
  hold(rows: HostTensors): Promise<State>;
  /** A run with rows that are not held. */
  run(program: Program, parameters: HostTensors, rows: HostTensors): Promise<HostTensors>;
  close(): Promise<void>;
}

function createBlocks(engine: Engine, block: number | undefined): Blocks {
  const programs = new Map<string, Promise<Program>>();
  const hold = (rows: HostTensors): Promise<State> => engine.createState(rows);
  return {
    hold,
    of(count, classes) {
      const size = block ?? Math.max(64, Math.min(4096, Math.floor(BLOCK_LOGITS / classes)));
      return Array.from({ length: Math.ceil(count / size) }, (_, index) => {
        const start = index * size;
        return { index, start, rows: Math.min(size, count - start) };
      });
    },
    compiled(key, graph) {
      const known = programs.get(key);
      if (known) return known;
      const program = engine.compile(graph(), { state: ["features", "labels"] });
      program.catch(() => programs.delete(key));
      programs.set(key, program);
      return program;
    },
    async run(program, parameters, rows) {
      const state = await hold(rows);
      try {
        return await program.run(parameters, state);
      } finally {
        await state.close();
      }
    },
    async close() {
      for (const program of programs.values()) await (await program).close();
      programs.clear();
    },
  };
}

async function lossOf(
  blocks: Blocks,
  data: LabelledRows,
  classes: number,
  residentBytes: number,
): Promise<SoftmaxLoss> {
  checkLabels(data, classes);
  const { count, width } = data.rows;
  const link = data.several ? "sigmoid" : "softmax";
  const all = blocks.of(count, classes);
  const load = async (block: Block): Promise<State> => blocks.hold(await examples(data, classes, block));
  const resident = 4 * count * width <= residentBytes ? await Promise.all(all.map(load)) : undefined;
  const run = async (block: Block, parameters: HostTensors): Promise<HostTensors> => {
    const { index, rows } = block;
    const key = `${link} ${rows} ${width} ${classes}`;
    const program = await blocks.compiled(key, () => lossGraph(rows, width, classes, link));
    const held = resident?.[index];
    if (held) return program.run(parameters, held);
    return blocks.run(program, parameters, await examples(data, classes, block));
  };
  return {
    ...{ rows: count, classes, width, noise: NOISE, link },
    evaluate: async (weights, gradient) => {
      const parameters = parametersOf(weights, width, classes);
      gradient.fill(0);
      let total = 0;
      for await (const out of mapAhead(all, AHEAD, (block) => run(block, parameters))) {
        total += out.loss?.data[0] ?? Number.NaN;
        addTo(gradient, 0, out.weight?.data);
        addTo(gradient, classes * width, out.bias?.data);
      }
      return total;
    },
    close: async () => {
      for (const state of resident ?? []) await state.close();
    },
  };
}

async function scoresOf(
  blocks: Blocks,
  rows: FeatureMatrix,
  weights: Float64Array,
  classes: number,
): Promise<Float32Array> {
  const { width } = rows;
  const parameters = parametersOf(weights, width, classes);
  const scores = new Float32Array(rows.count * classes);
  const run = async ({ start, rows: count }: Block) => {
    const program = await blocks.compiled(`scores ${count} ${width} ${classes}`, () =>
      scoresGraph(count, width, classes),
    );
    const features = hostTensor("f32", [count, width], await rows.read(start, start + count));
    return { start, logits: (await blocks.run(program, parameters, { features })).logits };
  };
  for await (const { start, logits } of mapAhead(blocks.of(rows.count, classes), AHEAD, run))
    scores.set(logits?.data ?? [], start * classes);
  return scores;
}

/** The rows of a block with what they are. */
async function examples(data: LabelledRows, classes: number, { start, rows }: Block): Promise<HostTensors> {
  const features = hostTensor("f32", [rows, data.rows.width], await data.rows.read(start, start + rows));
  const several = data.several?.subarray(start * classes, (start + rows) * classes);
  const labels = several
    ? hostTensor("f32", [rows, classes], Float32Array.from(several))
    : hostTensor("i32", [rows], data.labels.slice(start, start + rows));
  return { features, labels };
}

/** Products of rows, width and classes from which an engine is quicker than this thread. */
const LARGE = 2 ** 21;

/** Where a linear classifier of so many products is computed: exactly in this thread, or on the engine. */
export const arithmeticFor = (engine: Engine, products: number): LinearArithmetic =>
  products < LARGE ? IN_DOUBLE_PRECISION : onEngine(engine);

function signature(rows: number, width: number, classes: number) {
  const typed = (...shape: number[]): TensorType => ({ dtype: "f32", shape });
  return { features: typed(rows, width), weight: typed(classes, width), bias: typed(classes) };
}

function lossGraph(rows: number, width: number, classes: number, link: SoftmaxLoss["link"]): Graph {
  const labels: TensorType =
    link === "sigmoid" ? { dtype: "f32", shape: [rows, classes] } : { dtype: "i32", shape: [rows] };
  return trace({ ...signature(rows, width, classes), labels }, (x) => {
    const logits = linear(x.features, x.weight, x.bias);
    const loss = link === "sigmoid" ? questions(logits, x.labels) : mul(crossEntropy(logits, x.labels), rows);
    const [weight, bias] = gradients(loss, [x.weight, x.bias]);
    if (!weight || !bias) throw new Error("softmax regression: no gradient");
    return { loss, weight, bias };
  });
}

/** Of labels 1, 0 and -1, which is not counted: log(1 + exp(z)) - label z, whose exponent is never positive as it is computed. */
function questions(z: Tensor, labels: Tensor): Tensor {
  const softplus = add(max(z, 0), log(add(exp(neg(abs(z))), 1)));
  return reduceSum(select(compare(labels, "ge", 0), sub(softplus, mul(labels, z)), 0));
}

const scoresGraph = (rows: number, width: number, classes: number): Graph =>
  trace(signature(rows, width, classes), (x) => ({ logits: linear(x.features, x.weight, x.bias) }));

function parametersOf(weights: Float64Array, width: number, classes: number): HostTensors {
  return {
    weight: hostTensor("f32", [classes, width], Float32Array.from(weights.subarray(0, classes * width))),
    bias: hostTensor("f32", [classes], Float32Array.from(weights.subarray(classes * width))),
  };
}

function addTo(sum: Float64Array, offset: number, part: ArrayLike<number> | undefined): void {
  if (!part) throw new Error("softmax regression: the engine returned no gradient");
  for (let i = 0; i < part.length; i++) sum[offset + i] = (sum[offset + i] ?? 0) + (part[i] ?? 0);
}
