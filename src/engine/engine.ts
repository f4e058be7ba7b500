import { type Graph, type HostTensor, sameShape, show } from "../graph/index.ts";

/** Named tensors in the host's memory. */
export type HostTensors = Readonly<Record<string, HostTensor>>;

/**
 * Values that stay where the engine computes (parameters, moments, step) and go from one run into the next.
 * Runs of one engine are queued, so that a state is never read while it changes.
 */
export interface State {
  readonly names: readonly string[];
  /** Copies values to the host; all of them by default. */
  read(names?: readonly string[]): Promise<HostTensors>;
  /** Replaces values; shapes and dtypes stay. */
  write(values: HostTensors): Promise<void>;
  close(): Promise<void>;
}

export interface Program {
  readonly graph: Graph;
  /** Seconds that compiling took. */
  readonly compileSeconds: number;
  /**
   * Runs once. Inputs that the state holds by name come from it; outputs named like an entry of the state replace
   * that entry; the other outputs are returned.
   */
  run(inputs: HostTensors, state?: State): Promise<HostTensors>;
  close(): Promise<void>;
}

export interface CompileOptions {
  /** Names of inputs that come from a state. @default [] */
  readonly state?: readonly string[];
  /** Inputs whose values never change: baked in, prepacked. @default {} */
  readonly constants?: HostTensors;
}

/** What runs graphs. Engines know nothing of models. */
export interface Engine {
  readonly name: string;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  createState(values: HostTensors): Promise<State>;
  close(): Promise<void>;
}

/** Refuses inputs that the graph does not expect, before they reach native code. */
export function checkInputs(graph: Graph, inputs: HostTensors, elsewhere: ReadonlySet<string>): void {
  for (const x of graph.inputs) {
    const { name } = x.attrs;
    if (elsewhere.has(name)) continue;
    const given = inputs[name];
    if (!given) throw new Error(`run: input ${name} (${show(x)}) is missing`);
    if (given.dtype !== x.dtype || !sameShape(given.shape, x.shape))
      throw new Error(`run: input ${name}: expected ${show(x)}, got ${show(given)}`);
  }
}

/** The part of an output list that updates the state, and the part that is returned. */
export function splitOutputs(
  graph: Graph,
  state: readonly string[],
): { readonly updated: readonly string[]; readonly returned: readonly string[] } {
  const kept = new Set(state);
  const names = graph.outputs.map(({ name }) => name);
  return { updated: names.filter((name) => kept.has(name)), returned: names.filter((name) => !kept.has(name)) };
}
