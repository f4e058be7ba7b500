/**
 * The thread that keeps a node in touch: it beats while the main thread compiles or waits for devices, and answers whoever
 * blocks until a key is there. Node 0's also holds the coordinator.
 */
import { writeSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Connection, joinCoordinator } from "./connection.ts";
import { startCoordinator } from "./coordinator.ts";
import type { NodesHeard, NodesOptions, NodesPort, NodesReply, NodesRequest } from "./protocol.ts";

async function serve(options: NodesOptions): Promise<void> {
  const main = parentPort;
  if (!main) throw new Error("nodes-worker is started as a worker thread");
  const say = (reply: NodesReply): void => main.postMessage(reply);
  const { node, host, port, bind = host, silenceMs } = options;
  let blocked: NodeJS.Timeout | undefined;
  const coordinator = node === 0 ? await startCoordinator({ ...options, host: bind }) : undefined;
  // Not a loop back: the coordinator may listen on one address only.
  const reached = coordinator ? { host: isAny(bind) ? "127.0.0.1" : bind, port: coordinator.port } : { host, port };
  const connection = await joinCoordinator({
    ...options,
    ...reached,
    onLost: (reason) => {
      say({ kind: "lost", reason });
      // A main thread that waits within a native call for a node that is gone hears of nothing any more.
      blocked = setTimeout(() => {
        writeSync(2, `clip-ts: node ${node}: ${reason}\n`);
        process.kill(process.pid, "SIGKILL");
      }, silenceMs);
    },
  });
  const others: MessagePort[] = [];
  main.on("message", (request: NodesRequest | NodesPort | NodesHeard) => {
    if (request.kind === "heard") {
      clearTimeout(blocked);
      return;
    }
    if (request.kind === "port") {
      const { port: other, flag } = request;
      others.push(other);
      const raise = (): void => {
        Atomics.add(flag, 0, 1);
        Atomics.notify(flag, 0);
      };
      other.on("message", async (asked: NodesRequest) => {
        other.postMessage(await answered(connection, asked));
        raise();
      });
      return;
    }
    void answered(connection, request).then(async (reply) => {
      say(reply);
      if (request.kind !== "leave" && request.kind !== "fail") return;
      await coordinator?.close();
      for (const other of others) other.close();
      main.close();
    });
  });
  say({ kind: "joined" });
}

const isAny = (host: string): boolean => host === "0.0.0.0" || host === "::";

async function answered(connection: Connection, request: NodesRequest): Promise<NodesReply> {
  const { id, kind } = request;
  try {
    if (kind === "get") {
      const value = await connection.get(request.key, request.timeoutMs);
      return value === undefined ? { kind: "answer", id } : { kind: "answer", id, value };
    }
    if (kind === "put") await connection.put(request.key, request.value);
    if (kind === "barrier") await connection.barrier(request.key);
    if (kind === "fail") await connection.fail(request.key);
    if (kind === "leave") await connection.leave();
    return { kind: "answer", id };
  } catch (error) {
    return { kind: "failure", id, message: error instanceof Error ? error.message : String(error) };
  }
}

await serve(workerData);
