import {
  type Graph,
  isResizable,
  resize,
  type Sharding,
  sizesOf,
  type Tensor,
  type TensorType,
  WHOLE,
} from "../../graph/index.ts";
import {
  type CompileOptions,
  checkInputs,
  checkState,
  type HostTensors,
  isStored,
  type Program,
  refusePrecision,
  type Shardings,
  type State,
  splitOutputs,
} from "../engine.ts";
import { collectivesOf } from "./collectives.ts";
import type { Executable } from "./executable.ts";
import {
  type Grid,
  gather,
  gridOfOne,
  isSplitByRows,
  piecesOn,
  type Spread,
  shardyMesh,
  shardyText,
  spread,
} from "./grid.ts";
import { checkIndices, type IndexChecks, indexChecks, refuseIndex } from "./index-ranges.ts";
import { PjrtState } from "./pjrt-state.ts";
import { during, type Runtime } from "./runtime.ts";
import { decomposed, type LowerOptions, lower } from "./stablehlo/lower.ts";

/** A graph of static sizes, compiled. */
interface Compiled {
  readonly executable: Executable;
  /** Arguments in order. */
  readonly inputs: readonly string[];
  /** Results in order; behind them come the ranges of unchecked indices. */
  readonly outputs: readonly { readonly name: string; readonly type: TensorType; readonly sharding: Sharding }[];
  readonly checks: IndexChecks;
  readonly seconds: number;
}

/** What a run takes its arguments from. */
interface Sources {
  readonly inputs: HostTensors;
  readonly uploaded: ReadonlyMap<string, Spread>;
  readonly constants: ReadonlyMap<string, Spread>;
  readonly state: PjrtState | undefined;
}

