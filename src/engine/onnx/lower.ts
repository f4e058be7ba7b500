/** Lowers a whole graph: the order of its values, what is baked in, what is kept channels first. */
import { expand, type Graph, type HostTensor, made, type Tensor, toHalves } from "../../graph/index.ts";
import type { HostTensors } from "../engine.ts";
import { lowerInBlocks, rowsIntoBlocks, rowsOutOfBlocks } from "./blocked-linear.ts";
import { lowerChannelsFirst } from "./channels-first.ts";
import type { Arithmetic, Context, Kernels } from "./context.ts";
import { Emitter, type Name, ONNX_TYPE, type Placed } from "./emitter.ts";
import { bakedHalves, lowerHalves } from "./halves.ts";
import { lowerNode, whole } from "./lowering.ts";
import { inputName, outputName } from "./names.ts";

export interface LowerOptions {
  /** Inputs that never change, by name. */
  readonly constants: HostTensors;
  /** Writes such a value as an initialiser, where a kernel wants it as it is. */
  readonly place: (emit: Emitter, value: Placed) => Name;
  readonly arithmetic: Arithmetic;
  /** Channels in a block of onnxruntime's direct convolutions. @default it has none */
  readonly channelBlock?: number | undefined;
}

/** Lowers a graph with static shapes; `lowerResizable` lowers one with free sizes. */
export function lower(traced: Graph, provider: Kernels, options: LowerOptions): Emitter {
  const { constants, place, arithmetic, channelBlock } = options;
  const graph = expand(traced, (composite, further) => whole(composite, further, provider));
  const emit = new Emitter();
  const names = declareInputs(emit, graph, constants);
  const fixed = fixedValues(graph, constants);
  const furtherRead = new Set<Tensor>(graph.nodes.flatMap((x) => (made(x, "output") ? x.inputs : [])));
  // Values in another form than the plain one: made in it, or brought into it.
  const channelsFirst = new Map<Tensor, Name>();
  const halves = new Map<Tensor, Name>();
  const blocks = new Map<Tensor, Name>();
  const shared = new Map<string, Name>();

  const plain = (tensor: Tensor): readonly Name[] => {
    const result = names.get(tensor) ?? asPlain(tensor);
    names.set(tensor, result);
    return result;
  };
  const asPlain = (tensor: Tensor): readonly Name[] => {
    const first = channelsFirst.get(tensor);
    if (first !== undefined) return [emit.node("Transpose", [first], { perm: [0, 2, 3, 1] })];
    const half = halves.get(tensor);
    if (half !== undefined && !fixed.has(tensor)) return [emit.node("Cast", [half], { to: ONNX_TYPE.f32 })];
    const laid = blocks.get(tensor);
    if (laid !== undefined) return [rowsOutOfBlocks(context, laid, tensor)];
    const baked = made(tensor, "input") && constants[tensor.attrs.name];
    if (baked) return [place(emit, baked)];
    if (made(tensor, "output")) return [plain(tensor.inputs[0] as Tensor)[tensor.attrs.index] ?? ""];
    return lowerNode(context, tensor);
  };
  const asChannelsFirst = (tensor: Tensor): Name =>
    emit.node("Transpose", [context.value(tensor)], { perm: [0, 3, 1, 2] });
  const asHalves = (tensor: Tensor): Name => {
    const baked = made(tensor, "input") && constants[tensor.attrs.name];
    if (baked) return place(emit, halved(tensor.attrs.name, baked));
    return bakedHalves(context, tensor) ?? emit.node("Cast", [context.value(tensor)], { to: ONNX_TYPE.f16 });
  };

  const context: Context = {
    ...{ emit, provider, arithmetic, channelBlock },
    value: (tensor) => plain(tensor)[0] ?? "",
    further: (tensor) => furtherRead.has(tensor),
    fixed: (tensor) => fixed.has(tensor),
    known: (tensor) => known(tensor, constants),
    place: (value) => place(emit, value),
    isChannelsFirst: (tensor) => channelsFirst.has(tensor),
    channelsFirst: (tensor) => onceIn(channelsFirst, tensor, () => asChannelsFirst(tensor)),
    isHalf: (tensor) => halves.has(tensor),
    half: (tensor) => onceIn(halves, tensor, () => asHalves(tensor)),
    isInBlocks: (tensor) => blocks.has(tensor),
    inBlocks: (tensor) => onceIn(blocks, tensor, () => rowsIntoBlocks(context, tensor)),
    shared: (key, make) => onceIn(shared, key, make),
  };

  const forms = [
    { names: channelsFirst, rule: lowerChannelsFirst },
    ...(arithmetic === "float16" ? [{ names: halves, rule: lowerHalves }] : []),
    { names: blocks, rule: lowerInBlocks },
  ];
  /** Computes a tensor in another form where that is better. */
  const lowerToForm = (tensor: Tensor): boolean =>
    forms.some(({ names, rule }) => {
      const name = rule(context, tensor);
      if (name !== undefined) names.set(tensor, name);
      return name !== undefined;
    });
  for (const tensor of graph.nodes) {
    // Broadcasts, constants and what follows from them are written only where a kernel needs them.
    if (made(tensor, "broadcast") || fixed.has(tensor)) continue;
    if (!lowerToForm(tensor)) plain(tensor);
  }
  for (const { name, tensor } of graph.outputs) emit.output(outputName(name), context.value(tensor), tensor);
  return emit;
}

