import { type Graph, isResizable, resize, sizesOf, type Tensor, type TensorType } from "../../graph/index.ts";
import {
  type CompileOptions,
  checkInputs,
  checkState,
  type HostTensors,
  isStored,
  type Program,
  splitOutputs,
} from "../engine.ts";
import type { DeviceBuffer } from "./client.ts";
import type { Executable } from "./executable.ts";
import { checkIndices, type IndexChecks, indexChecks, refuseIndex } from "./index-ranges.ts";
import { PjrtState } from "./pjrt-state.ts";
import { mustBeOpen, type Runtime } from "./runtime.ts";
import { decomposed, lower } from "./stablehlo/lower.ts";

/** A graph of static sizes, compiled. */
interface Compiled {
  readonly executable: Executable;
  /** Arguments in order. */
  readonly inputs: readonly string[];
  /** Results in order; behind them come the ranges of unchecked indices. */
  readonly outputs: readonly { readonly name: string; readonly type: TensorType }[];
  readonly checks: IndexChecks;
  readonly seconds: number;
}

/** What a run takes its arguments from. */
interface Sources {
  readonly inputs: HostTensors;
  readonly uploaded: ReadonlyMap<string, DeviceBuffer>;
  readonly constants: ReadonlyMap<string, DeviceBuffer>;
  readonly state: PjrtState | undefined;
}

export async function compileProgram(runtime: Runtime, graph: Graph, options: CompileOptions = {}): Promise<Program> {
  mustBeOpen(runtime);
  const { client, queue, holders } = runtime;
  const { state = [] } = options;
  const { updated } = splitOutputs(graph, state);
  const names = graph.inputs.map((x) => x.attrs.name);
  const given = await constantsOf(graph, options);
  const elsewhere = new Set([...state, ...Object.keys(given)]);
  const needsState = updated.length > 0 || names.some((name) => state.includes(name));

  // Sizes share the constants: they are arguments that stay on the device, not text of the programs.
  const constants = new Map(Object.entries(given).map(([name, value]) => [name, client.upload(value)]));
  const programs = new Map<string, Promise<Compiled>>();
  let seconds = 0;
  const sized = (inputs: HostTensors): Promise<Compiled> => {
    const sizes = isResizable(graph) ? sizesOf(graph, (name) => (inputs[name] ?? given[name])?.shape) : [];
    const known = programs.get(sizes.join());
    if (known) return known;
    const program = compileGraph(runtime, isResizable(graph) ? resize(graph, sizes) : graph, {
      ...options,
      state,
      updated,
      given,
    });
    programs.set(sizes.join(), program);
    program.then(
      (made) => {
        seconds += made.seconds;
      },
      () => programs.delete(sizes.join()),
    );
    return program;
  };

  const executables: Executable[] = [];
  let open = true;
  const holder = {
    release: (): void => {
      open = false;
      for (const executable of executables.splice(0)) executable.destroy();
      for (const buffer of constants.values()) client.destroy(buffer);
      constants.clear();
      holders.delete(holder);
    },
  };
  holders.add(holder);
  const made = async (inputs: HostTensors): Promise<Compiled> => {
    const program = await sized(inputs);
    if (!executables.includes(program.executable)) executables.push(program.executable);
    return program;
  };
  if (!isResizable(graph)) await made({});

  return {
    graph,
    get compileSeconds() {
      return seconds;
    },
    run: async (inputs, from) => {
      mustBeOpen(runtime);
      if (!open) throw new Error("run: the program is closed");
      checkInputs(graph, inputs, elsewhere);
      const held = from instanceof PjrtState && from.client === client ? from : undefined;
      if (needsState && !held) throw new Error("run: this program needs a state of its engine");
      checkState(graph, state, held?.types ?? {});
      // Copied now: the caller's arrays may change while the run waits for its turn.
      const uploaded = new Map<string, DeviceBuffer>();
      for (const name of names) {
        const value = inputs[name];
        if (value && !elsewhere.has(name)) uploaded.set(name, client.upload(value));
      }
      try {
        const sources = { inputs, uploaded, constants, state: held };
        const { results } = await queue.run(async () => start(runtime, await made(inputs), sources, updated));
        return await results;
      } finally {
        for (const buffer of uploaded.values()) client.destroy(buffer);
      }
    },
    close: async () => {
      open = false;
      await queue.idle();
      if (runtime.open) holder.release();
    },
  };
}

