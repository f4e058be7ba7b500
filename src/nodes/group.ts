/** Several processes that train together: keys that all see, places where all wait for each other, and the end of all if one dies. */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { NodesHeard, NodesOptions, NodesPort, NodesReply, NodesRequest } from "./protocol.ts";

export interface NodeGroup {
  readonly node: number;
  readonly nodes: number;
  /**
   * Rejects with one line when another node dies or fails, or cannot be reached; never resolves. Where this thread is blocked for longer than a node may be silent,
   * as in starting a collective with one that is gone, the process is killed.
   */
  readonly lost: Promise<never>;
  /** @throws one line if the key holds something else already */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Waits for the key. @throws one line if it is not there in time */
  get(key: string, timeoutMs: number): Promise<Uint8Array>;
  /** Waits until all nodes are at a place of that name. */
  barrier(name: string): Promise<void>;
  /** A channel for a thread that blocks while it waits for an answer: requests go out on the port, the flag changes with each answer. */
  blockingChannel(): { readonly port: MessagePort; readonly flag: Int32Array };
  /** Waits for all and ends; nothing may be asked afterwards. */
  leave(): Promise<void>;
  /** Ends, and tells the others why they must. */
  fail(reason: string): Promise<void>;
}

/** `HOST:PORT`, an IPv6 address in brackets. @throws one line */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535 || Number(port) < 1)
    throw new Error(`coordinator: expected HOST:PORT, got ${text}`);
  return { host, port: Number(port) };
}

// Sources are run as they are by the tests only; a worker always runs the built file.
const workerUrl = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/nodes/nodes-worker.js" : "./nodes-worker.js",
  import.meta.url,
);

/** @throws one line: who is missing, or why the coordinator refuses */
export async function joinNodes(options: NodesOptions): Promise<NodeGroup> {
  const worker = new Worker(workerUrl, { workerData: options, name: "clip-ts nodes" });
  const questions = new Map<number, { resolve(value: Uint8Array | undefined): void; reject(error: Error): void }>();
  let [last, ended, leaving] = [0, false, false];
  let lose = (_: Error): void => {};
  const lost = new Promise<never>((_, reject) => {
    lose = reject;
  });
  lost.catch(() => {}); // whoever waits for it hears of it
  const end = (reason: string): void => {
    ended = true;
    if (!leaving) lose(new Error(reason));
    for (const { reject } of questions.values()) reject(new Error(reason));
    questions.clear();
  };
  await new Promise<void>((resolve, reject) => {
    worker.on("message", (reply: NodesReply) => {
      if (reply.kind === "joined") resolve();
      else if (reply.kind === "lost") {
        worker.postMessage({ kind: "heard" } satisfies NodesHeard);
        end(reply.reason);
      } else {
        const question = questions.get(reply.id);
        questions.delete(reply.id);
        if (reply.kind === "failure") question?.reject(new Error(reply.message));
        else question?.resolve(reply.value);
      }
    });
    worker.on("error", (error) => {
      reject(error);
      end(error.message);
    });
    worker.on("exit", () => end("this node has left"));
  });

  type Asked = NodesRequest extends infer R ? (R extends { id: number } ? Omit<R, "id"> : never) : never;
  const ask = (request: Asked): Promise<Uint8Array | undefined> =>
    new Promise((resolve, reject) => {
      if (ended) reject(new Error("nodes: this node has left"));
      else {
        last++;
        questions.set(last, { resolve, reject });
        worker.postMessage({ ...request, id: last } as NodesRequest);
      }
    });
  return {
    node: options.node,
    nodes: options.nodes,
    lost,
    put: async (key, value) => void (await ask({ kind: "put", key, value })),
    get: async (key, timeoutMs) => {
      const value = await ask({ kind: "get", key, timeoutMs });
      if (value === undefined) throw new Error(`nodes: no node has set ${key} (${Math.round(timeoutMs / 1000)} s)`);
      return value;
    },
    barrier: async (name) => void (await ask({ kind: "barrier", key: name })),
    blockingChannel: () => {
      const { port1, port2 } = new MessageChannel();
      const flag = new Int32Array(new SharedArrayBuffer(4));
      worker.postMessage({ kind: "port", port: port2, flag } satisfies NodesPort, [port2]);
      return { port: port1, flag };
    },
    leave: async () => {
      await ask({ kind: "barrier", key: "the end" });
      leaving = true;
      await ask({ kind: "leave" }).catch(() => {}); // node 0 may have gone first
      await closed(worker);
    },
    fail: async (reason) => {
      leaving = true;
      await ask({ kind: "fail", key: reason }).catch(() => {});
      await closed(worker);
    },
  };
}

/** How long the thread may take to end by itself. */
const CLOSE_MS = 2000;

async function closed(worker: Worker): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<void>((resolve) => {
    worker.once("exit", () => resolve());
    if (worker.threadId < 0) resolve();
  });
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS);
  });
  await Promise.race([ended, late]);
  clearTimeout(timer);
  await worker.terminate();
}
