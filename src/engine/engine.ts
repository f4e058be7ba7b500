import {
  elements,
  fits,
  type Graph,
  type HostTensor,
  isResizable,
  type Mesh,
  type Piece,
  type ResizableGraph,
  type Sharding,
  sameShape,
  show,
  type TensorType,
  wholePiece,
} from "../graph/index.ts";

/** Named tensors in the host's memory. */
export type HostTensors = Readonly<Record<string, HostTensor>>;

/**
 * Values that stay where the engine computes (parameters, moments, step) and go from one run into the next.
 * Runs of one engine are queued, so that a state is never read while it changes. A run that fails leaves it as it was or, where the
 * engine updates entries in place, half changed: then every later use of it throws, until it is closed.
 */
export interface State {
  readonly names: readonly string[];
  /** Copies values to the host; all of them by default. */
  read(names?: readonly string[]): Promise<HostTensors>;
  /** On a mesh: copies the box of a value that begins there to the host. @throws one line if no device of this process holds it */
  readPiece?(name: string, start: readonly number[]): Promise<HostTensor>;
  /** Replaces values; shapes and dtypes stay. */
  write(values: HostTensors): Promise<void>;
  close(): Promise<void>;
}

/** One exchange between devices. */
export interface Collective {
  readonly kind: "all-reduce" | "all-gather" | "reduce-scatter" | "all-to-all" | "collective-permute";
  /** Between how many. */
  readonly devices: number;
  /** Of its result, on each device. */
  readonly bytes: number;
  /** Bytes that each device sends, around a ring. */
  readonly sent: number;
}

export interface Program {
  readonly graph: Graph;
  /** Seconds that compiling took so far. */
  readonly compileSeconds: number;
  /**
   * Runs once. Inputs that the state holds by name come from it; outputs named like an entry of the state replace
   * that entry; the other outputs are returned.
   */
  run(inputs: HostTensors, state?: State): Promise<HostTensors>;
  /** Where sizes are compiled when they are met: compiles for those of such inputs, beside what runs. Those of the state need not be named. */
  prepare?(inputs: Readonly<Record<string, TensorType>>): Promise<void>;
  /** On a mesh: what the devices say to each other in a run, as far as it is compiled. */
  collectives?(): readonly Collective[];
  close(): Promise<void>;
}

/** Tensors that are somewhere else and can be read. An engine that keeps what it compiled does not need to. */
export interface StoredTensors {
  readonly types: Readonly<Record<string, TensorType>>;
  /** Equal for equal values: what is kept is kept by it. */
  readonly fingerprint: string;
  /** Those of some names; all by default. */
  read(wanted?: (name: string) => boolean): Promise<HostTensors>;
}

export interface CompileOptions {
  /** Names of inputs that come from a state. @default [] */
  readonly state?: readonly string[];
  /** Inputs whose values never change: baked in, prepacked. @default {} */
  readonly constants?: HostTensors | StoredTensors;
  /**
   * Computes linear layers whose weights are constants in 8 bits: two to three times as fast on processors with 8-bit dot products, a
   * quarter of the memory; features keep a cosine of 0.999 and more with those of float32. Engines that have no such kernels compute in
   * float32. @default none
   */
  readonly quantize?: Quantization;
  /**
   * What matrix products and convolutions compute in. "bfloat16" (XLA): their factors and results are rounded to it, everything else
   * (weights as they are kept, moments, normalisation, softmax, loss) stays float32. "float16" (onnxruntime on WebGPU): the same, and what
   * activates or moves one result stays in it; constants are baked in as halves; features keep a cosine of 0.999 and more with those of
   * float32. An engine, or a device, that has not got it refuses. @default "float32"
   */
  readonly precision?: Precision;
  /**
   * How inputs are split over the engine's mesh, by name, those of the state among them. Others are whole on every device, and so are
   * outputs that are returned. A program without it runs on one device, and so does any on an engine without a mesh. @default none
   */
  readonly shardings?: Shardings;
}

/** By name; what is not named is whole. */
export type Shardings = Readonly<Record<string, Sharding>>;

export type Precision = "float32" | "bfloat16" | "float16";
/** In float16 gradients would vanish. */
export type TrainingPrecision = Exclude<Precision, "float16">;
export type Quantization = "int8";

export const isStored = (constants: HostTensors | StoredTensors): constants is StoredTensors =>
  typeof constants.read === "function";

/** What runs graphs. Engines know nothing of models. */
export interface Engine {
  readonly name: string;
  /** Whether a program of a resizable graph compiles anew for every sizes it meets, which can take a minute: few should be asked for. @default false */
  readonly compilesPerSize?: boolean;
  /** How its devices stand, where it computes on several. */
  readonly mesh?: Mesh;
  /**
   * Of what is split over `data` along its first axis: the part that this process gives a run, where several processes run the same
   * programs on one mesh. @default all
   */
  readonly rows?: { readonly index: number; readonly of: number };
  /** Compiles a graph; the program of a resizable one takes inputs of any sizes that fit together. */
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** @param shardings those of the programs that use it; without, the state is for programs of one device */
  createState(values: StateValues, shardings?: Shardings): Promise<State>;
  close(): Promise<void>;
}

