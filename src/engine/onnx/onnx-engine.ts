import { availableParallelism } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../../cache/index.ts";
import type { Engine } from "../engine.ts";
import { Channel } from "./channel.ts";
import { compiledCache } from "./compiled-cache.ts";
import { compileProgram } from "./onnx-program.ts";
import { createState } from "./onnx-state.ts";
import type { ExecutionProvider } from "./protocol.ts";
import { leaveTelemetryOff } from "./telemetry.ts";

export interface OnnxEngineOptions {
  /** @default "cpu" */
  readonly executionProvider?: ExecutionProvider;
  /** Threads of one kernel. @default the machine's cores */
  readonly threads?: number;
  /** Where programs with stored constants are kept compiled; false keeps none. On the CPU only. @default `compiled` in `cacheFolder()` */
  readonly cache?: string | false;
}

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
    compile: (graph, options) => compileProgram(channel, graph, options, kept),
    createState: (values) => createState(channel, values),
    close: () => channel.close(),
  };
}
