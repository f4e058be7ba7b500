/** What only this engine can get wrong: memory, runs ahead, failures after a run has begun, the event loop. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import type { HostTensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { pluginPath } from "./plugin.ts";

const MIB = 2 ** 20;
const vector = { dtype: "f32", shape: [4] } as const;
const whole = { dtype: "i32", shape: [] } as const;
const f32 = (shape: readonly number[], ...data: number[]): HostTensor => g.hostTensor("f32", shape, data);
const i32 = (...data: number[]): HostTensor => g.hostTensor("i32", data.length === 1 ? [] : [data.length], data);

describe("the engine", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createPjrtEngine({ plugin: pluginPath() });
  });
  afterAll(() => engine.close());

  it("keeps its memory over 10,000 steps of a state of 4 MiB", async () => {
    const large = { dtype: "f32", shape: [MIB] } as const;
    const graph = g.trace({ w: large, x: vector }, ({ w, x }) => ({
      w: g.add(w, g.reduceSum(x)),
      seen: g.reduceSum(x),
    }));
    const program = await engine.compile(graph, { state: ["w"] });
    const state = await engine.createState({ w: { ...large, data: new Float32Array(MIB) } });
    const steps = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) await program.run({ x: f32([4], 1, 0, 0, 0) }, state);
      return process.memoryUsage().rss;
    };
    const before = await steps(1000);
    const after = await steps(9000);
    // Kept copies of the state alone would be 36 GiB; 4 kB a step that are not given back, 36 MiB.
    expect(after - before).toBeLessThan(48 * MIB);
    expect((await state.read()).w?.data[MIB - 1]).toBe(10_000);
    await state.close();
    await program.close();
  });

  it("starts runs ahead of those that compute, and leaves the event loop free", async () => {
    const square = { dtype: "f32", shape: [512, 512] } as const;
    const graph = g.trace({ w: square }, ({ w }) => {
      let y = w;
      for (let i = 0; i < 40; i++) y = g.mul(g.matmul(y, w), 1 / 512);
      return { w: y };
    });
    const program = await engine.compile(graph, { state: ["w"] });
    const state = await engine.createState({ w: { ...square, data: new Float32Array(512 * 512).fill(1) } });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const begun = performance.now();
    await Promise.all(Array.from({ length: 12 }, () => program.run({}, state)));
    const took = performance.now() - begun;
    clearInterval(timer);
    expect(took).toBeGreaterThan(40);
    expect(ticks).toBeGreaterThan(5);
    expect((await state.read()).w?.data[0]).toBeCloseTo(1, 3);
  });

  it("loses a state aloud where an index that only the device knows is outside its table", async () => {
    const graph = g.trace({ at: whole, t: vector, x: vector }, ({ at, t, x }) => ({
      at: g.add(at, 1),
      t: g.add(t, x),
      y: g.gather(t, at),
    }));
    const program = await engine.compile(graph, { state: ["at", "t"] });
    const state = await engine.createState({ at: i32(2), t: f32([4], 1, 2, 3, 4) });
    const x = f32([4], 1, 1, 1, 1);
    expect((await program.run({ x }, state)).y?.data[0]).toBe(3);
    const runs = [program.run({ x }, state), program.run({ x }, state), program.run({ x }, state)];
    const ends = await Promise.allSettled(runs);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    const [, failed, behind] = ends;
    expect(failed?.status === "rejected" && failed.reason.message).toContain("index 4 of a table of 4 rows");
    expect(behind?.status === "rejected" && behind.reason.message).toMatch(/which is lost|index 5/);
    await expect(state.read()).rejects.toThrow("which is lost: run: gather: index 4 of a table of 4 rows");
    await expect(program.run({ x }, state)).rejects.toThrow("which is lost");
    await expect(state.write({ at: i32(0) })).rejects.toThrow("which is lost");
    await state.close();
  });

  it("checks an index of the host before a run, and the state stays as it was", async () => {
    const graph = g.trace({ t: vector, i: { dtype: "i32", shape: [2] } }, ({ t, i }) => ({
      t: g.neg(t),
      y: g.gather(t, i),
    }));
    const program = await engine.compile(graph, { state: ["t"] });
    const state = await engine.createState({ t: f32([4], 1, 2, 3, 4) });
    await expect(program.run({ i: i32(0, -1) }, state)).rejects.toThrow("input i: index -1 of a table of 4 rows");
    expect(Array.from((await state.read()).t?.data ?? [])).toEqual([1, 2, 3, 4]);
  });

  it("reads a state as it was when it was asked, with runs before and behind", async () => {
    const graph = g.trace({ w: { dtype: "f32", shape: [MIB] } }, ({ w }) => ({ w: g.add(w, 1) }));
    const program = await engine.compile(graph, { state: ["w"] });
    const state = await engine.createState({ w: { dtype: "f32", shape: [MIB], data: new Float32Array(MIB) } });
    const reads: Promise<number | undefined>[] = [];
    const runs: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      runs.push(program.run({}, state));
      reads.push(state.read().then(({ w }) => w?.data[MIB - 1]));
    }
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    await Promise.all(runs);
  });

  it("says in one line what a plugin refuses", async () => {
    await expect(createPjrtEngine({ plugin: "/no/plugin.so" })).rejects.toThrow(/^pjrt: .*\/no\/plugin\.so/);
    await expect(createPjrtEngine({ plugin: process.execPath })).rejects.toThrow(/^pjrt: .*node/);
  });

  it("closes with programs and states open, twice", async () => {
    const other = await createPjrtEngine({ plugin: pluginPath() });
    const program = await other.compile(
      g.trace({ w: vector }, ({ w }) => ({ w: g.neg(w) })),
      { state: ["w"] },
    );
    const state = await other.createState({ w: f32([4], 1, 2, 3, 4) });
    const run = program.run({}, state);
    await other.close();
    await run;
    await other.close();
    await expect(program.run({}, state)).rejects.toThrow("closed");
    await expect(state.read()).rejects.toThrow("closed");
    await program.close();
    await state.close();
  });
});
