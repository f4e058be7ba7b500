/** The thread in which onnxruntime's synchronous calls run; programs and states live here. */
import { MessageChannel, parentPort, workerData } from "node:worker_threads";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { DType, HostArray, HostTensor, TensorType } from "../../graph/index.ts";
import type { HostTensors } from "../engine.ts";
import { bytesMaySaturate } from "../processor.ts";
import { deviceMemory, type Location } from "./device-memory.ts";
import { inputName, outputName } from "./names.ts";
import type { Answer, CallName, Calls, ModelSource, Request, WorkerOptions } from "./protocol.ts";

const ort = (await import("onnxruntime-node")).default;
const options = workerData as WorkerOptions;
const onDevice = options.executionProvider !== "cpu";
const maySaturate = await bytesMaySaturate();

interface Program extends Omit<ModelSource, "model" | "optimized" | "keep"> {
  readonly session: InferenceSession;
}

/** A state entry. */
interface Entry {
  /** Where the provider computes. */
  current: Tensor;
  /** On the CPU, where some program cannot update it in place: the buffer that the next update is written into. */
  spare: Tensor | undefined;
  /** The program whose result it is. */
  maker: number | undefined;
  readonly type: TensorType;
}

const ORT_TYPE = { f64: "float64", f32: "float32", i32: "int32", u8: "uint8", bool: "bool" } as const satisfies Record<
  DType,
  string
>;
const DTYPE = Object.fromEntries(Object.entries(ORT_TYPE).map(([dtype, type]) => [type, dtype])) as Readonly<
  Record<string, DType>
>;

const programs = new Map<number, Program>();
const states = new Map<number, Map<string, Entry>>();
/** States that a failed run may have left half updated. */
const damaged = new Set<number>();
let nextId = 1;

function toOrt({ dtype, shape, data }: HostTensor): Tensor {
  return new ort.Tensor(ORT_TYPE[dtype], data as Float32Array, shape);
}

/** A host tensor over the same memory. */
function toHost(tensor: Tensor): HostTensor {
  const dtype = DTYPE[tensor.type];
  if (!dtype) throw new Error(`onnx: a result is of type ${tensor.type}`);
  return { dtype, shape: [...tensor.dims], data: tensor.data as HostArray };
}

function found<T>(map: ReadonlyMap<number, T>, id: number, what: string): T {
  const value = map.get(id);
  if (value === undefined) throw new Error(`onnx: this ${what} is closed`);
  return value;
}

function entriesOf(state: number): Map<string, Entry> {
  if (damaged.has(state)) throw new Error("state: a run failed while it changed this state, which is lost");
  return found(states, state, "state");
}

/** Elements of a state from which memory counts for more than speed: 64 million, 20 million parameters with their moments. */
const LARGE_STATE = 2 ** 26;

/** @param locations of outputs, by their own names; the others come to the CPU */
async function createSession(
  model: Uint8Array | string,
  locations: Readonly<Record<string, Location>>,
  {
    optimized = false,
    keep,
    stateElements = 0,
  }: Partial<Pick<ModelSource, "optimized" | "keep" | "stateElements">> = {},
): Promise<InferenceSession> {
  const sessionOptions: InferenceSession.SessionOptions = {
    executionProviders: [options.executionProvider],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: optimized ? "disabled" : "all",
    // Errors are thrown; printed, they would come twice.
    logSeverityLevel: 4,
    // Training has many sizes of texts, and the pattern of one is a block of all its activations, held beside what the first run took:
    // measured, 4 % faster for a third more memory. Large models want the memory.
    enableMemPattern: stateElements < LARGE_STATE,
    extra: {
      session: {
        // Weights of 8 bits become unsigned.
        ...(maySaturate ? { x64quantprecision: "1" } : {}),
        ...(keep
          ? {
              optimized_model_external_initializers_file_name: keep.weights,
              optimized_model_external_initializers_min_size_in_bytes: "1024",
            }
          : {}),
      },
    },
    ...(keep ? { optimizedModelFilePath: keep.model } : {}),
    ...(onDevice
      ? {
          preferredOutputLocation: Object.fromEntries(
            Object.entries(locations).map(([name, location]) => [outputName(name), location]),
          ),
        }
      : {}),
  };
  // The two overloads do not take a union.
  return typeof model === "string"
    ? ort.InferenceSession.create(model, sessionOptions)
    : ort.InferenceSession.create(model, sessionOptions);
}

const device = onDevice ? deviceMemory(createSession) : undefined;

/** A host tensor where the state is kept. On the CPU it is taken over, not copied. */
async function toState(value: HostTensor): Promise<Tensor> {
  return device ? device.upload(toOrt(value), value) : toOrt(value);
}

/** Memory that goes with the next answer instead of being copied into it. */
const leaving: ArrayBuffer[] = [];

/** A copy of a state entry in the host's memory, for the answer. */
async function fromState({ current, type }: Entry): Promise<HostTensor> {
  const host = toHost(device ? await device.download(current, type) : current);
  if (device) return host;
  const data = host.data.slice();
  if (data.buffer instanceof ArrayBuffer) leaving.push(data.buffer);
  return { ...host, data };
}

/** Puts a value in the place of an entry's. The device's memory is freed here, not when the garbage is collected. */
function replace(held: Entry, value: Tensor, maker?: number): void {
  if (device) held.current.dispose();
  else if (value === held.spare) held.spare = held.current;
  held.current = value;
  held.maker = maker;
}

