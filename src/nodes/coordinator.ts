/** The one node that all others connect to: holds keys, lets nodes wait for each other, notices which one is gone. */
import { createServer, type Server, type Socket } from "node:net";
import {
  bytesOf,
  encodeFrame,
  type Frame,
  type FrameKind,
  frameReader,
  MOST_FRAME,
  MOST_KEY,
  MOST_STRANGER,
  MOST_VALUE,
  textOf,
} from "./frames.ts";
import type { NodesOptions } from "./protocol.ts";
import { nonce, proof, proves } from "./token.ts";

/** It listens at the host, and nowhere else. */
export type CoordinatorOptions = Omit<NodesOptions, "node" | "bind" | "startMs">;

export interface Coordinator {
  readonly port: number;
  close(): Promise<void>;
}

/** Bounds of what is held. Strangers get little, and not for long. */
const MOST_KEYS = 100_000;
const MOST_HELD = 256 * 2 ** 20;
const MOST_WAITING = 4096;
const MOST_STRANGERS = 64;
const STRANGER_MS = 10_000;

interface Member {
  readonly node: number;
  readonly socket: Socket;
  left: boolean;
  heard: number;
  waiting: number;
}

/** What is answered at once; undefined: later. */
type Reply = { readonly kind: FrameKind; readonly field?: Uint8Array } | undefined;
const OK: Reply = { kind: "ok" };
const denied = (why: string): Reply => ({ kind: "denied", field: bytesOf(why) });

interface Waiter {
  readonly member: Member;
  readonly id: number;
  readonly timer: NodeJS.Timeout;
}

