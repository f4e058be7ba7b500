/** The worker thread that calls onnxruntime, as the main thread sees it. */
import { Worker } from "node:worker_threads";
import type { HostTensor } from "../../graph/index.ts";
import { blockOf, blockProbe } from "./channel-blocks.ts";
import { halvesProbe } from "./halves.ts";
import type { Probe } from "./probe.ts";
import type { Answer, CallName, Calls, ExecutionProvider, Request, WorkerOptions } from "./protocol.ts";

/** Sources run under the test runner use the built worker. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/engine/onnx/onnx-worker.js" : "./onnx-worker.js",
  import.meta.url,
);

/** Calls into the worker, answered in order. */
export class Channel {
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