/** What a state begins with: values, which are copied, or such as are made one after the other. */
export type StateValues = Readonly<Record<string, HostTensor | BoxedValue>>;

/**
 * A value that is made or read when the state takes it, whole or, on a mesh, only what the devices of this process hold. Its arrays are
 * taken over, so that no more than one value is ever held twice.
 */
export interface BoxedValue extends TensorType {
  readBox(box: Piece): Promise<HostTensor>;
}

export const isBoxed = (value: HostTensor | BoxedValue): value is BoxedValue => "readBox" in value;

/** One value, whole. */
export const wholeValue = async (value: HostTensor | BoxedValue): Promise<HostTensor> =>
  isBoxed(value) ? value.readBox(wholePiece(value.shape)) : value;

const WHO_HAS = {
  float32: "every engine",
  bfloat16: "the XLA engine",
  float16: "onnxruntime on WebGPU",
} as const satisfies Record<Precision, string>;

/** Refuses what an engine does not compute in. @param has beside float32 */
export function refusePrecision(
  engine: string,
  { precision = "float32" }: CompileOptions,
  has: readonly Precision[] = [],
): void {
  const all: readonly Precision[] = ["float32", ...has];
  if (!all.includes(precision))
    throw new Error(
      `${engine}: computes in ${all.join(" or ")} only, ${precision} was asked for: ${WHO_HAS[precision]} has it`,
    );
}

/**
 * Refuses inputs that the graph does not expect, before they reach native code.
 * @param partsOf of how many equal parts of its rows an input is one. @default 1
 */
export function checkInputs(
  graph: Graph,
  inputs: HostTensors,
  elsewhere: ReadonlySet<string>,
  partsOf: (name: string) => number = () => 1,
): void {
  for (const [i, x] of graph.inputs.entries()) {
    const { name } = x.attrs;
    if (elsewhere.has(name)) continue;
    const given = inputs[name];
    const shape = isResizable(graph) ? freeShape(graph, i) : x.shape;
    const expected = shape.map((size, axis) => (typeof size === "number" && axis === 0 ? size / partsOf(name) : size));
    const type = `${x.dtype}[${expected.join(",")}]`;
    if (!given) throw new Error(`run: input ${name} (${type}) is missing`);
    const fitting =
      given.shape.length === expected.length &&
      expected.every((size, axis) => typeof size === "string" || size === given.shape[axis]);
    if (given.dtype !== x.dtype || !fitting)
      throw new Error(`run: input ${name}: expected ${type}, got ${show(given)}`);
    if (!fits(given.dtype, given.data) || given.data.length !== elements(given.shape))
      throw new Error(
        `run: input ${name}: expected ${elements(given.shape)} elements of ${given.dtype}, got a ${given.data.constructor.name} of ${given.data.length}`,
      );
  }
}

/** The shape of an input, its free sizes by name. */
export function freeShape({ inputs, twin, sizes }: ResizableGraph, input: number): (number | string)[] {
  const there = twin.inputs[input]?.shape ?? [];
  return (inputs[input]?.shape ?? []).map(
    (size, axis) => sizes.find(({ here, twin: other }) => size === here && there[axis] === other)?.name ?? size,
  );
}

/** Refuses a state that lacks what the graph reads of it, or holds something else by that name. */
export function checkState(graph: Graph, state: readonly string[], held: Readonly<Record<string, TensorType>>): void {
  for (const x of graph.inputs) {
    const { name } = x.attrs;
    if (!state.includes(name)) continue;
    const entry = held[name];
    if (!entry) throw new Error(`run: the state has no entry ${name} (${show(x)})`);
    if (entry.dtype !== x.dtype || !sameShape(entry.shape, x.shape))
      throw new Error(`run: state entry ${name}: expected ${show(x)}, got ${show(entry)}`);
  }
}

/**
 * The part of an output list that updates the state, and the part that is returned.
 * Throws where an update is of another type than its entry.
 */
export function splitOutputs(
  graph: Graph,
  state: readonly string[],
): { readonly updated: readonly string[]; readonly returned: readonly string[] } {
  const kept = new Set(state);
  const entries = new Map(graph.inputs.map((x) => [x.attrs.name, x]));
  for (const { name, tensor } of graph.outputs) {
    const entry = kept.has(name) ? entries.get(name) : undefined;
    if (entry && show(entry) !== show(tensor))
      throw new Error(`compile: state entry ${name} is ${show(entry)}, its update is ${show(tensor)}`);
  }
  const names = graph.outputs.map(({ name }) => name);
  return { updated: names.filter((name) => kept.has(name)), returned: names.filter((name) => !kept.has(name)) };
}
