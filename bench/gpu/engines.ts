/** In place of the conformance suite's own list, in the bundle: XLA with the plugin that is found. */
import type { Engine } from "../../src/engine/engine.ts";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import { choosePlugin, type PluginPlatform } from "../../src/plugins/index.ts";

/** `cpu` or `cuda`; by default what this machine has a device for. */
const { GPU_BENCH_PLATFORM } = process.env;

export const platform = (["cpu", "cuda", "tpu"] satisfies PluginPlatform[]).find((name) => name === GPU_BENCH_PLATFORM);

export async function createEngine(): Promise<Engine> {
  return createPjrtEngine(await choosePlugin(platform));
}

export const ENGINES = [{ name: "xla", create: createEngine }];
