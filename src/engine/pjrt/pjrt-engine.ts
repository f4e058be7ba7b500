/** XLA by way of a PJRT plugin: CPUs, GPUs, TPUs. */
import { join } from "node:path";
import { cacheFolder } from "../../cache/index.ts";
import { checkMesh, type Mesh, meshSize } from "../../graph/index.ts";
import type { Engine } from "../engine.ts";
import { Client } from "./client.ts";
import type { XlaOptions } from "./compile-options.ts";
import { type Compile, cachedCompile } from "./executable-cache.ts";
import { gridOf, gridOfOne } from "./grid.ts";
import { type KeyCallbacks, type Processes, startKeyCallbacks } from "./key-values.ts";
import { compileProgram } from "./pjrt-program.ts";
import { PjrtState } from "./pjrt-state.ts";
import { loadPlugin, type NamedValue, type Plugin } from "./plugin.ts";
import { RunQueue } from "./run-queue.ts";
import { during, type Runtime } from "./runtime.ts";

export interface PjrtEngineOptions {
  /** The plugin's file: a shared library with `GetPjrtApi`. */
  readonly plugin: string;
  /** Libraries that the plugin needs, by their full paths, opened before it. @default [] */
  readonly preload?: readonly string[];
  /** What the client is created with, as the plugin has it. @default none; where it is a CPU, one device */
  readonly options?: Readonly<Record<string, NamedValue>>;
  /** XLA's own flags, without dashes. @default none */
  readonly flags?: XlaOptions["flags"];
  /** Where compiled programs are kept, where the plugin can write them; false keeps none. Of one process alone. @default `executables` in `cacheFolder()` */
  readonly cache?: string | false;
  /** How the devices stand, for programs that span them. @default one device */
  readonly mesh?: Mesh;
  /** The processes whose devices the mesh spans, where the plugin joins them (NVIDIA GPUs). @default this one alone */
  readonly processes?: Processes;
}

/** One run that computes and one that follows without a pause; each holds its activations. CPU plugins block beyond 32. */
const RUNS_AHEAD = 2;

/** @throws one line: where the plugin cannot be opened, or finds no device */
export async function createPjrtEngine(engineOptions: PjrtEngineOptions): Promise<Engine> {
  const { plugin, preload, flags = {}, cache = join(cacheFolder(), "executables"), mesh } = engineOptions;
  if (mesh) checkMesh(mesh);
  const callbacks = engineOptions.processes && (await startKeyCallbacks(engineOptions.processes));
  const client = createClient(await loadPlugin(plugin, preload), engineOptions, callbacks?.addresses);
  const grid = mesh && gridOf(client, mesh);
  // Processes compile together, and GPUs' exchange what they tuned: one that finds its program would leave the others waiting.
  const kept = (engineOptions.processes?.count ?? 1) === 1 && cache;
  const compile: Compile =
    kept === false ? (module, settings) => client.compile(module, settings) : cachedCompile(client, kept);
  const queue = new RunQueue(RUNS_AHEAD);
  const calls: Runtime["calls"] = new Set();
  const runtime: Runtime = {
    client,
    compile,
    queue,
    flags,
    holders: new Set(),
    calls,
    open: true,
    ...(grid && { grid }),
  };
  return {
    name: `pjrt ${client.platform}`,
    compilesPerSize: true,
    ...(grid && { mesh: grid.mesh, rows: grid.rows }),
    compile: (graph, compileOptions) => during(runtime, () => compileProgram(runtime, graph, compileOptions)),
    createState: (values, shardings) =>
      during(runtime, () =>
        PjrtState.create(runtime, (shardings && grid) ?? gridOfOne(client.first), values, shardings),
      ),
    close: async () => {
      if (!runtime.open) return;
      runtime.open = false;
      await Promise.allSettled(runtime.calls);
      await runtime.queue.idle();
      for (const holder of runtime.holders) holder.release();
      client.close();
      await callbacks?.close();
    },
  };
}

function createClient(
  plugin: Plugin,
  { options, mesh = {}, processes }: PjrtEngineOptions,
  keys?: KeyCallbacks["addresses"],
): Client {
  if (processes) {
    const { index, count } = processes;
    const refused = (why: string) =>
      new Error(`pjrt: ${plugin.path} does not join the devices of several processes: ${why}`);
    let client: Client;
    try {
      client = new Client(plugin, { node_id: index, num_nodes: count, ...options }, keys);
    } catch (error) {
      // A plugin that has no such options, as that for CPUs.
      throw refused(error instanceof Error ? error.message : String(error));
    }
    if (client.ids.length > client.devices.length || count === 1) return client;
    client.close();
    throw refused(`it sees its own ${client.devices.length} alone`);
  }
  const client = new Client(plugin, options);
  // A CPU plugin makes any number of devices of one machine, for programs that span them.
  if (options || client.platform !== "cpu" || client.devices.length === meshSize(mesh)) return client;
  client.close();
  return new Client(plugin, { cpu_device_count: meshSize(mesh) });
}
