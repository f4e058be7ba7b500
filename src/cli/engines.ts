import { availableParallelism } from "node:os";
import { Option } from "commander";
import type { Engine } from "../engine/engine.ts";
import type { Mesh } from "../graph/index.ts";
import type { NodeGroup } from "../nodes/index.ts";
import type { PluginPlatform } from "../plugins/index.ts";

/** What `--engine` takes. */
export const ENGINES = ["onnx", "onnx-webgpu", "xla", "xla-cpu", "xla-cuda", "xla-tpu", "reference"] as const;
export type EngineName = (typeof ENGINES)[number];

export const engineOption = (): Option =>
  new Option("--engine <name>", "what computes; clip-ts doctor says which work here")
    .choices(ENGINES)
    .default("onnx" satisfies EngineName);

/** The plugin that an engine needs: any with a device here, or one for a platform. */
const PLUGIN: Readonly<Partial<Record<EngineName, { readonly platform?: PluginPlatform }>>> = {
  xla: {},
  "xla-cpu": { platform: "cpu" },
  "xla-cuda": { platform: "cuda" },
  "xla-tpu": { platform: "tpu" },
};

/** For engines of several devices. */
export interface SpreadOptions {
  /** @default one device */
  readonly mesh?: Mesh | undefined;
  /** The processes whose devices the mesh spans. @default this one alone */
  readonly group?: NodeGroup | undefined;
}

/** Whether an engine computes on several devices. */
export const hasMesh = (name: EngineName): boolean => PLUGIN[name] !== undefined;

/**
 * For the beginning of a command: where XLA is to compute on the CPU, or onnxruntime is to train there, the process starts once more, so
 * that memory is kept from run to run.
 */
export async function prepareProcess(name: EngineName, trains: boolean): Promise<void> {
  if (!(trains && name === "onnx") && !(await isXlaOnCpu(name))) return;
  const { restartKeepingMemory } = await import("../engine/pjrt/kept-memory.ts");
  await restartKeepingMemory();
}

/** More batches than this ahead, of 150 MB for a thousand pictures, are not kept unless asked for. */
const MOST_LOADERS = 16;

/** Threads that make batches unless told otherwise: one where the CPU computes, which wants the cores for that, else what there are. */
export async function loaderThreads(name: EngineName): Promise<number> {
  const isOnCpu = name === "onnx" || name === "reference" || (await isXlaOnCpu(name));
  return isOnCpu ? 1 : Math.min(MOST_LOADERS, Math.max(1, availableParallelism() - 1));
}

async function isXlaOnCpu(name: EngineName): Promise<boolean> {
  const wanted = PLUGIN[name];
  if (!wanted) return false;
  const { choosePlugin } = await import("../plugins/index.ts");
  const plugin = await choosePlugin(wanted.platform).catch(() => undefined); // the command says what is missing
  return plugin?.platform === "cpu";
}

/**
 * @param threads of the CPU; the machine's cores by default
 * @throws one line that says what is missing
 */
export async function createEngine(
  name: EngineName,
  threads?: number,
  { mesh, group }: SpreadOptions = {},
): Promise<Engine> {
  if (name === "reference") {
    const { createReferenceEngine } = await import("../engine/reference/reference-engine.ts");
    return createReferenceEngine();
  }
  const wanted = PLUGIN[name];
  if (wanted) {
    const { choosePlugin } = await import("../plugins/index.ts");
    const { createPjrtEngine } = await import("../engine/pjrt/pjrt-engine.ts");
    const plugin = await choosePlugin(wanted.platform);
    // XLA's CPU client has no option for it, but reads this variable.
    if (threads !== undefined) process.env.NPROC = String(threads);
    return createPjrtEngine({
      ...plugin,
      ...(mesh && { mesh }),
      ...(group && {
        processes: { index: group.node, count: group.nodes, keys: Array.from({ length: 3 }, group.blockingChannel) },
      }),
    });
  }
  const { createOnnxEngine } = await import("../engine/onnx/onnx-engine.ts");
  const executionProvider = name === "onnx-webgpu" ? "webgpu" : "cpu";
  return createOnnxEngine({ executionProvider, ...(threads === undefined ? {} : { threads }) });
}
