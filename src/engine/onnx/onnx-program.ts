/** Graphs as programs of onnxruntime's sessions. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { SealedCache } from "../../cache/index.ts";
import { elements, filledWith, type Graph, isResizable } from "../../graph/index.ts";
import {
  type CompileOptions,
  checkInputs,
  checkState,
  type HostTensors,
  isStored,
  type Program,
  refusePrecision,
  type StoredTensors,
  splitOutputs,
} from "../engine.ts";
import { compiledPerSize } from "../per-size.ts";
import type { Channel } from "./channel.ts";
import { MODEL, WEIGHTS } from "./compiled-cache.ts";
import type { Arithmetic } from "./context.ts";
import { isOnnxState } from "./onnx-state.ts";
import { programKey } from "./program-key.ts";
import type { ExecutionProvider, ModelSource } from "./protocol.ts";
import { writeModel } from "./written-model.ts";

/** What goes into a session and comes out of it. */
type Wiring = Omit<ModelSource, "model" | "inPlace" | "keep" | "optimized">;

/** What is made of a graph. */
interface Plan {
  /** The graph without what is filled in place of being computed. */
  readonly computed: Graph;
  readonly wiring: Wiring;
  /** Inputs that a run is not given. */
  readonly elsewhere: ReadonlySet<string>;
  readonly usesState: boolean;
}

/** @param cache where programs with stored constants are kept */
export async function compileProgram(
  channel: Channel,
  graph: Graph,
  options: CompileOptions = {},
  cache?: SealedCache,
): Promise<Program> {
  const { state = [], constants = {}, quantize } = options;
  const begun = performance.now();
  const arithmetic = await arithmeticOf(channel, options);
  // WebGPU prepares its kernels for the sizes it meets: as quick to have a program for each, and better tried.
  if (isResizable(graph) && channel.provider === "webgpu")
    return compiledPerSize(graph, options, (sized) => compileProgram(channel, sized, options, cache));
  const plan = planOf(graph, options, channel.provider);
  const { wiring, elsewhere, usesState } = plan;
  const fresh = (keep?: string): Promise<number> => newSession(channel, graph, plan, constants, arithmetic, keep);
  const id =
    cache !== undefined && isStored(constants) && worthKeeping(constants)
      ? await fromCache(channel, cache, await programKey(graph, constants.fingerprint, { quantize }), wiring, fresh)
      : await fresh();
  return {
    graph,
    compileSeconds: (performance.now() - begun) / 1000,
    run: async (values, from) => {
      checkInputs(graph, values, elsewhere);
      const held = isOnnxState(from, channel) ? from : undefined;
      if (usesState && !held) throw new Error("run: this program needs a state of its engine");
      checkState(graph, state, held?.types ?? {});
      const inputs = Object.fromEntries(wiring.inputs.flatMap((name) => (values[name] ? [[name, values[name]]] : [])));
      return channel.call("run", { program: id, inputs, state: held?.id });
    },
    close: () => channel.call("closeProgram", id),
  };
}

/** What a program is computed in. @throws one line if the provider, or its device, does not compute so */
async function arithmeticOf(channel: Channel, options: CompileOptions): Promise<Arithmetic> {
  const { quantize, precision } = options;
  const onGpu = channel.provider === "webgpu";
  if (onGpu && quantize === "int8") throw new Error("onnx: int8 is for the CPU; on WebGPU leave quantize out");
  refusePrecision(`onnx ${channel.provider}`, options, onGpu ? ["float16"] : []);
  if (precision === "float16") await channel.requireHalves();
  return precision === "float16" ? precision : (quantize ?? "float32");
}

function planOf(graph: Graph, { state = [], constants = {} }: CompileOptions, provider: ExecutionProvider): Plan {
  const { updated, returned } = splitOutputs(graph, state);
  const filled = provider === "cpu" ? filledEntries(graph, updated) : {};
  const elsewhere = new Set([...state, ...Object.keys(isStored(constants) ? constants.types : constants)]);
  const stateInputs = graph.inputs.filter((x) => state.includes(x.attrs.name));
  const used = new Set(graph.nodes.map((tensor) => tensor.id));
  const namesOf = (inputs: Graph["inputs"]): string[] => inputs.flatMap((x) => (used.has(x.id) ? [x.attrs.name] : []));
  return {
    computed: { ...graph, outputs: graph.outputs.filter(({ name }) => !Object.hasOwn(filled, name)) },
    wiring: {
      stateInputs: namesOf(stateInputs),
      stateOutputs: updated.filter((name) => !Object.hasOwn(filled, name)),
      stateElements: stateInputs.reduce((sum, { shape }) => sum + elements(shape), 0),
      filled,
      inputs: namesOf(graph.inputs.filter((x) => !elsewhere.has(x.attrs.name))),
      outputs: returned,
    },
    elsewhere,
    usesState: stateInputs.length + updated.length > 0,
  };
}

/** Lowers the graph and makes a session of it. @param keep where it leaves its optimised model */
async function newSession(
  channel: Channel,
  graph: Graph,
  { computed, wiring }: Plan,
  constants: HostTensors | StoredTensors,
  arithmetic: Arithmetic,
  keep: string | undefined,
): Promise<number> {
  const values = isStored(constants) ? await constants.read() : constants;
  const names = graph.inputs.map((x) => x.attrs.name);
  checkInputs(graph, values, new Set(names.filter((name) => !Object.hasOwn(values, name))));
  const hasBlocks = graph.nodes.some(({ op }) => op === "convolution" || op === "linear");
  const channelBlock = hasBlocks ? await channel.channelBlock() : undefined;
  const kernels = { arithmetic, channelBlock };
  const written = await writeModel(computed, values, channel.provider, kernels, wiring.stateOutputs);
  const { model, folder, inPlace } = written;
  return channel
    .call(
      "compile",
      { model, ...wiring, inPlace, ...(keep ? { keep: { model: keep, weights: WEIGHTS } } : {}) },
      typeof model === "string" ? [] : [model.buffer],
    )
    .finally(() => folder && rm(folder, { recursive: true, force: true }));
}

/** Entries whose update is one number everywhere: written without a buffer for it. */
function filledEntries(graph: Graph, updated: readonly string[]): Record<string, number> {
  const filled = graph.outputs.flatMap(({ name, tensor }) => {
    const value = updated.includes(name) ? filledWith(tensor) : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  // The twin of a resizable graph has the same outputs; a model has at least one.
  return isResizable(graph) || filled.length === graph.outputs.length ? {} : Object.fromEntries(filled);
}

/** Smaller ones are compiled as quickly as they are found. */
const worthKeeping = ({ types }: StoredTensors): boolean =>
  Object.values(types).reduce((sum, { shape }) => sum + elements(shape), 0) > 2 ** 23;

/** The kept program, or a new one that is kept. */
async function fromCache(
  channel: Channel,
  cache: SealedCache,
  key: string,
  wiring: Wiring,
  fresh: (keep?: string) => Promise<number>,
): Promise<number> {
  const place = await cache.find(key);
  const model = place && join(place, MODEL);
  const found =
    model && (await channel.call("compile", { model, optimized: true, ...wiring, inPlace: [] }).catch(() => undefined));
  if (found) return found;
  if (place) await cache.forget(key);
  return cache.keep(key, (beside) => fresh(beside && join(beside, MODEL)));
}
