import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type Connection, type ConnectionOptions, joinCoordinator } from "../../src/nodes/connection.ts";
import { type Coordinator, startCoordinator } from "../../src/nodes/coordinator.ts";
import { encodeFrame, frameReader, MOST_FRAME, MOST_VALUE } from "../../src/nodes/frames.ts";
import { tokenFrom } from "../../src/nodes/token.ts";

const TOKEN = "a token of the tests";
const HOST = "127.0.0.1";

let coordinator: Coordinator | undefined;
const open: { leave(): Promise<void> }[] = [];
afterEach(async () => {
  for (const connection of open.splice(0)) await connection.leave();
  await coordinator?.close();
  coordinator = undefined;
});

async function started(nodes: number, silenceMs = 5000): Promise<number> {
  coordinator = await startCoordinator({ host: HOST, port: 0, nodes, token: TOKEN, silenceMs, agreement: "one" });
  return coordinator.port;
}

const lostOf = new WeakMap<Connection, Promise<string>>();
async function join(port: number, node: number, changes: Partial<ConnectionOptions> = {}): Promise<Connection> {
  let lose = (_: string): void => {};
  const lost = new Promise<string>((resolve) => {
    lose = resolve;
  });
  const connection = await joinCoordinator({
    host: HOST,
    port,
    node,
    nodes: 2,
    token: TOKEN,
    silenceMs: 5000,
    startMs: 2000,
    agreement: "one",
    onLost: lose,
    ...changes,
  });
  lostOf.set(connection, lost);
  open.push(connection);
  return connection;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** A stranger's connection: what it is told until the coordinator closes it, or until it has `enough`. */
async function stranger(
  port: number,
  say: (socket: Socket) => void,
  enough = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const socket = connect({ host: HOST, port });
  const heard: Buffer[] = [];
  socket.on("data", (chunk) => {
    if (heard.push(chunk) >= enough) socket.destroy();
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await new Promise((resolve) => socket.once("connect", resolve));
  say(socket);
  await closed;
  return Buffer.concat(heard);
}

describe("keys", () => {
  it("that one node sets, the other gets, now or when they come", async () => {
    const port = await started(2);
    const [zero, one] = [await join(port, 0), await join(port, 1)];
    await zero.put("a", bytes(1, 2, 3));
    expect(await one.get("a", 0)).toEqual(bytes(1, 2, 3));
    const waits = one.get("b", 5000);
    await pause(20);
    await zero.put("b", bytes());
    expect(await waits).toEqual(bytes());
  });

  it("that nobody sets are missing in time, and later ones are still found", async () => {
    const port = await started(2);
    const zero = await join(port, 0);
    expect(await zero.get("never", 0)).toBeUndefined();
    expect(await zero.get("never", 30)).toBeUndefined();
    await zero.put("never", bytes(7));
    expect(await zero.get("never", 30)).toEqual(bytes(7));
  });

  it("are set once", async () => {
    const port = await started(2);
    const [zero, one] = [await join(port, 0), await join(port, 1)];
    await zero.put("a", bytes(1));
    await one.put("a", bytes(1));
    await expect(one.put("a", bytes(2))).rejects.toThrow("the key a holds something else already");
    expect(await zero.get("a", 0)).toEqual(bytes(1));
  });

  it("hold what any bytes are, up to the bound and not beyond", async () => {
    const port = await started(2);
    const [zero, one] = [await join(port, 0), await join(port, 1)];
    const large = new Uint8Array(MOST_VALUE).fill(3);
    await zero.put("large", large);
    expect(Buffer.compare((await one.get("large", 0)) ?? bytes(), large)).toBe(0);
    await expect(zero.put("larger", new Uint8Array(MOST_VALUE + 1024))).rejects.toThrow(
      /^nodes: a key of 6 and a value of \d+ bytes/,
    );
  });
});

describe("barriers", () => {
  it("hold everybody until all are there, by name, again and again", async () => {
    const port = await started(2);
    const [zero, one] = [await join(port, 0), await join(port, 1)];
    for (const step of [1, 2, 3]) {
      let passed = false;
      const waits = zero.barrier(`step ${step}`).then(() => {
        passed = true;
      });
      await pause(10);
      expect(passed).toBe(false);
      await Promise.all([waits, one.barrier(`step ${step}`)]);
    }
  });
});

describe("the end of a node", () => {
  it("is told to all others, with its reason", async () => {
    const port = await started(3);
    const nodes = await Promise.all([0, 1, 2].map((node) => join(port, node, { nodes: 3 })));
    const waiting = expect(nodes[0]?.barrier("never")).rejects.toThrow("node 1 failed: the disk is full");
    const asked = expect(nodes[2]?.get("never", 60_000)).rejects.toThrow("node 1 failed: the disk is full");
    await nodes[1]?.fail("the disk is full");
    for (const node of [nodes[0], nodes[2]])
      expect(await lostOf.get(node as Connection)).toBe("node 1 failed: the disk is full");
    await Promise.all([waiting, asked]);
    await expect(join(port, 1, { nodes: 3 })).rejects.toThrow("refuses: node 1 failed: the disk is full");
  });

  it("is noticed by its silence", async () => {
    const port = await started(2, 1200);
    const zero = await join(port, 0, { silenceMs: 1200 });
    await join(port, 1, { silenceMs: 1e9 }); // never beats
    expect(await lostOf.get(zero)).toMatch(/^node 1 is gone: nothing was heard of it for \d+ s$/);
  });

  it("is noticed when the coordinator goes", async () => {
    const port = await started(2);
    const one = await join(port, 1);
    await coordinator?.close();
    coordinator = undefined;
    expect(await lostOf.get(one)).toBe("node 0 is gone: its connection broke");
    await expect(one.put("a", bytes())).rejects.toThrow("node 0 is gone");
  });

  it("is no loss where it has left", async () => {
    const port = await started(2, 1200);
    const [zero, one] = [await join(port, 0, { silenceMs: 1200 }), await join(port, 1, { silenceMs: 1200 })];
    await one.leave();
    await pause(1800);
    await zero.put("still", bytes(1));
  });
});

describe("strangers", () => {
  it("without the token are refused, and hear nothing that would help them", async () => {
    const port = await started(2);
    await expect(join(port, 0, { token: "another token, of the same" })).rejects.toThrow(
      /^the coordinator at 127\.0\.0\.1:\d+ refuses: the token is not that of the coordinator$/,
    );
    const zero = await join(port, 0);
    const heard = await stranger(port, (socket) => {
      socket.write(encodeFrame({ kind: "put", id: 1, fields: [bytes(97), bytes(1)] }));
    });
    const kinds = frameReader(MOST_FRAME)
      .read(heard)
      .map(({ kind }) => kind);
    expect(kinds).toEqual(["challenge", "refused"]);
    expect(await zero.get("a", 0)).toBeUndefined();
  });

  it("cannot say again what a node said", async () => {
    const port = await started(2);
    const zero = await join(port, 0);
    // Every connection is challenged anew: the same proof is worth nothing.
    const [first, second] = await Promise.all([stranger(port, () => {}, 1), stranger(port, () => {}, 1)]);
    expect(Buffer.compare(first, second)).not.toBe(0);
    expect(await zero.get("a", 0)).toBeUndefined();
  });

  it("cannot fill the memory, nor end the coordinator, with any bytes", async () => {
    const port = await started(2);
    const zero = await join(port, 0);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (noise) => {
        const socket = connect({ host: HOST, port });
        socket.on("error", () => {});
        await new Promise((resolve) => socket.once("connect", resolve));
        socket.write(noise);
        await new Promise<void>((resolve) => socket.end(resolve));
        socket.destroy();
      }),
      { numRuns: 60 },
    );
    await stranger(port, (socket) => socket.write(Buffer.from([0xff, 0xff, 0xff, 0x7f, 5])));
    await zero.put("alive", bytes(1));
    expect(await zero.get("alive", 0)).toEqual(bytes(1));
    const many = Array.from({ length: 200 }, () => connect({ host: HOST, port }).on("error", () => {}));
    await pause(100);
    await zero.put("still alive", bytes(1));
    for (const socket of many) socket.destroy();
  });

  it("with the token who say what no node says are the end of the run, with a reason", async () => {
    const port = await started(2);
    const zero = await join(port, 0);
    await join(port, 1)
      .then((one) => one.get("x".repeat(2000), 5))
      .catch(() => {});
    expect(await lostOf.get(zero)).toBe("node 1 said what no node says: a question for a key of 2000 bytes and 5 ms");
  });
});

describe("joining", () => {
  it("is refused in one line where the nodes do not fit together", async () => {
    const port = await started(2);
    await join(port, 0);
    await expect(join(port, 1, { nodes: 3 })).rejects.toThrow("there are 2 nodes, node 1 was told of 3");
    await expect(join(port, 2)).rejects.toThrow("there are nodes 0 to 1, none is 2");
    await expect(join(port, 0)).rejects.toThrow("node 0 is here already");
    await expect(join(port, 1, { agreement: "two" })).rejects.toThrow(
      "node 1 has another recipe, mesh or version than node 0",
    );
  });

  it("waits for the coordinator to start, and not for ever", async () => {
    const port = await started(2);
    await coordinator?.close();
    const waits = join(port, 1, { startMs: 10_000 });
    await pause(100);
    coordinator = await startCoordinator({
      host: HOST,
      port,
      nodes: 2,
      token: TOKEN,
      silenceMs: 5000,
      agreement: "one",
    });
    await waits;
    await expect(join(1, 1, { startMs: 50 })).rejects.toThrow(/^no coordinator answers at 127\.0\.0\.1:1 \(0 s\): /);
  });

  it("does not believe a coordinator that does not know the token", async () => {
    const { createServer } = await import("node:net");
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write(encodeFrame({ kind: "challenge", id: 0, fields: [new Uint8Array(32)] }));
      socket.on("data", () => socket.write(encodeFrame({ kind: "welcome", id: 0, fields: [new Uint8Array(32)] })));
    });
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    await expect(join(port, 1)).rejects.toThrow("it does not know the token itself");
    server.close();
  });

  it("needs a token that cannot be guessed", () => {
    expect(() => tokenFrom({})).toThrow(/^several nodes need a secret [^\n]+CLIP_TS_NODES_TOKEN[^\n]+$/);
    expect(() => tokenFrom({ CLIP_TS_NODES_TOKEN: "short" })).toThrow("it has 5");
    expect(tokenFrom({ CLIP_TS_NODES_TOKEN: TOKEN })).toBe(TOKEN);
  });
});
