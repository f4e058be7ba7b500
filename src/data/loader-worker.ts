import { parentPort, workerData } from "node:worker_threads";
import { tokenizerFromJson } from "../tokenizer/index.ts";
import { createBatchMaker } from "./batch.ts";
import type { LoaderOptions } from "./loader-options.ts";
import type { WorkerReply, WorkerRequest } from "./loader-worker-pool.ts";
import { openSource } from "./source-spec.ts";

/** Opens the source the loader described and makes the batches it asks for, one after the other. */
async function serve(options: LoaderOptions): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error("loader-worker is started by the loader, as a worker thread");
  let closing = false;
  const asked: number[] = [];
  let wake = (): void => {};
  port.on("message", (request: WorkerRequest) => {
    if (request.kind === "close") closing = true;
    else asked.push(request.step);
    wake();
  });

  const source = await openSource(options.source);
  const make = createBatchMaker(source, tokenizerFromJson(options.tokenizer), options);
  while (!closing) {
    const step = asked.shift();
    if (step === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      continue;
    }
    try {
      const made = await make(step);
      const { images, tokens, indices } = made.batch;
      port.postMessage({ kind: "made", made } satisfies WorkerReply, [images.buffer, tokens.buffer, indices.buffer]);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      port.postMessage({ kind: "failed", step, message } satisfies WorkerReply);
    }
  }
  source.close?.();
  port.close();
}

await serve(workerData);