/** Copies what a program left in states: a result on the device that outlives its session ends the process when it is freed. */
async function adopt(program: number): Promise<void> {
  if (!device) return;
  for (const entries of states.values())
    for (const held of entries.values())
      if (held.maker === program) replace(held, await device.upload(held.current, held.type));
}

/** The other of an entry's two buffers, written in turns: the update may be ready before the value's last reader has run. */
function spareOf(held: Entry): Tensor {
  held.spare ??= toOrt({ ...toHost(held.current), data: toHost(held.current).data.slice() });
  return held.spare;
}

/**
 * Frees tensors at once. onnxruntime's binding copies every result, also those that it wrote into buffers of ours: as much memory as the
 * state takes, which would stay until the garbage is collected. What is posted to a closed port is gone.
 */
function free(tensors: readonly Tensor[]): void {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(
    undefined,
    tensors.flatMap(({ data }) => (ArrayBuffer.isView(data) && data.buffer instanceof ArrayBuffer ? data.buffer : [])),
  );
  port1.close();
  port2.close();
}

/** Results that were written elsewhere already. */
function copies(
  results: Readonly<Record<string, Tensor>>,
  fetches: Readonly<Record<string, Tensor | null>>,
  names: readonly string[],
): Tensor[] {
  return names.flatMap((name) => {
    const [copy, written] = [results[outputName(name)], fetches[outputName(name)]];
    return copy && written && copy.data !== written.data ? copy : [];
  });
}

async function run({ program: id, inputs, state: stateId }: Calls["run"]["request"]): Promise<HostTensors> {
  const program = found(programs, id, "program");
  const state = stateId === undefined ? new Map<string, Entry>() : entriesOf(stateId);
  const entry = (name: string): Entry => {
    const value = state.get(name);
    if (!value) throw new Error(`run: the state has no entry ${name}`);
    return value;
  };
  const feeds: Record<string, Tensor> = {};
  for (const name of program.stateInputs) feeds[inputName(name)] = entry(name).current;
  for (const name of program.inputs) {
    const value = inputs[name];
    if (value) feeds[inputName(name)] = toOrt(value);
  }
  const fetches: Record<string, Tensor | null> = {};
  for (const name of program.outputs) fetches[outputName(name)] = null;
  for (const name of program.stateOutputs) {
    fetches[outputName(name)] = onDevice
      ? null
      : program.inPlace.includes(name)
        ? entry(name).current
        : spareOf(entry(name));
  }
  const results = await program.session.run(feeds, fetches).catch((error: unknown) => {
    if (!onDevice && stateId !== undefined && program.inPlace.length > 0) damaged.add(stateId);
    throw error;
  });
  if (!onDevice) free(copies(results, fetches, program.stateOutputs));
  for (const name of program.stateOutputs) {
    const held = entry(name);
    // On the CPU the fetch has been written.
    const updated = fetches[outputName(name)] ?? results[outputName(name)];
    if (!updated) throw new Error(`run: state entry ${name} was not computed`);
    replace(held, updated, id);
  }
  for (const [name, value] of Object.entries(program.filled)) toHost(entry(name).current).data.fill(value);
  return Object.fromEntries(program.outputs.map((name) => [name, toHost(results[outputName(name)] as Tensor)]));
}

const HANDLERS: { readonly [K in CallName]: (request: Calls[K]["request"]) => Promise<Calls[K]["answer"]> } = {
  compile: async ({ model, optimized = false, keep, ...names }) => {
    const locations = Object.fromEntries(names.stateOutputs.map((name) => [name, "gpu-buffer" as const]));
    programs.set(nextId, {
      ...names,
      session: await createSession(model, locations, {
        optimized,
        stateElements: names.stateElements,
        ...(keep ? { keep } : {}),
      }),
    });
    return nextId++;
  },
  run,
  closeProgram: async (id) => {
    const { session } = found(programs, id, "program");
    await adopt(id);
    await session.release();
    programs.delete(id);
    return undefined;
  },
  createState: async () => {
    states.set(nextId, new Map());
    return nextId++;
  },
  addEntry: async ({ state, name, value }) => {
    const { dtype, shape } = value;
    const entry = { current: await toState(value), spare: undefined, maker: undefined, type: { dtype, shape } };
    entriesOf(state).set(name, entry);
    return undefined;
  },
  readState: async ({ state, names }) => {
    const entries = entriesOf(state);
    const values: Record<string, HostTensor> = {};
    for (const name of names) {
      const held = entries.get(name);
      if (!held) throw new Error(`state: no entry ${name}`);
      values[name] = await fromState(held);
    }
    return values;
  },
  writeState: async ({ state, values }) => {
    const entries = entriesOf(state);
    for (const [name, value] of Object.entries(values)) {
      const held = entries.get(name);
      if (!held) throw new Error(`state: no entry ${name}`);
      replace(held, await toState(value));
    }
    return undefined;
  },
  closeState: async (id) => {
    for (const { current } of found(states, id, "state").values()) if (device) current.dispose();
    states.delete(id);
    damaged.delete(id);
    return undefined;
  },
};

async function answer<K extends CallName>({ id, call, request }: Request<K>): Promise<Answer> {
  try {
    return { id, answer: await HANDLERS[call](request) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

// One after the other: a state never changes while it is read.
let queue: Promise<void> = Promise.resolve();
parentPort?.on("message", (request: Request) => {
  queue = queue.then(async () => {
    const said = await answer(request);
    parentPort?.postMessage(said, leaving.splice(0));
  });
});
