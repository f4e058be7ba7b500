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
export function onEngine(engine: Engine, options: EngineArithmeticOptions = {}): LinearArithmetic {
  const { residentBytes = 2 ** 31 } = options;
  const programs = new Map<string, Promise<Program>>();
  const compiled = (graph: () => Graph, key: string): Promise<Program> => {
    const known = programs.get(key);
    if (known) return known;
    const program = engine.compile(graph(), { state: ["features", "labels"] });
    program.catch(() => programs.delete(key));
    programs.set(key, program);
    return program;
  };
  const blockFor = (classes: number): number =>
    options.block ?? Math.max(64, Math.min(4096, Math.floor(BLOCK_LOGITS / classes)));

  async function loss(data: LabelledRows, classes: number): Promise<SoftmaxLoss> {
    checkLabels(data, classes);
    const { count, width } = data.rows;
    const size = blockFor(classes);
    const starts = Array.from({ length: Math.ceil(count / size) }, (_, i) => i * size);
    const link = data.several ? "sigmoid" : "softmax";
    const load = async (start: number): Promise<State> => {
      const rows = Math.min(size, count - start);
      const features = hostTensor("f32", [rows, width], await data.rows.read(start, start + rows));
      const several = data.several?.subarray(start * classes, (start + rows) * classes);
      const labels = several
        ? hostTensor("f32", [rows, classes], Float32Array.from(several))
        : hostTensor("i32", [rows], data.labels.slice(start, start + rows));
      return engine.createState({ features, labels });
    };
    const resident = 4 * count * width <= residentBytes ? await Promise.all(starts.map(load)) : undefined;
    const run = async (start: number, index: number, at: HostTensors): Promise<HostTensors> => {
      const rows = Math.min(size, count - start);
      const key = `${link} ${rows} ${width} ${classes}`;
      const program = await compiled(() => lossGraph(rows, width, classes, link), key);
      const held = resident?.[index];
      if (held) return program.run(at, held);
      const state = await load(start);
      try {
        return await program.run(at, state);
      } finally {
        await state.close();
      }
    };
    return {
      ...{ rows: count, classes, width, noise: NOISE, link },
      evaluate: async (weights, gradient) => {
        const at = parametersOf(weights, width, classes);
        gradient.fill(0);
        let total = 0;
        for await (const out of mapAhead(starts.entries(), AHEAD, ([index, start]) => run(start, index, at))) {
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

  async function scores(rows: FeatureMatrix, weights: Float64Array, classes: number): Promise<Float32Array> {
    const size = blockFor(classes);
    const at = parametersOf(weights, rows.width, classes);
    const all = new Float32Array(rows.count * classes);
    const starts = Array.from({ length: Math.ceil(rows.count / size) }, (_, i) => i * size);
    const run = async (start: number) => {
      const count = Math.min(size, rows.count - start);
      const program = await compiled(
        () => scoresGraph(count, rows.width, classes),
        `scores ${count} ${rows.width} ${classes}`,
      );
      const state = await engine.createState({
        features: hostTensor("f32", [count, rows.width], await rows.read(start, start + count)),
      });
      try {
        return { start, logits: (await program.run(at, state)).logits };
      } finally {
        await state.close();
      }
    };
    for await (const { start, logits } of mapAhead(starts, AHEAD, run)) all.set(logits?.data ?? [], start * classes);
    return all;
  }

  return {
    name: engine.name,
    loss,
    scores,
    close: async () => {
      for (const program of programs.values()) await (await program).close();
      programs.clear();
    },
  };
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
