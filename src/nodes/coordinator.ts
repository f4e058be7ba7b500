/** The one node that all others connect to: lets them in, answers them, notices which one is gone. */
import { createServer, type Server, type Socket } from "node:net";
import { type Asker, type Board, createBoard, OK, type Reply } from "./board.ts";
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

/** Strangers get little, and not for long. */
const MOST_STRANGERS = 64;
const STRANGER_MS = 10_000;

interface Member extends Asker {
  readonly node: number;
  readonly socket: Socket;
  left: boolean;
  /** When it was last heard of. */
  heard: number;
}

/** @throws what the system says where it cannot listen there */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { host, port, nodes, silenceMs } = options;
  const board = createBoard(nodes);
  const membership = createMembership(options);
  const strangers = new Set<Socket>();

  const attend = (socket: Socket): void => {
    socket.setNoDelay(true);
    const reader = frameReader(MOST_STRANGER);
    const challenge = nonce();
    let member: Member | undefined;
    strangers.add(socket);
    const tired = setTimeout(() => socket.destroy(), STRANGER_MS);
    tired.unref();
    const noStranger = (): void => {
      strangers.delete(socket);
      clearTimeout(tired);
    };
    send(socket, "challenge", 0, challenge);

    const greet = (hello: Frame): void => {
      const admitted = membership.admit(socket, hello, challenge);
      if (typeof admitted === "string") {
        send(socket, "refused", 0, bytesOf(admitted));
        socket.end();
        return;
      }
      member = admitted;
      noStranger();
      reader.allow(MOST_FRAME);
    };
    const take = (frame: Frame): void => {
      if (!member) {
        greet(frame);
        return;
      }
      member.heard = performance.now();
      const reply = serve(board, membership, member, frame);
      if (reply) member.reply(frame.id, reply);
    };
    socket.on("data", (chunk) => {
      try {
        for (const frame of reader.read(chunk)) if (!socket.writableEnded) take(frame);
      } catch (error) {
        socket.destroy();
        if (member)
          membership.gone(member, `said what no node says: ${error instanceof Error ? error.message : error}`);
      }
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      noStranger();
      if (member) membership.gone(member, "is gone: its connection broke");
    });
  };

  const server = createServer((socket) => {
    if (strangers.size < MOST_STRANGERS) attend(socket);
    else socket.destroy();
  });
  await listening(server, host, port);
  const watch = setInterval(() => membership.dropSilent(), silenceMs / 4);
  watch.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    async close() {
      clearInterval(watch);
      board.close();
      membership.close();
      for (const socket of strangers) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Membership {
  /** Makes a stranger a member, or says why not. */
  admit(socket: Socket, hello: Frame, challenge: Uint8Array): Member | string;
  /** A node went without having left. */
  gone(member: Member, how: string): void;
  /** The run is over: all are told why, and whoever comes later, too. */
  fail(reason: string): void;
  /** Takes those for gone of which nothing was heard for too long. */
  dropSilent(): void;
  close(): void;
}

function createMembership(options: CoordinatorOptions): Membership {
  const { silenceMs } = options;
  const members = new Map<number, Member>();
  let failure: string | undefined;

  const fail = (reason: string): void => {
    if (failure !== undefined) return;
    failure = reason;
    for (const { socket } of members.values()) send(socket, "failed", 0, bytesOf(reason));
  };
  const gone = (member: Member, how: string): void => {
    if (member.left || members.get(member.node) !== member) return;
    members.delete(member.node);
    fail(`node ${member.node} ${how}`);
  };
  return {
    fail,
    gone,
    admit(socket, hello, challenge) {
      const who = identified(hello, challenge, options);
      if (typeof who === "string") return who;
      if (failure !== undefined) return failure;
      if (members.has(who.node)) return `node ${who.node} is here already`;
      const member: Member = {
        ...{ node: who.node, socket, left: false, heard: performance.now(), waiting: 0 },
        reply: (question, { kind, field }) => send(socket, kind, question, ...(field ? [field] : [])),
      };
      members.set(member.node, member);
      send(socket, "welcome", 0, who.proof);
      return member;
    },
    dropSilent() {
      const late = performance.now() - silenceMs;
      for (const member of members.values()) {
        if (member.left || member.heard >= late) continue;
        gone(member, `is gone: nothing was heard of it for ${Math.round(silenceMs / 1000)} s`);
        member.socket.destroy();
      }
    },
    close() {
      for (const { socket } of members.values()) socket.destroySoon();
    },
  };
}

function send(socket: Socket, kind: FrameKind, id: number, ...fields: readonly Uint8Array[]): void {
  if (!socket.destroyed) socket.write(encodeFrame({ kind, id, fields }));
}

/** Which node a stranger proves to be, with the proof that it gets in return; or why it is refused. */
function identified(
  { kind, fields: [theirs, shown, what] }: Frame,
  challenge: Uint8Array,
  { token, nodes, agreement }: CoordinatorOptions,
): { readonly node: number; readonly proof: Uint8Array } | string {
  if (kind !== "hello" || !theirs || !what || !proves(shown, proof(token, "client", challenge, theirs, what)))
    return "the token is not that of the coordinator";
  const [, node = "", count = "", agreed] = /^(\d{1,6}) (\d{1,6}) ([\w.-]{0,200})$/.exec(textOf(what)) ?? [];
  if (Number(count) !== nodes) return `there are ${nodes} nodes, node ${node} was told of ${count}`;
  if (Number(node) >= nodes) return `there are nodes 0 to ${nodes - 1}, none is ${node}`;
  if (agreed !== agreement) return `node ${node} has another recipe, mesh or version than node 0`;
  return { node: Number(node), proof: proof(token, "server", theirs, challenge, what) };
}

/** What a member is answered at once; undefined: later. @throws one line about what no node says */
function serve(board: Board, { fail }: Membership, member: Member, { kind, id, fields }: Frame): Reply | undefined {
  const [first = new Uint8Array(), second = new Uint8Array()] = fields;
  switch (kind) {
    case "beat":
      return OK;
    case "put":
      if (first.length > MOST_KEY || second.length > MOST_VALUE)
        throw new Error(`a key of ${first.length} and a value of ${second.length} bytes`);
      return board.put(textOf(first), second);
    case "get": {
      const timeoutMs = Number(textOf(second));
      if (first.length > MOST_KEY || !Number.isSafeInteger(timeoutMs) || timeoutMs < 0)
        throw new Error(`a question for a key of ${first.length} bytes and ${timeoutMs} ms`);
      return board.get(member, id, textOf(first), Math.min(timeoutMs, 2 ** 31 - 1));
    }
    case "barrier":
      if (first.length > MOST_KEY) throw new Error(`a barrier with a name of ${first.length} bytes`);
      return board.arrive(member, id, textOf(first));
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