async function constantsOf(graph: Graph, { state = [], constants = {} }: CompileOptions): Promise<HostTensors> {
  const values = isStored(constants) ? await constants.read() : constants;
  const names = graph.inputs.map((x) => x.attrs.name);
  checkInputs(graph, values, new Set(names.filter((name) => !Object.hasOwn(values, name))));
  return Object.fromEntries(
    names.flatMap((name) => (values[name] && !state.includes(name) ? [[name, values[name]]] : [])),
  );
}

interface GraphOptions extends CompileOptions {
  readonly state: readonly string[];
  readonly updated: readonly string[];
  readonly given: HostTensors;
}

async function compileGraph(
  { client, compile, flags }: Runtime,
  graph: Graph,
  { state, updated, given, precision = "float32" }: GraphOptions,
): Promise<Compiled> {
  const begun = performance.now();
  const plain = decomposed(graph);
  const checks = indexChecks(plain, (name) => !state.includes(name));
  checkIndices(checks, given);
  const { module, inputs, outputs } = lower(plain, {
    precision,
    platform: client.platform,
    updated,
    unchecked: checks.unchecked,
  });
  const executable = await compile(module, { flags });
  const types = new Map<string, Tensor>(plain.outputs.map(({ name, tensor }) => [name, tensor]));
  return {
    executable,
    inputs,
    outputs: outputs.map((name) => {
      const { dtype = "f32", shape = [] } = types.get(name) ?? {};
      return { name, type: { dtype, shape } };
    }),
    checks,
    seconds: (performance.now() - begun) / 1000,
  };
}

/** Starts a run: its updates are the state's at once, its results come when they are computed. */
function start(
  { client }: Runtime,
  { executable, inputs, outputs, checks }: Compiled,
  { inputs: values, uploaded, constants, state }: Sources,
  updated: readonly string[],
) {
  checkIndices(checks, values);
  const argumentsOf = inputs.map((name) => {
    const buffer = uploaded.get(name) ?? constants.get(name) ?? state?.entry(name);
    if (!buffer) throw new Error(`run: input ${name} is missing`);
    return buffer;
  });
  const changes = updated.length > 0;
  if (changes) state?.check();
  const { outputs: lists, done } = (() => {
    try {
      return executable.execute([argumentsOf.map(({ handle }) => handle)]);
    } catch (error) {
      // Refused before it began, or after it had taken what it updates in place.
      const taken = updated.some((name) => inputs.includes(name) && state && client.donated(state.entry(name)));
      if (taken) state?.lose(error instanceof Error ? error.message : String(error));
      throw error;
    }
  })();
  const [handles = []] = lists;
  const buffers = handles.map((handle, i): DeviceBuffer => ({ handle, type: outputs[i]?.type ?? RANGE }));
  const returned = new Map<string, DeviceBuffer>();
  for (const [i, { name }] of outputs.entries()) {
    const buffer = buffers[i];
    if (!buffer) continue;
    if (updated.includes(name)) state?.replace(name, buffer);
    else returned.set(name, buffer);
  }
  const ranges = buffers.slice(outputs.length);

  const ended = Promise.all(done.map((event) => client.plugin.settled(event))).then(() => undefined);
  const judged = async (): Promise<void> => {
    await ended;
    for (const [i, range] of ranges.entries()) {
      const { data } = await client.download(range);
      refuseIndex(checks.unchecked[i], data[0] ?? 0, data[1] ?? 0);
    }
  };
  const results = async (): Promise<HostTensors> => {
    try {
      await (changes && state ? state.judge(judged) : judged());
      const found = await Promise.all(
        [...returned].map(async ([name, buffer]) => [name, await client.download(buffer)] as const),
      );
      return Object.fromEntries(found);
    } finally {
      for (const buffer of [...returned.values(), ...ranges]) client.destroy(buffer);
    }
  };
  return { done: ended, results: results() };
}

const RANGE: TensorType = { dtype: "i32", shape: [2] };
