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
  const { constants, place, arithmetic } = options;
  const graph = expand(traced, (composite, further) => whole(composite, further, provider));
  const emit = new Emitter();
  const names = new Map<Tensor, readonly Name[]>();
  const channelsFirst = new Map<Tensor, Name>();
  const halves = new Map<Tensor, Name>();
  const blocks = new Map<Tensor, Name>();
  const fixed = new Set<Tensor>();
  const furtherRead = new Set<Tensor>(graph.nodes.flatMap((x) => (made(x, "output") ? x.inputs : [])));
  const sharedNames = new Map<string, Name>();
  const reached = new Set(graph.nodes);
  for (const x of graph.inputs) {
    const { name } = x.attrs;
    if (x.dtype === "f64") throw new Error(`onnx: input ${name} is f64; the onnx engine computes in f32`);
    if (Object.hasOwn(constants, name)) fixed.add(x);
    else if (reached.has(x)) names.set(x, [emit.input(inputName(name), x)]);
  }
  for (const x of graph.nodes)
    if (made(x, "constant") || (x.inputs.length > 0 && x.inputs.every((operand) => fixed.has(operand)))) fixed.add(x);
  const computed = (tensor: Tensor): readonly Name[] => {
    const first = channelsFirst.get(tensor);
    if (first !== undefined) return [emit.node("Transpose", [first], { perm: [0, 2, 3, 1] })];
    const half = halves.get(tensor);
    if (half !== undefined && !fixed.has(tensor)) return [emit.node("Cast", [half], { to: ONNX_TYPE.f32 })];
    const laid = blocks.get(tensor);
    if (laid !== undefined) return [rowsOutOfBlocks(context, laid, tensor)];
    const baked = made(tensor, "input") && constants[tensor.attrs.name];
    if (baked) return [place(emit, baked)];
    if (made(tensor, "output")) return [all(tensor.inputs[0] as Tensor)[tensor.attrs.index] ?? ""];
    return lowerNode(context, tensor);
  };
  const all = (tensor: Tensor): readonly Name[] => {
    const result = names.get(tensor) ?? computed(tensor);
    names.set(tensor, result);
    return result;
  };
  const context: Context = {
    emit,
    provider,
    arithmetic,
    channelBlock: options.channelBlock,
    value: (tensor) => all(tensor)[0] ?? "",
    further: (tensor) => furtherRead.has(tensor),
    fixed: (tensor) => fixed.has(tensor),
    known: (tensor) => known(tensor, constants),
    place: (value) => place(emit, value),
    isChannelsFirst: (tensor) => channelsFirst.has(tensor),
    channelsFirst: (tensor) => {
      const name = channelsFirst.get(tensor) ?? emit.node("Transpose", [context.value(tensor)], { perm: [0, 3, 1, 2] });
      channelsFirst.set(tensor, name);
      return name;
    },
    isHalf: (tensor) => halves.has(tensor),
    half: (tensor) => {
      const baked = made(tensor, "input") && constants[tensor.attrs.name];
      const name =
        halves.get(tensor) ??
        (baked ? place(emit, halved(tensor.attrs.name, baked)) : bakedHalves(context, tensor)) ??
        emit.node("Cast", [context.value(tensor)], { to: ONNX_TYPE.f16 });
      halves.set(tensor, name);
      return name;
    },
    isInBlocks: (tensor) => blocks.has(tensor),
    inBlocks: (tensor) => {
      const name = blocks.get(tensor) ?? rowsIntoBlocks(context, tensor);
      blocks.set(tensor, name);
      return name;
    },
    shared: (key, make) => {
      const name = sharedNames.get(key) ?? make();
      sharedNames.set(key, name);
      return name;
    },
  };
  // Broadcasts, constants and what follows from them are written only where a kernel needs them.
  for (const tensor of graph.nodes) {
    if (made(tensor, "broadcast") || fixed.has(tensor)) continue;
    const first = lowerChannelsFirst(context, tensor);
    const half = first === undefined && arithmetic === "float16" ? lowerHalves(context, tensor) : undefined;
    const laid = first === undefined && half === undefined ? lowerInBlocks(context, tensor) : undefined;
    if (first !== undefined) channelsFirst.set(tensor, first);
    else if (half !== undefined) halves.set(tensor, half);
    else if (laid !== undefined) blocks.set(tensor, laid);
    else all(tensor);
  }
  for (const { name, tensor } of graph.outputs) emit.output(outputName(name), context.value(tensor), tensor);
  return emit;
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
