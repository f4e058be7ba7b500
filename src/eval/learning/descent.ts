/** Some parameters trained by AdamW on an engine, whatever the loss: one program a step, the state stays with the engine. */
import type { Engine, HostTensors, Program } from "../../engine/engine.ts";
import { elements, gradients, hostTensor, type Tensor, type TensorType, trace } from "../../graph/index.ts";
import type { Decays } from "../../train/optimizer.ts";
import {
  type AdamW,
  groupParameters,
  initialMoments,
  update,
  updateScalars,
  updateSignature,
} from "../../train/optimizer.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface DescentOptions {
  /** What is trained, by name. */
  readonly trained: HostTensors;
  /** What the loss reads besides, kept with the engine: frozen parameters, running statistics. @default none */
  readonly held?: HostTensors;
  /** What comes with each step. */
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly adam: AdamW;
  /** What weight decay applies to. @default nothing */
  readonly decays?: Decays;
  /**
   * The scalar loss of a step; new values of what is held, such as running statistics; what is kept for the backward pass where the
   * rest is computed again (`PullbackOptions.keep`).
   */
  readonly loss: (x: Tensors) => {
    readonly loss: Tensor;
    readonly statistics?: Tensors;
    readonly keep?: readonly Tensor[];
  };
}

export interface Descent {
  /** One update. @returns the loss before it @throws one line if the loss is not finite */
  step(inputs: HostTensors, learningRate: number): Promise<number>;
  /** Everything trained and held, by name. */
  read(): Promise<HostTensors>;
  /** A program that reads the parameters where they are. */
  compile(
    inputs: Readonly<Record<string, TensorType>>,
    outputs: (x: Tensors) => Tensors,
  ): Promise<(inputs: HostTensors) => Promise<HostTensors>>;
  close(): Promise<void>;
}

const typesOf = (tensors: HostTensors): Record<string, TensorType> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));

/** Elements of all blocks' inputs from which blocks are computed again: their activations would be 1 GiB and more. */
const MANY = 2 ** 24;

/** What is kept of a text tower's forward pass over prompts [classes, length]: everything, or the inputs of blocks where that is much. */
export function keptOf(prompts: Tensor, blockInputs: readonly Tensor[]): readonly Tensor[] {
  const size = blockInputs.reduce((sum, { shape }) => sum + elements(shape), 0);
  return size < MANY ? [] : [prompts, ...blockInputs];
}

export async function createDescent(engine: Engine, options: DescentOptions): Promise<Descent> {
  const { trained, held = {}, inputs, adam, loss, decays = () => false } = options;
  const names = Object.keys(trained);
  const shapes = Object.fromEntries(Object.entries(trained).map(([name, { shape }]) => [name, shape]));
  const groups = groupParameters(shapes, decays);
  const moments = initialMoments(groups);
  const parameters = { ...typesOf(trained), ...typesOf(held) };
  const stateTypes = { ...parameters, ...typesOf(moments) };
  const signature: Record<string, TensorType> = { ...stateTypes, ...inputs, ...updateSignature("f32") };
  const graph = trace(signature, (x) => {
    const { loss: value, statistics = {}, keep = [] } = loss(x);
    const values = picked(x, names);
    const slopes = gradients(value, Object.values(values), { keep });
    const named = Object.fromEntries(names.map((name, i) => [name, one(slopes[i], name)]));
    const scalars = { size: one(x.size, "size"), floor: one(x.floor, "floor"), keep: one(x.keep, "keep") };
    const next = update(adam, groups, values, named, x, scalars);
    return { ...next.parameters, ...next.moments, ...statistics, loss: value };
  });
  const program = await engine.compile(graph, { state: Object.keys(stateTypes) });
  const state = await engine.createState({ ...trained, ...held, ...moments });
  const others: Program[] = [];
  let done = 0;
  return {
    async step(values, learningRate) {
      const scalars = Object.entries(updateScalars(adam, learningRate, done)).map(([name, value]) => [
        name,
        hostTensor("f32", [], [value]),
      ]);
      const out = await program.run({ ...values, ...Object.fromEntries(scalars) }, state);
      const value = out.loss?.data[0] ?? Number.NaN;
      if (!Number.isFinite(value)) throw new Error(`training: the loss of step ${done + 1} is ${value}`);
      done++;
      return value;
    },
    read: () => state.read(Object.keys(parameters)),
    async compile(types, outputs) {
      const all: Record<string, TensorType> = { ...parameters, ...types };
      const read = trace(all, outputs);
      const compiled = await engine.compile(read, { state: Object.keys(parameters) });
      others.push(compiled);
      return (values) => compiled.run(values, state);
    },
    async close() {
      for (const each of [program, ...others]) await each.close();
      await state.close();
    },
  };
}

function one(tensor: Tensor | undefined, name: string): Tensor {
  if (!tensor) throw new Error(`training: no tensor ${name}`);
  return tensor;
}

function picked(x: Tensors, names: readonly string[]): Record<string, Tensor> {
  return Object.fromEntries(names.map((name) => [name, one(x[name], name)]));
}
