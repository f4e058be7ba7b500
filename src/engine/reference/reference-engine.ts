import { decompose, type Graph, type HostTensor, inOrder, isComposite, made, type Tensor } from "../../graph/index.ts";
import { checkInputs, type Engine, type HostTensors, type Program, type State, splitOutputs } from "../engine.ts";
import { KERNELS, runKernel } from "./kernels.ts";

/** The interpreter: slow, in the graph's own precision, the measure of every other engine. */
export function createReferenceEngine(): Engine {
  return {
    name: "reference",
    compile: async (graph, { state = [], constants = {} } = {}) => referenceProgram(graph, state, constants),
    createState: async (values) => new ReferenceState(values),
    close: async () => {},
  };
}

class ReferenceState implements State {
  values: Record<string, HostTensor>;

  constructor(values: HostTensors) {
    this.values = { ...values };
  }

  get names(): readonly string[] {
    return Object.keys(this.values);
  }

  async read(names: readonly string[] = this.names): Promise<HostTensors> {
    return Object.fromEntries(
      names.map((name) => {
        const value = this.values[name];
        if (!value) throw new Error(`state: no entry ${name}`);
        return [name, value];
      }),
    );
  }

  async write(values: HostTensors): Promise<void> {
    Object.assign(this.values, values);
  }

  async close(): Promise<void> {
    this.values = {};
  }
}

function referenceProgram(graph: Graph, stateNames: readonly string[], constants: HostTensors): Program {
  const { updated } = splitOutputs(graph, stateNames);
  return {
    graph,
    compileSeconds: 0,
    run: async (inputs, state) => {
      const held = state instanceof ReferenceState ? state.values : {};
      const given = { ...constants, ...held, ...inputs };
      checkInputs(graph, given, new Set());
      const results = interpret(graph, given);
      const returned: Record<string, HostTensor> = {};
      for (const [name, value] of Object.entries(results)) {
        if (updated.includes(name)) held[name] = value;
        else returned[name] = value;
      }
      return returned;
    },
    close: async () => {},
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
