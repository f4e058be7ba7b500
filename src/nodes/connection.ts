/** A node's connection to the coordinator. */
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import {
  bytesOf,
  encodeFrame,
  type Frame,
  type FrameKind,
  frameReader,
  MOST_FRAME,
  MOST_KEY,
  MOST_VALUE,
  textOf,
} from "./frames.ts";
import type { NodesOptions } from "./protocol.ts";
import { NONCE, nonce, proof, proves } from "./token.ts";

export interface ConnectionOptions extends Omit<NodesOptions, "bind"> {
  /** Called once, when a node is lost or failed, or the coordinator is. */
  readonly onLost: (reason: string) => void;
}

export interface Connection {
  /** @throws one line if the key holds something else already, or no more fits */
  put(key: string, value: Uint8Array): Promise<void>;
  /** What the key holds, now or within the time; undefined if there is none. */
  get(key: string, timeoutMs: number): Promise<Uint8Array | undefined>;
  /** Waits until all nodes have come to a place of that name. */
  barrier(name: string): Promise<void>;
  /** Ends as it should: others do not take it for lost. */
  leave(): Promise<void>;
  /** Tells all others that this node ends, and why. */
  fail(reason: string): Promise<void>;
}

/** @throws one line: why the coordinator refuses, or that there is none */
export async function joinCoordinator(options: ConnectionOptions): Promise<Connection> {
  const { host, port, startMs } = options;
  const until = performance.now() + startMs;
  for (;;) {
    try {
      return await joined(await connected(host, port), options);
    } catch (error) {
      // Only what a coordinator that is not there yet looks like is tried again.
      const why = error instanceof Error ? error.message : String(error);
      if (error instanceof Refusal) throw new Error(`the coordinator at ${host}:${port} refuses: ${why}`);
      if (performance.now() >= until)
        throw new Error(`no coordinator answers at ${host}:${port} (${Math.round(startMs / 1000)} s): ${why}`);
      await pause(Math.min(500, Math.max(10, until - performance.now())));
    }
  }
}

class Refusal extends Error {}

function connected(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

function joined(socket: Socket, options: ConnectionOptions): Promise<Connection> {
  const { silenceMs, onLost } = options;
  const reader = frameReader(MOST_FRAME);
  const questions = questionsOn(socket);
  const greet = greeting(socket, options);
  let greeted = false;
  let ending = false;
  let lost: string | undefined;
  let heard = performance.now();

  return new Promise<Connection>((resolve, reject) => {
    const lose = (reason: string): void => {
      if (lost !== undefined) return;
      lost = reason;
      clearInterval(beats);
      socket.destroy();
      questions.end(reason);
      if (greeted && !ending) onLost(reason);
      else reject(new Error(reason));
    };
    const beats = setInterval(() => {
      if (performance.now() - heard > silenceMs)
        lose(`node 0 is gone: nothing was heard of it for ${Math.round(silenceMs / 1000)} s`);
      else if (greeted) questions.ask("beat").catch(() => {});
    }, silenceMs / 5);

    const connection: Connection = {
      ...requests(questions.ask),
      leave: async () => {
        ending = true;
        await questions.ask("leave").catch(() => {}); // a coordinator that went first needs no goodbye
        lose("this node has left");
      },
      fail: async (reason) => {
        ending = true;
        if (lost === undefined) await sayFailed(socket, reason);
        lose(reason);
      },
    };

    /** @throws one line about what no coordinator says, a Refusal where it refuses */
    const take = (frame: Frame): void => {
      const { kind, fields } = frame;
      if (kind === "refused") throw new Refusal(textOf(fields[0]));
      if (kind === "failed") lose(textOf(fields[0]));
      else if (greeted) questions.answer(frame);
      else if (greet(frame)) {
        greeted = true;
        resolve(connection);
      }
    };
    socket.on("data", (chunk) => {
      heard = performance.now();
      try {
        for (const frame of reader.read(chunk)) if (lost === undefined) take(frame);
      } catch (error) {
        if (error instanceof Refusal) reject(error);
        lose(`node 0 is no coordinator: ${error instanceof Error ? error.message : error}`);
      }
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => lose(greeted ? "node 0 is gone: its connection broke" : "it hung up"));
  });
}

type Ask = (kind: FrameKind, ...fields: readonly Uint8Array[]) => Promise<Frame>;

/** Questions that are asked on a connection, and their answers, which come in any order. */
function questionsOn(socket: Socket) {
  const open = new Map<
    number,
    { readonly resolve: (answer: Frame) => void; readonly reject: (error: Error) => void }
  >();
  let last = 0;
  let ended: string | undefined;
  const ask: Ask = (kind, ...fields) =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) throw new Error(ended);
      last = (last + 1) % 2 ** 32;
      socket.write(encodeFrame({ kind, id: last, fields }));
      open.set(last, { resolve, reject });
    });
  return {
    ask,
    answer(frame: Frame): void {
      const question = open.get(frame.id);
      if (!question) throw new Error(`it answers a question ${frame.id} that was not asked`);
      open.delete(frame.id);
      question.resolve(frame);
    },
    /** Nobody answers any more. */
    end(reason: string): void {
      ended = reason;
      for (const { reject } of open.values()) reject(new Error(reason));
      open.clear();
    },
  };
}

/** Shows the coordinator that this node knows the token. What it returns takes its frames, and tells when it has shown the same. */
function greeting(socket: Socket, { node, nodes, token, agreement }: ConnectionOptions): (frame: Frame) => boolean {
  const mine = nonce();
  const what = bytesOf(`${node} ${nodes} ${agreement}`);
  let challenge: Uint8Array | undefined;
  return ({ kind, fields: [first = new Uint8Array()] }) => {
    if (kind === "challenge" && !challenge && first.length === NONCE) {
      challenge = first;
      const shown = proof(token, "client", challenge, mine, what);
      socket.write(encodeFrame({ kind: "hello", id: 0, fields: [mine, shown, what] }));
      return false;
    }
    if (kind !== "welcome" || !challenge) throw new Error(`it answers with a frame ${kind}`);
    if (!proves(first, proof(token, "server", mine, challenge, what)))
      throw new Refusal("it does not know the token itself");
    return true;
  };
}

function requests(ask: Ask): Pick<Connection, "put" | "get" | "barrier"> {
  const granted = async (...question: Parameters<Ask>): Promise<Frame> => {
    const answer = await ask(...question);
    if (answer.kind === "denied") throw new Error(`nodes: ${textOf(answer.fields[0])}`);
    return answer;
  };
  return {
    put: async (key, value) => {
      const name = bytesOf(key);
      if (name.length > MOST_KEY || value.length > MOST_VALUE)
        throw new Error(`nodes: a key of ${name.length} and a value of ${value.length} bytes are more than fit`);
      await granted("put", name, value);
    },
    get: async (key, timeoutMs) => {
      const { kind, fields } = await granted("get", bytesOf(key), bytesOf(String(Math.max(0, timeoutMs))));
      return kind === "value" ? fields[0] : undefined;
    },
    barrier: async (name) => void (await granted("barrier", bytesOf(name))),
  };
}

/** Waits until it is on its way: nothing is answered to it. */
function sayFailed(socket: Socket, reason: string): Promise<void> {
  return new Promise((written) => {
    const frame = encodeFrame({ kind: "failed", id: 0, fields: [bytesOf(reason.slice(0, 500))] });
    socket.end(frame, written);
    socket.once("close", () => written());
  });
}
