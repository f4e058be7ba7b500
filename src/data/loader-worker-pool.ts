import { Worker } from "node:worker_threads";
import type { MadeBatch } from "./batch.ts";
import type { LoaderOptions } from "./loader-options.ts";

export type WorkerRequest = { readonly kind: "make"; readonly step: number } | { readonly kind: "close" };
export type WorkerReply =
  | { readonly kind: "made"; readonly made: MadeBatch }
  | { readonly kind: "failed"; readonly step: number; readonly message: string };

export interface WorkerPool {
  /** Makes a batch in the worker with the least to do. */
  make(step: number): Promise<MadeBatch>;
  /** Lets the workers finish what they are at and ends them; whatever else was asked for is rejected. */
  close(): Promise<void>;
}

// Sources are run as they are by the tests only; a worker always runs the built file.
const workerUrl = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/data/loader-worker.js" : "./loader-worker.js",
  import.meta.url,
);

interface Waiting {
  readonly resolve: (made: MadeBatch) => void;
  readonly reject: (error: Error) => void;
}

interface Member {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting[]>;
  readonly ended: Promise<void>;
}

/** How long a worker that is asked to end may take over its last picture. */
const closeTimeoutMs = 5000;

export function startWorkerPool(options: LoaderOptions, count: number): WorkerPool {
  let failure: Error | undefined;
  const members = Array.from({ length: count }, (_, i) => startMember(options, i, (error) => fail(error)));

  /** One worker that dies takes the loader with it: its batches would be missing. */
  function fail(error: Error): void {
    failure ??= error;
    for (const { waiting } of members) {
      for (const waiters of waiting.values()) for (const { reject } of waiters) reject(failure);
      waiting.clear();
    }
  }

  return {
    make(step) {
      if (failure) return Promise.reject(failure);
      const [member] = members.toSorted((a, b) => a.waiting.size - b.waiting.size);
      if (!member) return Promise.reject(new Error("loader: expected at least one worker, got none"));
      return new Promise((resolve, reject) => {
        member.waiting.set(step, [...(member.waiting.get(step) ?? []), { resolve, reject }]);
        member.worker.postMessage({ kind: "make", step } satisfies WorkerRequest);
      });
    },
    async close() {
      fail(new Error("loader: closed"));
      for (const { worker } of members) worker.postMessage({ kind: "close" } satisfies WorkerRequest);
      await Promise.all(members.map(endMember));
    },
  };
}

function startMember(options: LoaderOptions, number: number, onFailure: (error: Error) => void): Member {
  const worker = new Worker(workerUrl, { workerData: options, name: `clip-ts loader ${number}` });
  const waiting: Member["waiting"] = new Map();
  const take = (step: number): Waiting | undefined => {
    const waiters = waiting.get(step);
    const first = waiters?.shift();
    if (waiters?.length === 0) waiting.delete(step);
    return first;
  };
  worker.on("message", (reply: WorkerReply) => {
    if (reply.kind === "made") take(reply.made.batch.step)?.resolve(reply.made);
    else take(reply.step)?.reject(new Error(reply.message));
  });
  worker.on("error", (error) => onFailure(new Error(`loader: worker ${number} failed: ${error.message}`)));
  const ended = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      onFailure(new Error(`loader: worker ${number} ended with code ${code}`));
      resolve();
    });
  });
  return { worker, waiting, ended };
}

async function endMember({ worker, ended }: Member): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<"timeout">((resolve) => {
    timer = setTimeout(() => resolve("timeout"), closeTimeoutMs);
  });
  if ((await Promise.race([ended, timeout])) === "timeout") await worker.terminate();
  clearTimeout(timer);
}
