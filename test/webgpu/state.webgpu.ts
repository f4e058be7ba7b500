/** A state that stays on the device: what the conformance suite asks of every state, and what only a device can get wrong. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, State } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import type { HostTensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";

const MIB = 2 ** 20;
/** 8 MiB. */
const large = { dtype: "f32", shape: [1024, 2048] } as const;
const filled = (value: number): HostTensor =>
  g.hostTensor("f32", large.shape, new Float32Array(1024 * 2048).fill(value));
const first = async (state: State, name: string): Promise<number | undefined> =>
  (await state.read([name]))[name]?.data[0];

const counting = g.trace({ a: large, b: large }, ({ a, b }) => ({
  a: g.add(a, 1),
  b: g.mul(b, 0.5),
  highest: g.reduceMax(a),
}));

describe("a state on the device", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOnnxEngine({ executionProvider: "webgpu" });
  });
  afterAll(() => engine.close());

  it("keeps its memory over many runs, reads and writes", async () => {
    const program = await engine.compile(counting, { state: ["a", "b"] });
    const state = await engine.createState({ a: filled(0), b: filled(1) });
    const round = async (): Promise<number> => {
      for (let i = 0; i < 20; i++) await program.run({}, state);
      await state.read();
      await state.write({ b: filled(1) });
      return process.memoryUsage().rss;
    };
    await round();
    const before = await round();
    for (let i = 0; i < 3; i++) await round();
    // The device of the software driver is this process: 60 runs that kept what they replace would hold 960 MiB.
    expect((await round()) - before).toBeLessThan(200 * MIB);
    expect(await first(state, "a")).toBe(120);
    expect(await first(state, "b")).toBe(1);
    await state.close();
  });

  it("frees what it held when closed", async () => {
    const round = async (): Promise<number> => {
      for (let i = 0; i < 10; i++) await (await engine.createState({ a: filled(i), b: filled(i) })).close();
      return process.memoryUsage().rss;
    };
    await round();
    const before = await round();
    for (let i = 0; i < 3; i++) await round();
    expect((await round()) - before).toBeLessThan(200 * MIB);
  });

  it("outlives the program that computed it", async () => {
    const state = await engine.createState({ a: filled(1), b: filled(8) });
    for (const expected of [2, 3, 4]) {
      const program = await engine.compile(counting, { state: ["a", "b"] });
      await program.run({}, state);
      await program.close();
      expect(await first(state, "a")).toBe(expected);
    }
    expect(await first(state, "b")).toBe(1);
  });

  it("passes entries through, exchanges them and gives one value to two", async () => {
    const vector = { dtype: "f32", shape: [4] } as const;
    const graph = g.trace({ a: vector, b: vector, c: vector, d: vector }, ({ a, b, c }) => {
      const sum = g.add(a, b);
      return { a: b, b: a, c, d: sum, also: sum, seen: c };
    });
    const program = await engine.compile(graph, { state: ["a", "b", "c", "d"] });
    const of = (...data: number[]): HostTensor => g.hostTensor("f32", [4], data);
    const state = await engine.createState({
      a: of(1, 2, 3, 4),
      b: of(5, 6, 7, 8),
      c: of(9, 9, 9, 9),
      d: of(0, 0, 0, 0),
    });
    for (let i = 0; i < 3; i++) {
      const { also, seen } = await program.run({}, state);
      expect(Array.from(also?.data ?? [])).toEqual([6, 8, 10, 12]);
      expect(Array.from(seen?.data ?? [])).toEqual([9, 9, 9, 9]);
    }
    const held = await state.read();
    expect(Array.from(held.a?.data ?? [])).toEqual([5, 6, 7, 8]);
    expect(Array.from(held.b?.data ?? [])).toEqual([1, 2, 3, 4]);
    expect(Array.from(held.d?.data ?? [])).toEqual([6, 8, 10, 12]);
  });

  it("holds every dtype", async () => {
    const values = {
      f32: g.hostTensor("f32", [3], [1.5, -2, 3]),
      i32: g.hostTensor("i32", [2, 1], [-7, 2 ** 31 - 1]),
      u8: g.hostTensor("u8", [5], [0, 1, 127, 128, 255]),
      bool: g.hostTensor("bool", [3], [1, 0, 1]),
      scalar: g.hostTensor("f32", [], [4]),
    };
    const state = await engine.createState(values);
    expect(await state.read()).toEqual(values);
    await state.write({ u8: g.hostTensor("u8", [5], [9, 8, 7, 6, 5]) });
    expect(Array.from((await state.read(["u8"])).u8?.data ?? [])).toEqual([9, 8, 7, 6, 5]);
  });

  it("gives its place to another engine's", async () => {
    const other = await createOnnxEngine({ executionProvider: "webgpu" });
    const state = await other.createState({ a: filled(3), b: filled(3) });
    const program = await other.compile(counting, { state: ["a", "b"] });
    await program.run({}, state);
    expect(await first(state, "a")).toBe(4);
    await other.close();
    const mine = await engine.createState({ a: filled(1), b: filled(1) });
    expect(await first(mine, "a")).toBe(1);
  });

  it("takes an index outside a table for some row: kernels of a device check none", async () => {
    const table = { t: { dtype: "f32", shape: [3] }, i: { dtype: "i32", shape: [2] } } as const;
    const program = await engine.compile(g.trace(table, ({ t, i }) => ({ y: g.gather(t, i) })));
    const t = g.hostTensor("f32", [3], [1, 2, 3]);
    const { y } = await program.run({ t, i: g.hostTensor("i32", [2], [1, 7]) });
    expect(y?.data[0]).toBe(2);
    const again = await program.run({ t, i: g.hostTensor("i32", [2], [2, 0]) });
    expect(Array.from(again.y?.data ?? [])).toEqual([3, 1]);
  });
});
