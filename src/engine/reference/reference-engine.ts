import {
  decompose,
  type Graph,
  type HostTensor,
  inOrder,
  isComposite,
  isResizable,
  made,
  resize,
  sameShape,
  show,
  sizesOf,
  type Tensor,
} from "../../graph/index.ts";
import {
  checkInputs,
  type Engine,
  type HostTensors,
  isStored,
  type Program,
  refusePrecision,
  type State,
  splitOutputs,
  wholeValue,
} from "../engine.ts";
import { KERNELS, runKernel } from "./kernels.ts";

/** The interpreter: slow, in the graph's own precision, the measure of every other engine. */
export function createReferenceEngine(): Engine {
  const engine = { open: true };
  return {
    name: "reference",
    compile: async (graph, options = {}) => {
      refusePrecision("reference", options);
      const { state = [], constants = {} } = options;
      return referenceProgram(engine, graph, state, isStored(constants) ? await constants.read() : constants);
    },
    createState: async (values) => {
      const made: Record<string, HostTensor> = {};
      for (const [name, value] of Object.entries(values)) made[name] = await wholeValue(value);
      return new ReferenceState(made);
    },
    close: async () => {
      engine.open = false;
    },
  };
}

/** Copies: the caller's arrays may change. */
const copied = (values: HostTensors): Record<string, HostTensor> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { ...value, data: value.data.slice() }]));

class ReferenceState implements State {
  values: Record<string, HostTensor>;

  constructor(values: HostTensors) {
    this.values = copied(values);
  }

  get names(): readonly string[] {
    return Object.keys(this.values);
  }

  async read(names: readonly string[] = this.names): Promise<HostTensors> {
    return copied(Object.fromEntries(names.map((name) => [name, this.#entry(name)])));
  }

  async write(values: HostTensors): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const held = this.#entry(name);
      if (held.dtype !== value.dtype || !sameShape(held.shape, value.shape))
        throw new Error(`state: entry ${name} is ${show(held)}, got ${show(value)}`);
    }
    Object.assign(this.values, copied(values));
  }

  async close(): Promise<void> {
    this.values = {};
  }

  #entry(name: string): HostTensor {
    const value = this.values[name];
    if (!value) throw new Error(`state: no entry ${name}`);
    return value;
  }
}

function referenceProgram(
  engine: { readonly open: boolean },
  graph: Graph,
  stateNames: readonly string[],
  given: HostTensors,
): Program {
  const constants = copied(given);
  const { updated } = splitOutputs(graph, stateNames);
  const names = graph.inputs.map((x) => x.attrs.name);
  checkInputs(graph, constants, new Set(names.filter((name) => !Object.hasOwn(constants, name))));
  const needsState = updated.length > 0 || names.some((name) => stateNames.includes(name));
  let open = true;
  const atSizes = (all: HostTensors): Graph =>
    isResizable(graph)
      ? resize(
          graph,
          sizesOf(graph, (name) => all[name]?.shape),
        )
      : graph;
  return {
    graph,
    compileSeconds: 0,
    run: async (inputs, state) => {
      if (!open || !engine.open) throw new Error("run: the program is closed");
      if (needsState && !(state instanceof ReferenceState))
        throw new Error("run: this program needs a state of its engine");
      const held = state instanceof ReferenceState ? state.values : {};
      const all = { ...inputs, ...constants };
      for (const name of stateNames) if (held[name]) all[name] = held[name];
      checkInputs(graph, all, new Set());
      // Copied: a result may be an input's or an entry's own array.
      const results = copied(interpret(atSizes(all), all));
      const returned: Record<string, HostTensor> = {};
      for (const [name, value] of Object.entries(results)) {
        if (updated.includes(name)) held[name] = value;
        else returned[name] = value;
      }
      return returned;
    },
    close: async () => {
      open = false;
    },
  };
}

/** Evaluates a graph on host tensors. */
export function interpret(graph: Graph, inputs: HostTensors): Record<string, HostTensor> {
  const values = new Map<Tensor, HostTensor>();
  for (const x of graph.inputs) {
    const value = inputs[x.attrs.name];
    if (value) values.set(x, value);
  }
  const users = new Map<Tensor, number>();
  for (const tensor of graph.nodes)
    for (const operand of tensor.inputs) users.set(operand, (users.get(operand) ?? 0) + 1);
  const results = new Set(graph.outputs.map(({ tensor }) => tensor));
  for (const tensor of graph.nodes) {
    evaluate(tensor, values);
    for (const operand of tensor.inputs) {
      const left = (users.get(operand) ?? 0) - 1;
      users.set(operand, left);
      // `output` nodes look behind their operand, so only plain values are dropped.
      if (left === 0 && !results.has(operand) && !isComposite(operand.op) && !made(operand, "input"))
        values.delete(operand);
    }
  }
  return Object.fromEntries(graph.outputs.map(({ name, tensor }) => [name, computed(tensor, values)]));
}

const parts = new WeakMap<HostTensor, readonly HostTensor[]>();

function computed(tensor: Tensor, values: ReadonlyMap<Tensor, HostTensor>): HostTensor {
  const value = values.get(tensor);
  if (!value) throw new Error(`reference: ${tensor.op} %${tensor.id} has no value yet`);
  return value;
}

function evaluate(tensor: Tensor, values: Map<Tensor, HostTensor>): void {
  if (values.has(tensor)) return;
  const operands = tensor.inputs.map((x) => computed(x, values));
  if (made(tensor, "output")) {
    const part = operands[0] && parts.get(operands[0])?.[tensor.attrs.index];
    if (!part) throw new Error(`reference: output ${tensor.attrs.index} of ${tensor.inputs[0]?.op} was not computed`);
    values.set(tensor, part);
  } else if (isComposite(tensor.op)) {
    const outputs = decompose({ ...tensor, op: tensor.op } as Parameters<typeof decompose>[0]);
    const inside = new Map<Tensor, HostTensor>(tensor.inputs.map((x, i) => [x, operands[i] as HostTensor]));
    for (const part of inOrder(outputs, tensor.inputs)) evaluate(part, inside);
    const results = outputs.map((part) => ({ ...computed(part, inside) }));
    const [whole] = results;
    if (!whole) throw new Error(`reference: ${tensor.op} decomposes into nothing`);
    parts.set(whole, results);
    values.set(tensor, whole);
  } else if (Object.hasOwn(KERNELS, tensor.op)) {
    values.set(tensor, runKernel(tensor as Parameters<typeof runKernel>[0], operands));
  } else throw new Error(`reference: input %${tensor.id} has no value`);
}