/** Names of the inputs that are fed and reached. */
function declareInputs(emit: Emitter, graph: Graph, constants: HostTensors): Map<Tensor, readonly Name[]> {
  const names = new Map<Tensor, readonly Name[]>();
  const reached = new Set(graph.nodes);
  for (const x of graph.inputs) {
    const { name } = x.attrs;
    if (x.dtype === "f64") throw new Error(`onnx: input ${name} is f64; the onnx engine computes in f32`);
    if (reached.has(x) && !Object.hasOwn(constants, name)) names.set(x, [emit.input(inputName(name), x)]);
  }
  return names;
}

/** What is the same in every run: inputs that never change, constants, and what follows from such alone. */
function fixedValues(graph: Graph, constants: HostTensors): ReadonlySet<Tensor> {
  const fixed = new Set<Tensor>(graph.inputs.filter((x) => Object.hasOwn(constants, x.attrs.name)));
  for (const x of graph.nodes)
    if (made(x, "constant") || (x.inputs.length > 0 && x.inputs.every((operand) => fixed.has(operand)))) fixed.add(x);
  return fixed;
}

/** A name that is made when it is first asked for. */
function onceIn<Key>(names: Map<Key, Name>, key: Key, make: () => Name): Name {
  const name = names.get(key) ?? make();
  names.set(key, name);
  return name;
}

function halved(name: string, { shape, data }: HostTensor): Placed {
  try {
    return { dtype: "f16", shape, data: toHalves(data) };
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}

/** The elements of a value that is a constant input or a part of one, not copied. */
function known(tensor: Tensor, constants: HostTensors): HostTensor | undefined {
  if (made(tensor, "input")) return constants[tensor.attrs.name];
  const [source] = tensor.inputs;
  const whole = source && (made(tensor, "reshape") || made(tensor, "slice")) ? known(source, constants) : undefined;
  if (!whole) return undefined;
  const { shape } = tensor;
  if (made(tensor, "reshape")) return { ...whole, shape };
  if (!made(tensor, "slice")) return undefined;
  const { start, limit, stride } = tensor.attrs;
  const rows = start.every((from, axis) => axis === 0 || (from === 0 && limit[axis] === whole.shape[axis]));
  if (!rows || stride.some((step) => step !== 1)) return undefined;
  const row = whole.data.length / (whole.shape[0] ?? 1);
  return { ...whole, shape, data: whole.data.subarray((start[0] ?? 0) * row, (limit[0] ?? 0) * row) };
}