export async function compileProgram(runtime: Runtime, graph: Graph, options: CompileOptions = {}): Promise<Program> {
  const { client, queue, holders } = runtime;
  refusePrecision(`pjrt ${client.platform}`, options, ["bfloat16"]);
  const { state = [], shardings = {} } = options;
  const grid = (options.shardings && runtime.grid) ?? gridOfOne(client.first);
  const rowsOf = (name: string): Grid["rows"] | undefined =>
    isSplitByRows(shardings[name] ?? WHOLE) ? grid.rows : undefined;
  const { updated } = splitOutputs(graph, state);
  const names = graph.inputs.map((x) => x.attrs.name);
  const given = await constantsOf(graph, options);
  const elsewhere = new Set([...state, ...Object.keys(given)]);
  const needsState = updated.length > 0 || names.some((name) => state.includes(name));

  // Sizes share the constants: they are arguments that stay on the device, not text of the programs.
  const constants = new Map(
    Object.entries(given).map(([name, value]) => [name, spread(client, grid, value, shardings[name])]),
  );
  const programs = new Map<string, Promise<Compiled>>();
  let seconds = 0;
  const sized = (inputs: Readonly<Record<string, TensorType>>): Promise<Compiled> => {
    const sizes = isResizable(graph) ? sizesOf(graph, (name) => (inputs[name] ?? given[name])?.shape) : [];
    const known = programs.get(sizes.join());
    if (known) return known;
    const program = compileGraph(runtime, grid, isResizable(graph) ? resize(graph, sizes) : graph, {
      ...options,
      state,
      updated,
      given,
    });
    programs.set(sizes.join(), program);
    program.then(
      (made) => {
        seconds += made.seconds;
        executables.push(made.executable);
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
      for (const { pieces } of constants.values()) for (const piece of pieces) client.destroy(piece);
      constants.clear();
      holders.delete(holder);
    },
  };
  holders.add(holder);
  if (!isResizable(graph)) await sized({});

  const run = async (inputs: HostTensors, from: State | undefined): Promise<HostTensors> => {
    if (!open) throw new Error("run: the program is closed");
    checkInputs(graph, inputs, elsewhere, (name) => rowsOf(name)?.of ?? 1);
    const held = from instanceof PjrtState && from.client === client ? from : undefined;
    if (needsState && !held) throw new Error("run: this program needs a state of its engine");
    checkState(graph, state, held?.types ?? {});
    if (held && needsState) checkSpread(held, grid, state, shardings);
    // Copied now: the caller's arrays may change while the run waits for its turn.
    const uploaded = new Map<string, Spread>();
    for (const name of names) {
      const value = inputs[name];
      if (value && !elsewhere.has(name)) uploaded.set(name, spread(client, grid, value, shardings[name], rowsOf(name)));
    }
    try {
      const sources = { inputs, uploaded, constants, state: held };
      const { results } = await queue.run(async () => start(runtime, grid, await sized(inputs), sources, updated));
      return await results;
    } finally {
      for (const { pieces } of uploaded.values()) for (const piece of pieces) client.destroy(piece);
    }
  };

  return {
    graph,
    get compileSeconds() {
      return seconds;
    },
    run: (inputs, from) => during(runtime, () => run(inputs, from)),
    prepare: (inputs) =>
      during(runtime, async () => {
        if (open) await sized(inputs);
      }),
    collectives: () => executables.flatMap((made) => collectivesOf(made.optimized(), grid.ids.length)),
    close: async () => {
      open = false;
      await Promise.allSettled(programs.values());
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
  grid: Grid,
  graph: Graph,
  { state, updated, given, precision = "float32", shardings = {} }: GraphOptions,
): Promise<Compiled> {
  const begun = performance.now();
  const isSpread = grid.ids.length > 1;
  const plain = decomposed(graph, isSpread, client.platform);
  const checks = indexChecks(plain, (name) => !state.includes(name));
  checkIndices(checks, given);
  const types = new Map<string, Tensor>(plain.outputs.map(({ name, tensor }) => [name, tensor]));
  const kept = (name: string): Sharding => (updated.includes(name) ? shardings[name] : undefined) ?? WHOLE;
  const { module, inputs, outputs } = lower(plain, {
    ...(isSpread &&
      spreadOptions(grid, plain, shardings, (name) => shardyText(kept(name), types.get(name)?.shape.length ?? 1))),
    precision,
    platform: client.platform,
    updated,
    unchecked: checks.unchecked,
  });
  const { ids, devices } = grid;
  const many = { partitions: ids.length, spmd: true, shardy: true, devices: [ids], local: devices.length };
  const executable = await compile(module, { flags, ...(isSpread && many) });
  return {
    executable,
    inputs,
    outputs: outputs.map((name) => {
      const { dtype = "f32", shape = [] } = types.get(name) ?? {};
      return { name, type: { dtype, shape }, sharding: kept(name) };
    }),
    checks,
    seconds: (performance.now() - begun) / 1000,
  };
}

/** Starts a run: its updates are the state's at once, its results come when they are computed. */
function start(
  { client }: Runtime,
  grid: Grid,
  { executable, inputs, outputs, checks }: Compiled,
  { inputs: values, uploaded, constants, state }: Sources,
  updated: readonly string[],
) {
  checkIndices(checks, values);
  const argumentsOf = inputs.map((name) => {
    const value = uploaded.get(name) ?? constants.get(name) ?? state?.entry(name);
    if (!value) throw new Error(`run: input ${name} is missing`);
    return value.pieces;
  });
  const changes = updated.length > 0;
  if (changes) state?.check();
  const { outputs: lists, done } = (() => {
    try {
      return executable.execute(grid.devices.map((_, i) => argumentsOf.map((pieces) => pieces[i]?.handle ?? 0n)));
    } catch (error) {
      // Refused before it began, or after it had taken what it updates in place.
      const taken = updated.some(
        (name) => inputs.includes(name) && state?.entry(name).pieces.some((piece) => client.donated(piece)),
      );
      if (taken) state?.lose(error instanceof Error ? error.message : String(error));
      throw error;
    }
  })();
  const results = (lists[0] ?? []).map((_, i): Spread => {
    const { type, sharding } = outputs[i] ?? RANGE;
    const places = piecesOn(grid, type.shape, sharding);
    const pieces = lists.map((handles, device) => ({
      handle: handles[i] ?? 0n,
      type: { dtype: type.dtype, shape: places[device]?.shape ?? type.shape },
    }));
    return { type, sharding, pieces };
  });
  const returned = new Map<string, Spread>();
  for (const [i, { name }] of outputs.entries()) {
    const result = results[i];
    if (!result) continue;
    if (updated.includes(name)) state?.replace(name, result);
    else returned.set(name, result);
  }
  const ranges = results.slice(outputs.length);

  const ended = inTurn(done, (event) => client.plugin.settled(event));
  const judged = async (): Promise<void> => {
    await ended;
    for (const [i, range] of ranges.entries()) {
      const { data } = await gather(client, grid, range);
      refuseIndex(checks.unchecked[i], data[0] ?? 0, data[1] ?? 0);
    }
  };
  const downloaded = async (): Promise<HostTensors> => {
    try {
      await (changes && state ? state.judge(judged) : judged());
      const found = await Promise.all(
        [...returned].map(async ([name, result]) => [name, await gather(client, grid, result)] as const),
      );
      return Object.fromEntries(found);
    } finally {
      for (const { pieces } of [...returned.values(), ...ranges]) for (const piece of pieces) client.destroy(piece);
    }
  };
  return { done: ended, results: downloaded() };
}

/** Each after the other, so that a run has one thread waiting, not one a device; the first failure once all are through. */
async function inTurn<T>(items: readonly T[], wait: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await wait(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

const RANGE = { type: { dtype: "i32", shape: [2] }, sharding: WHOLE } as const;

/** What makes a program one of several devices: the mesh, and how arguments, results and placed tensors lie on it. */
function spreadOptions(
  { mesh }: Grid,
  { inputs }: Graph,
  shardings: Shardings,
  result: (name: string) => string,
): Pick<LowerOptions, "attributes" | "placement" | "declarations"> {
  const ranks = new Map(inputs.map((x) => [x.attrs.name, x.shape.length]));
  return {
    declarations: [shardyMesh(mesh)],
    placement: shardyText,
    attributes: {
      input: (name) => `sdy.sharding = #sdy.sharding${shardyText(shardings[name] ?? WHOLE, ranks.get(name) ?? 0)}`,
      output: (name) => `sdy.sharding = #sdy.sharding${result(name)}`,
    },
  };
}

/** Refuses a state that is split otherwise than the program wants it. */
function checkSpread(held: PjrtState, grid: Grid, names: readonly string[], shardings: Shardings): void {
  if (held.grid.ids.join() !== grid.ids.join())
    throw new Error(`run: the state is on ${held.grid.ids.length} devices, the program on ${grid.ids.length}`);
  for (const name of names) {
    const { sharding, type } = held.entry(name);
    const [is, wanted] = [sharding, shardings[name] ?? WHOLE].map((s) => shardyText(s, type.shape.length));
    if (is !== wanted) throw new Error(`run: state entry ${name} is split as ${is}, the program expects ${wanted}`);
  }
}
