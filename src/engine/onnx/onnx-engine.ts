import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { cacheFolder, type SealedCache } from "../../cache/index.ts";
import {
  BYTES,
  elements,
  filledWith,
  type Graph,
  type HostTensor,
  isResizable,
  sameShape,
  show,
  type TensorType,
} from "../../graph/index.ts";
import {
  type CompileOptions,
  checkInputs,
  checkState,
  type Engine,
  type HostTensors,
  isStored,
  type Program,
  refusePrecision,
  type State,
  type StateValues,
  type StoredTensors,
  splitOutputs,
  wholeValue,
} from "../engine.ts";
import { compiledPerSize } from "../per-size.ts";
import { blockOf, blockProbe } from "./channel-blocks.ts";
import { compiledCache, MODEL, WEIGHTS } from "./compiled-cache.ts";
import type { Arithmetic } from "./context.ts";
import { bytesOf, type Emitter, type Name, type Placed } from "./emitter.ts";
import { halvesProbe } from "./halves.ts";
import { updatedInPlace } from "./in-place.ts";
import { type LowerOptions, lower } from "./lower.ts";
import type { Probe } from "./probe.ts";
import { programKey } from "./program-key.ts";
import type { Answer, CallName, Calls, ExecutionProvider, ModelSource, Request, WorkerOptions } from "./protocol.ts";
import { lowerResizable } from "./resizable.ts";
import { leaveTelemetryOff } from "./telemetry.ts";

export interface OnnxEngineOptions {
  /** @default "cpu" */
  readonly executionProvider?: ExecutionProvider;
  /** Threads of one kernel. @default the machine's cores */
  readonly threads?: number;
  /** Where programs with stored constants are kept compiled; false keeps none. On the CPU only. @default `compiled` in `cacheFolder()` */
  readonly cache?: string | false;
}

/** Weights beyond this stand in a file beside the model: in a protobuf, which holds at most 2 GiB, they would be copied several times. */
const LARGEST_EMBEDDED = 2 ** 24;

/** Sources run under the test runner use the built worker. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/engine/onnx/onnx-worker.js" : "./onnx-worker.js",
  import.meta.url,
);

/** onnxruntime in a worker thread; the state stays there. Throws if onnxruntime is not installed for this platform. */
export async function createOnnxEngine({
  executionProvider = "cpu",
  threads = availableParallelism(),
  cache = join(cacheFolder(), "compiled"),
}: OnnxEngineOptions = {}): Promise<Engine> {
  leaveTelemetryOff();
  const channel = new Channel({ executionProvider, threads });
  const kept = executionProvider === "cpu" && cache !== false ? compiledCache(cache) : undefined;
  return {
    name: `onnx ${executionProvider}`,
    compile: (graph, options) => compile(channel, graph, options, kept),
    createState: (values) => createState(channel, values),
    close: () => channel.close(),
  };
}

/** Calls into the worker, answered in order. */
class Channel {
  readonly provider: ExecutionProvider;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #idle: (() => void)[] = [];
  #next = 0;
  #halves: Promise<void> | undefined;
  #end: Error | undefined;
  #channelBlock: Promise<number | undefined> | undefined;

  constructor(workerData: WorkerOptions) {
    this.provider = workerData.executionProvider;
    this.#worker = new Worker(WORKER, { workerData });
    this.#worker.on("message", (answer: Answer) => {
      const call = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("error" in answer) call?.reject(new Error(answer.error));
      else call?.resolve(answer.answer);
      if (this.#waiting.size > 0) return;
      this.#worker.unref();
      for (const resolve of this.#idle.splice(0)) resolve();
    });
    this.#worker.on("error", (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on("exit", () => this.#fail(new Error("onnx: the engine is closed")));
    this.#worker.unref();
  }

