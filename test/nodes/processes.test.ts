import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import type { NodesOptions } from "../../src/nodes/index.ts";
import { freePort } from "./free-port.ts";

const MEMBER = fileURLToPath(new URL("./member.mjs", import.meta.url));
if (!existsSync(fileURLToPath(new URL("../../dist/src/nodes/nodes-worker.js", import.meta.url))))
  throw new Error("nodes are tested as built: run tsc -p tsconfig.build.json first");

interface Member {
  readonly child: ChildProcess;
  /** The next line that it says. */
  heard(): Promise<string>;
  tell(order: string): void;
  readonly ended: Promise<number | null>;
}

const members: Member[] = [];
afterEach(() => {
  for (const { child } of members.splice(0)) child.kill("SIGKILL");
});

function member(options: Partial<NodesOptions>): Member {
  const whole = {
    nodes: 2,
    host: "127.0.0.1",
    token: "a token of the tests",
    agreement: "one",
    silenceMs: 3000,
    startMs: 60_000,
    ...options,
  };
  const child = spawn(process.execPath, [MEMBER, JSON.stringify(whole)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<number | null>((resolve) => {
    child.on("exit", resolve);
  });
  const made: Member = {
    child,
    heard: async () => (await lines.next()).value ?? "(ended)",
    tell: (order) => child.stdin.write(`${order}\n`),
    ended,
  };
  members.push(made);
  return made;
}

async function pair(): Promise<[Member, Member]> {
  const port = await freePort();
  const both: [Member, Member] = [member({ node: 0, port }), member({ node: 1, port })];
  for (const each of both) expect(await each.heard()).toBe("joined");
  return both;
}

describe("two processes", () => {
  it("exchange keys, also from a thread that blocks, wait for each other and end", async () => {
    const [zero, one] = await pair();
    zero.tell("put where here");
    one.tell("get where");
    expect(await one.heard()).toBe("got here");
    expect(await one.heard()).toBe("done get");
    one.tell("ask late");
    expect(await zero.heard()).toBe("done put");
    zero.tell("put late there");
    expect(await one.heard()).toBe("got there");
    for (const each of [zero, one]) each.tell("leave");
    expect(await Promise.all([zero.ended, one.ended])).toEqual([0, 0]);
  });

  it("end, even where the main thread is blocked and cannot hear that the other one died", async () => {
    const [zero, one] = await pair();
    one.tell("block 600000");
    expect(await one.heard()).toBe("blocks");
    zero.child.kill("SIGKILL");
    const signal = await new Promise((resolve) => one.child.on("exit", (_, by) => resolve(by)));
    expect(signal).toBe("SIGKILL");
  });

  it("stay in touch while one's main thread is blocked for longer than the silence that is allowed", async () => {
    const [zero, one] = await pair();
    one.tell("block 4000");
    zero.tell("block 4000");
    for (const said of ["blocks", "done block"]) for (const each of [zero, one]) expect(await each.heard()).toBe(said);
    for (const each of [zero, one]) each.tell("leave");
    expect(await Promise.all([zero.ended, one.ended])).toEqual([0, 0]);
  });

  it.each([0, 1])("end when node %i is killed, and say which", async (killed) => {
    const both = await pair();
    const other = both[1 - killed];
    other?.tell("barrier never");
    both[killed]?.child.kill("SIGKILL");
    expect(await other?.heard()).toBe(`lost: node ${killed} is gone: its connection broke`);
    expect(await other?.ended).toBe(3);
  });

  it("end when one is stopped so that its connection stays", async () => {
    const [zero, one] = await pair();
    one.child.kill("SIGSTOP");
    expect(await zero.heard()).toMatch(/^lost: node 1 is gone: nothing was heard of it for 3 s$/);
  });

  it("say in one line who is missing", async () => {
    const port = await freePort();
    const alone = member({ node: 1, port, startMs: 300 });
    expect(await alone.heard()).toMatch(/^failed: no coordinator answers at 127\.0\.0\.1:\d+ \(0 s\): /);
    const zero = member({ node: 0, port });
    expect(await zero.heard()).toBe("joined");
    const twice = member({ node: 0, port });
    expect(await twice.heard()).toMatch(/^failed: [^\n]*EADDRINUSE/);
  });
});