/** @throws what the system says where it cannot listen there */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { host, port, nodes, token, silenceMs, agreement } = options;
  const members = new Map<number, Member>();
  const strangers = new Set<Socket>();
  const values = new Map<string, Uint8Array>();
  let held = 0;
  const waiters = new Map<string, Waiter[]>();
  const barriers = new Map<string, Map<Member, number>>();
  /** Why the run is over; said to whoever comes later, too. */
  let failure: string | undefined;

  const send = (socket: Socket, kind: FrameKind, id: number, ...fields: readonly Uint8Array[]): void => {
    if (!socket.destroyed) socket.write(encodeFrame({ kind, id, fields }));
  };
  const fail = (reason: string): void => {
    if (failure !== undefined) return;
    failure = reason;
    for (const { socket } of members.values()) send(socket, "failed", 0, bytesOf(reason));
  };
  /** A node went without having left. */
  const gone = (member: Member, how: string): void => {
    if (member.left || members.get(member.node) !== member) return;
    members.delete(member.node);
    fail(`node ${member.node} ${how}`);
  };

  const put = (key: string, value: Uint8Array): Reply => {
    const known = values.get(key);
    if (known) return Buffer.compare(known, value) === 0 ? OK : denied(`the key ${key} holds something else already`);
    if (values.size >= MOST_KEYS || held + value.length > MOST_HELD)
      return denied(`${values.size} keys with ${held} bytes are there: no more fit`);
    values.set(key, value);
    held += value.length;
    for (const waiter of waiters.get(key) ?? []) {
      clearTimeout(waiter.timer);
      waiter.member.waiting--;
      send(waiter.member.socket, "value", waiter.id, value);
    }
    waiters.delete(key);
    return OK;
  };

  const get = (member: Member, id: number, key: string, timeoutMs: number): Reply => {
    const known = values.get(key);
    if (known) return { kind: "value", field: known };
    if (timeoutMs <= 0) return { kind: "missing" };
    if (member.waiting >= MOST_WAITING) return denied("it waits for too many keys");
    member.waiting++;
    const timer = setTimeout(() => {
      member.waiting--;
      const others = (waiters.get(key) ?? []).filter((other) => other !== waiter);
      if (others.length > 0) waiters.set(key, others);
      else waiters.delete(key);
      send(member.socket, "missing", id);
    }, timeoutMs);
    timer.unref();
    const waiter = { member, id, timer };
    waiters.set(key, [...(waiters.get(key) ?? []), waiter]);
    return undefined;
  };

  const arrive = (member: Member, id: number, name: string): Reply => {
    const arrived = barriers.get(name) ?? new Map<Member, number>();
    if (arrived.size === 0 && barriers.size >= MOST_WAITING) return denied("there are too many barriers");
    arrived.set(member, id);
    barriers.set(name, arrived);
    if (arrived.size < nodes) return undefined;
    barriers.delete(name);
    for (const [each, question] of arrived) if (each !== member) send(each.socket, "ok", question);
    return OK;
  };

  /** @throws one line about what no node says */
  const serve = (member: Member, { kind, id, fields }: Frame): Reply => {
    const [first = new Uint8Array(), second = new Uint8Array()] = fields;
    switch (kind) {
      case "beat":
        return OK;
      case "put":
        if (first.length > MOST_KEY || second.length > MOST_VALUE)
          throw new Error(`a key of ${first.length} and a value of ${second.length} bytes`);
        return put(textOf(first), second);
      case "get": {
        const timeoutMs = Number(textOf(second));
        if (first.length > MOST_KEY || !Number.isSafeInteger(timeoutMs) || timeoutMs < 0)
          throw new Error(`a question for a key of ${first.length} bytes and ${timeoutMs} ms`);
        return get(member, id, textOf(first), Math.min(timeoutMs, 2 ** 31 - 1));
      }
      case "barrier":
        if (first.length > MOST_KEY) throw new Error(`a barrier with a name of ${first.length} bytes`);
        return arrive(member, id, textOf(first));
      case "leave":
        member.left = true;
        return OK;
      case "failed":
        member.left = true;
        fail(`node ${member.node} failed: ${textOf(first).slice(0, 500)}`);
        return OK;
      default:
        throw new Error(`a frame ${kind}`);
    }
  };

  const server = createServer((socket) => {
    if (strangers.size >= MOST_STRANGERS) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    strangers.add(socket);
    let member: Member | undefined;
    const reader = frameReader(MOST_STRANGER);
    const challenge = nonce();
    const tired = setTimeout(() => socket.destroy(), STRANGER_MS);
    tired.unref();
    send(socket, "challenge", 0, challenge);
    /** Makes a stranger a member, or says why not. */
    const greet = ({ kind, fields: [theirs, shown, what] }: Frame): string | undefined => {
      if (kind !== "hello" || !theirs || !what || !proves(shown, proof(token, "client", challenge, theirs, what)))
        return "the token is not that of the coordinator";
      const [, node = "", count = "", agreed] = /^(\d{1,6}) (\d{1,6}) ([\w.-]{0,200})$/.exec(textOf(what)) ?? [];
      if (Number(count) !== nodes) return `there are ${nodes} nodes, node ${node} was told of ${count}`;
      if (Number(node) >= nodes) return `there are nodes 0 to ${nodes - 1}, none is ${node}`;
      if (agreed !== agreement) return `node ${node} has another recipe, mesh or version than node 0`;
      if (failure !== undefined) return failure;
      if (members.has(Number(node))) return `node ${node} is here already`;
      strangers.delete(socket);
      clearTimeout(tired);
      reader.allow(MOST_FRAME);
      member = { node: Number(node), socket, left: false, heard: performance.now(), waiting: 0 };
      members.set(member.node, member);
      send(socket, "welcome", 0, proof(token, "server", theirs, challenge, what));
      return undefined;
    };
    const take = (frame: Frame): void => {
      if (!member) {
        const refusal = greet(frame);
        if (refusal === undefined) return;
        send(socket, "refused", 0, bytesOf(refusal));
        socket.end();
        return;
      }
      member.heard = performance.now();
      const reply = serve(member, frame);
      if (reply) send(socket, reply.kind, frame.id, ...(reply.field ? [reply.field] : []));
    };
    socket.on("data", (chunk) => {
      try {
        for (const frame of reader.read(chunk)) if (!socket.writableEnded) take(frame);
      } catch (error) {
        socket.destroy();
        if (member) gone(member, `said what no node says: ${error instanceof Error ? error.message : error}`);
      }
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      strangers.delete(socket);
      clearTimeout(tired);
      if (member) gone(member, "is gone: its connection broke");
    });
  });

  await listening(server, host, port);
  const watch = setInterval(() => {
    const late = performance.now() - silenceMs;
    for (const member of members.values())
      if (!member.left && member.heard < late) {
        gone(member, `is gone: nothing was heard of it for ${Math.round(silenceMs / 1000)} s`);
        member.socket.destroy();
      }
  }, silenceMs / 4);
  watch.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    async close() {
      clearInterval(watch);
      for (const waiting of waiters.values()) for (const { timer } of waiting) clearTimeout(timer);
      for (const { socket } of members.values()) socket.destroySoon();
      for (const socket of strangers) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", () => {}); // one connection that cannot be accepted is not the end
      resolve();
    });
  });
}