  /** @param moved buffers that the worker takes over instead of copying them */
  call<K extends CallName>(
    call: K,
    request: Calls[K]["request"],
    moved: readonly ArrayBuffer[] = [],
  ): Promise<Calls[K]["answer"]> {
    if (this.#end) return Promise.reject(this.#end);
    const id = this.#next++;
    // The process stays alive while an answer is awaited, and only then.
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#worker.postMessage({ id, call, request } satisfies Request<K>, moved);
    });
  }

  /** Channels in a block of onnxruntime's direct convolutions, where it has any for this processor. */
  channelBlock(): Promise<number | undefined> {
    this.#channelBlock ??=
      this.provider === "cpu" ? this.#try(blockProbe()).then(blockOf, () => undefined) : Promise.resolve(undefined);
    return this.#channelBlock;
  }

  /** @throws one line if the device has no float16 */
  requireHalves(): Promise<void> {
    this.#halves ??= this.#try(halvesProbe()).then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof Error && /requires f16/.test(error.message))) throw error;
        throw new Error("onnx: float16 was asked for, and this device's shaders have none (shader-f16)");
      },
    );
    return this.#halves;
  }

  async #try({ model, input, output, value }: Probe): Promise<HostTensor> {
    const nothing = { stateInputs: [], stateOutputs: [], stateElements: 0, inPlace: [], filled: {} };
    const program = await this.call("compile", { model, ...nothing, inputs: [input], outputs: [output] });
    try {
      const { [output]: result } = await this.call("run", { program, inputs: { [input]: value }, state: undefined });
      if (!result) throw new Error("onnx: a probe gave nothing");
      return result;
    } finally {
      await this.call("closeProgram", program);
    }
  }

  /** Calls under way are finished first: a thread that ends inside onnxruntime takes the process with it. */
  async close(): Promise<void> {
    this.#end ??= new Error("onnx: the engine is closed");
    if (this.#waiting.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    this.#end ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#end);
    this.#waiting.clear();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

interface OnnxState extends State {
  readonly channel: Channel;
  readonly id: number;
  readonly types: Readonly<Record<string, TensorType>>;
}

/** One value after the other: what is on its way to the worker is held twice. */
async function createState(channel: Channel, values: StateValues): Promise<OnnxState> {
  const id = await channel.call("createState", undefined);
  const types: Record<string, TensorType> = {};
  try {
    for (const [name, value] of Object.entries(values)) {
      const made = await wholeValue(value);
      types[name] = { dtype: made.dtype, shape: made.shape };
      await channel.call("addEntry", { state: id, name, value: made }, made === value ? [] : own(made));
    }
  } catch (error) {
    await channel.call("closeState", id);
    throw error;
  }
  return onnxState(channel, id, types);
}

/** An array's memory where it is nobody else's. */
const own = ({ data }: HostTensor): ArrayBuffer[] =>
  data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength ? [data.buffer] : [];

function onnxState(channel: Channel, id: number, types: Readonly<Record<string, TensorType>>): OnnxState {
  const names = Object.keys(types);
  return {
    channel,
    id,
    types,
    names,
    read: (wanted = names) => channel.call("readState", { state: id, names: wanted }),
    write: async (values) => {
      for (const [name, value] of Object.entries(values)) {
        const held = types[name];
        if (!held || held.dtype !== value.dtype || !sameShape(held.shape, value.shape))
          throw new Error(`state: entry ${name} is ${held ? show(held) : "not there"}, got ${show(value)}`);
      }
      await channel.call("writeState", { state: id, values });
    },
    close: () => channel.call("closeState", id),
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

async function compile(
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
    return compiledPerSize(graph, options, (sized) => compile(channel, sized, options, cache));
  const names = graph.inputs.map((x) => x.attrs.name);
  const { updated: changed, returned } = splitOutputs(graph, state);
  const filled = channel.provider === "cpu" ? filledEntries(graph, changed) : {};
  const updated = changed.filter((name) => !Object.hasOwn(filled, name));
  const constantNames = Object.keys(isStored(constants) ? constants.types : constants);
  const elsewhere = new Set([...state, ...constantNames]);
  const stateInputs = names.filter((name) => state.includes(name));
  const inputs = names.filter((name) => !elsewhere.has(name));
  const used = new Set(graph.nodes.map((tensor) => tensor.id));
  const needed = new Set(graph.inputs.flatMap((x) => (used.has(x.id) ? [x.attrs.name] : [])));
  const kept = (list: readonly string[]): string[] => list.filter((name) => needed.has(name));
  const io = {
    stateInputs: kept(stateInputs),
    stateOutputs: updated,
    stateElements: graph.inputs.reduce(
      (sum, x) => sum + (stateInputs.includes(x.attrs.name) ? elements(x.shape) : 0),
      0,
    ),
    filled,
    inputs: kept(inputs),
    outputs: returned,
  };
  const computed = { ...graph, outputs: graph.outputs.filter(({ name }) => !Object.hasOwn(filled, name)) };
  /** Lowers the graph and makes a session of it, which may leave its optimised model. */
  const fresh = async (keep?: string): Promise<number> => {
    const values = isStored(constants) ? await constants.read() : constants;
    checkInputs(graph, values, new Set(names.filter((name) => !Object.hasOwn(values, name))));
    const hasBlocks = graph.nodes.some(({ op }) => op === "convolution" || op === "linear");
    const channelBlock = hasBlocks ? await channel.channelBlock() : undefined;
    const kernels = { arithmetic, channelBlock };
    const { model, folder, inPlace } = await writeModel(computed, values, channel.provider, kernels, updated);
    return channel
      .call(
        "compile",
        { model, ...io, inPlace, ...(keep ? { keep: { model: keep, weights: WEIGHTS } } : {}) },
        typeof model === "string" ? [] : [model.buffer],
      )
      .finally(() => folder && rm(folder, { recursive: true, force: true }));
  };
  const id =
    cache !== undefined && isStored(constants) && worthKeeping(constants)
      ? await fromCache(channel, cache, await programKey(graph, constants.fingerprint, { quantize }), io, fresh)
      : await fresh();
  return {
    graph,
    compileSeconds: (performance.now() - begun) / 1000,
    run: async (values, from) => {
      checkInputs(graph, values, elsewhere);
      const held = isOnnxState(from, channel) ? from : undefined;
      if (stateInputs.length + changed.length > 0 && !held)
        throw new Error("run: this program needs a state of its engine");
      checkState(graph, state, held?.types ?? {});
      const sent = Object.fromEntries(io.inputs.flatMap((name) => (values[name] ? [[name, values[name]]] : [])));
      return channel.call("run", { program: id, inputs: sent, state: held?.id });
    },
    close: () => channel.call("closeProgram", id),
  };
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
  io: Omit<ModelSource, "model" | "inPlace">,
  fresh: (keep?: string) => Promise<number>,
): Promise<number> {
  const place = await cache.find(key);
  const model = place && join(place, MODEL);
  const found =
    model && (await channel.call("compile", { model, optimized: true, ...io, inPlace: [] }).catch(() => undefined));
  if (found) return found;
  if (place) await cache.forget(key);
  return cache.keep(key, (beside) => fresh(beside && join(beside, MODEL)));
}

function isOnnxState(state: State | undefined, channel: Channel): state is OnnxState {
  return state !== undefined && "channel" in state && state.channel === channel;
}

function lowered(graph: Graph, provider: ExecutionProvider, options: LowerOptions): Emitter {
  return isResizable(graph) ? lowerResizable(graph, provider, options) : lower(graph, provider, options);
}

const lengthOf = ({ dtype, shape }: Placed): number => elements(shape) * (dtype === "f16" ? 2 : BYTES[dtype]);

/** The model as bytes, or, with large weights, as a file with the weights beside it in a folder of its own. */
async function writeModel(
  graph: Graph,
  constants: HostTensors,
  provider: ExecutionProvider,
  kernels: Pick<LowerOptions, "arithmetic" | "channelBlock">,
  updated: readonly string[],
): Promise<
  Pick<ModelSource, "inPlace"> & { readonly model: Uint8Array<ArrayBuffer> | string; readonly folder?: string }
> {
  const total = Object.values(constants).reduce((sum, { data }) => sum + data.byteLength, 0);
  if (total <= LARGEST_EMBEDDED) {
    const place = (emit: Emitter, value: Placed): Name => emit.initializer(emit.fresh(), value);
    const emit = lowered(graph, provider, { constants, place, ...kernels });
    return { model: emit.write(), inPlace: updatedInPlace(emit.parts(), updated) };
  }
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-"));
  try {
    const weights: Placed[] = [];
    let offset = 0;
    const place = (emit: Emitter, value: Placed): Name => {
      const placed = emit.initializer(emit.fresh(), value, {
        file: "weights.bin",
        offset,
        length: lengthOf(value),
      });
      weights.push(value);
      offset += lengthOf(value);
      return placed;
    };
    const emit = lowered(graph, provider, { constants, place, ...kernels });
    const file = await open(join(folder, "weights.bin"), "w");
    try {
      for (const { data } of weights) await file.writeFile(bytesOf(data));
    } finally {
      await file.close();
    }
    await writeFile(join(folder, "model.onnx"), emit.write());
    return { model: join(folder, "model.onnx"), folder, inPlace: updatedInPlace(emit.parts(), updated) };
  } catch (error) {
    // A full disk, say: nothing half-written stays.
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
