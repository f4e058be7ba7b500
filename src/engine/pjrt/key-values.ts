/**
 * The exchange that a client of several processes asks for when it is created: three functions that XLA's threads call. Each lives in a
 * worker of its own, since koffi runs a callback in the thread that registered it, and the main thread is inside `Client_Create` then.
 */
import { type MessagePort, Worker } from "node:worker_threads";

/** Where keys are asked for by a thread that blocks: requests on the port, the flag changes and is notified with each answer. */
export interface KeyChannel {
  readonly port: MessagePort;
  readonly flag: Int32Array;
}

export interface Processes {
  /** This one, of how many. */
  readonly index: number;
  readonly count: number;
  /** Three. */
  readonly keys: readonly KeyChannel[];
}

export const CALLBACKS = ["get", "put", "tryGet"] as const;
export type CallbackName = (typeof CALLBACKS)[number];

export interface KeyWorkerData extends KeyChannel {
  readonly name: CallbackName;
}

// Sources are run as they are by the tests only; a worker always runs the built file.
const workerUrl = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/engine/pjrt/key-values-worker.js" : "./key-values-worker.js",
  import.meta.url,
);

export interface KeyCallbacks {
  /** Of the functions, as `Client_Create` takes them. */
  readonly addresses: Readonly<Record<CallbackName, bigint>>;
  close(): Promise<void>;
}

export async function startKeyCallbacks({ keys }: Pick<Processes, "keys">): Promise<KeyCallbacks> {
  const started = CALLBACKS.map(async (name, i) => {
    const channel = keys[i];
    if (!channel) throw new Error(`pjrt: expected ${CALLBACKS.length} channels for keys, got ${keys.length}`);
    const workerData: KeyWorkerData = { ...channel, name };
    const worker = new Worker(workerUrl, { workerData, transferList: [channel.port], name: `clip-ts keys ${name}` });
    const address = await new Promise<bigint>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    worker.unref();
    return { name, address, worker };
  });
  const all = await Promise.all(started);
  return {
    addresses: Object.fromEntries(all.map(({ name, address }) => [name, address])) as Record<CallbackName, bigint>,
    close: async () => {
      for (const { worker } of all) await worker.terminate();
    },
  };
}
