/** What every engine promises about values that stay with it from one run to the next. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BoxedValue, Engine, State } from "../../../src/engine/engine.ts";
import type { HostTensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { ENGINES } from "./engines.ts";

const f32 = (shape: readonly number[], ...data: number[]): HostTensor => g.hostTensor("f32", shape, data);
const i32 = (shape: readonly number[], ...data: number[]): HostTensor => g.hostTensor("i32", shape, data);
const numbers = (value: HostTensor | undefined): number[] => Array.from(value?.data ?? []);
const held = async (state: State, name: string): Promise<number[]> => numbers((await state.read([name]))[name]);
const pair = { dtype: "f32", shape: [2] } as const;
const whole = { dtype: "i32", shape: [] } as const;

const counting = g.trace({ count: whole }, ({ count }) => ({ count: g.add(count, 1) }));

for (const { name, create } of ENGINES)
  describe(name, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());

    it("counts over several runs, and returns nothing of it", async () => {
      const program = await engine.compile(counting, { state: ["count"] });
      const state = await engine.createState({ count: i32([], 5) });
      for (let i = 0; i < 4; i++) expect(await program.run({}, state)).toEqual({});
      expect(await held(state, "count")).toEqual([9]);
      expect((await state.read()).count?.shape).toEqual([]);
    });

    it("keeps a moving average beside what the run returns", async () => {
      const graph = g.trace({ average: pair, x: pair }, ({ average, x }) => ({
        average: g.add(g.mul(average, 0.5), g.mul(x, 0.5)),
        distance: g.reduceSum(g.abs(g.sub(x, average))),
      }));
      const program = await engine.compile(graph, { state: ["average"] });
      const state = await engine.createState({ average: f32([2], 0, 0) });
      const first = await program.run({ x: f32([2], 8, 4) }, state);
      const second = await program.run({ x: f32([2], 8, 0) }, state);
      expect(Object.keys(first)).toEqual(["distance"]);
      expect([...numbers(first.distance), ...numbers(second.distance)]).toEqual([12, 6]);
      expect(await held(state, "average")).toEqual([6, 1]);
    });

    it("returns the entry as it was, and as it becomes, under other names", async () => {
      const graph = g.trace({ count: whole }, ({ count }) => {
        const next = g.add(count, 1);
        return { was: count, count: next, is: next };
      });
      const program = await engine.compile(graph, { state: ["count"] });
      const state = await engine.createState({ count: i32([], 1) });
      for (const expected of [1, 2, 3]) {
        const found = await program.run({}, state);
        expect([...numbers(found.was), ...numbers(found.is)]).toEqual([expected, expected + 1]);
      }
      expect(await held(state, "count")).toEqual([4]);
    });

    it("swaps entries, leaves one as it is, and copies one", async () => {
      const graph = g.trace({ a: pair, b: pair, c: pair, d: pair }, ({ a, b, c }) => ({ a: b, b: a, c, d: c }));
      const program = await engine.compile(graph, { state: ["a", "b", "c", "d"] });
      const state = await engine.createState({
        a: f32([2], 1, 1),
        b: f32([2], 2, 2),
        c: f32([2], 3, 3),
        d: f32([2], 4, 4),
      });
      await program.run({}, state);
      const once = await state.read();
      expect(["a", "b", "c", "d"].map((entry) => once[entry]?.data[0])).toEqual([2, 1, 3, 3]);
      await program.run({}, state);
      const twice = await state.read();
      expect(["a", "b", "c", "d"].map((entry) => twice[entry]?.data[0])).toEqual([1, 2, 3, 3]);
    });

    it("writes an entry that it does not read, from an input and from a constant", async () => {
      const graph = g.trace({ x: pair }, ({ x }) => ({ last: x, flag: g.constant(1, "bool") }));
      const program = await engine.compile(graph, { state: ["last", "flag"] });
      const state = await engine.createState({ last: f32([2], 0, 0), flag: g.hostTensor("bool", [], [0]) });
      await program.run({ x: f32([2], 3, 4) }, state);
      expect(await held(state, "last")).toEqual([3, 4]);
      expect(await held(state, "flag")).toEqual([1]);
    });

    it("only reads an entry that no output names, and leaves alone what the program does not know", async () => {
      const graph = g.trace({ w: pair, x: pair }, ({ w, x }) => ({ y: g.mul(w, x) }));
      const program = await engine.compile(graph, { state: ["w"] });
      const state = await engine.createState({ w: f32([2], 2, 3), other: i32([1], 7) });
      expect(numbers((await program.run({ x: f32([2], 1, 10) }, state)).y)).toEqual([2, 30]);
      expect(await held(state, "w")).toEqual([2, 3]);
      expect(await held(state, "other")).toEqual([7]);
    });

    it("is shared by programs for other input shapes", async () => {
      const adding = (rows: number) =>
        g.trace({ sum: pair, x: { dtype: "f32", shape: [rows, 2] } }, ({ sum, x }) => ({
          sum: g.add(sum, g.reduceSum(x, [0])),
        }));
      const [one, three] = await Promise.all([1, 3].map((rows) => engine.compile(adding(rows), { state: ["sum"] })));
      const state = await engine.createState({ sum: f32([2], 0, 0) });
      await one?.run({ x: f32([1, 2], 1, 2) }, state);
      await three?.run({ x: f32([3, 2], 1, 0, 1, 0, 1, 0) }, state);
      await one?.run({ x: f32([1, 2], 1, 2) }, state);
      expect(await held(state, "sum")).toEqual([5, 4]);
    });

    it("goes from one to the other of two states", async () => {
      const program = await engine.compile(counting, { state: ["count"] });
      const [a, b] = [
        await engine.createState({ count: i32([], 0) }),
        await engine.createState({ count: i32([], 100) }),
      ];
      await program.run({}, a);
      await program.run({}, b);
      await program.run({}, a);
      expect([...(await held(a, "count")), ...(await held(b, "count"))]).toEqual([2, 101]);
    });

    it("is never read while it changes", async () => {
      const graph = g.trace({ count: whole }, ({ count }) => ({ count: g.add(count, 1), seen: count }));
      const program = await engine.compile(graph, { state: ["count"] });
      const state = await engine.createState({ count: i32([], 0) });
      const runs = Array.from({ length: 25 }, () => program.run({}, state));
      const between = state.read();
      const more = Array.from({ length: 5 }, () => program.run({}, state));
      const seen = await Promise.all([...runs, ...more]);
      expect(seen.map((found) => numbers(found.seen)[0])).toEqual(Array.from({ length: 30 }, (_, i) => i));
      expect(numbers((await between).count)).toEqual([25]);
      expect(await held(state, "count")).toEqual([30]);
    });

    it("stays as it was when a run fails, or is lost aloud", async () => {
      const graph = g.trace({ count: whole, t: pair, i: whole }, ({ count, t, i }) => ({
        count: g.add(count, 1),
        y: g.gather(t, i),
      }));
      const program = await engine.compile(graph, { state: ["count"] });
      const state = await engine.createState({ count: i32([], 3) });
      const t = f32([2], 1, 2);
      await expect(program.run({ t }, state)).rejects.toThrow("input i");
      await expect(program.run({ t, i: i32([], 9) }, state)).rejects.toThrow("9");
      if (name.startsWith("onnx")) {
        await expect(state.read()).rejects.toThrow("a run failed while it changed this state");
        await expect(program.run({ t, i: i32([], 1) }, state)).rejects.toThrow("which is lost");
        await expect(state.write({ count: i32([], 3) })).rejects.toThrow("which is lost");
        await state.close();
        return;
      }
      expect(await held(state, "count")).toEqual([3]);
      await program.run({ t, i: i32([], 1) }, state);
      expect(await held(state, "count")).toEqual([4]);
    });

    it("is written from the host, entry by entry, and refuses what does not fit", async () => {
      const state = await engine.createState({ a: f32([2], 1, 2), b: i32([], 3) });
      await state.write({ a: f32([2], 5, 6) });
      expect(await held(state, "a")).toEqual([5, 6]);
      expect(await held(state, "b")).toEqual([3]);
      await expect(state.write({ a: f32([3], 1, 2, 3) })).rejects.toThrow(/a.*f32\[2\].*f32\[3\]/);
      await expect(state.write({ b: f32([], 1) })).rejects.toThrow(/b.*i32\[\].*f32\[\]/);
      await expect(state.write({ c: f32([], 1) })).rejects.toThrow("c");
      await expect(state.write({ b: i32([], 9), c: f32([], 1) })).rejects.toThrow("c");
      expect(await held(state, "b")).toEqual([3]);
      await expect(state.read(["c"])).rejects.toThrow("c");
      expect(state.names).toEqual(["a", "b"]);
    });

    it("is the engine's own: the caller's arrays may change", async () => {
      const count = i32([], 1);
      const state = await engine.createState({ count });
      count.data.fill(50);
      expect(await held(state, "count")).toEqual([1]);
      const out = await state.read();
      out.count?.data.fill(60);
      expect(await held(state, "count")).toEqual([1]);
      const next = i32([], 2);
      await state.write({ count: next });
      next.data.fill(70);
      expect(await held(state, "count")).toEqual([2]);
    });

    it("begins with values that are made one after the other, whatever memory they share with others", async () => {
      const shared = Float32Array.of(1, 2, 3, 4);
      const asked: string[] = [];
      const made = (entry: string, value: g.HostTensor): BoxedValue => ({
        dtype: value.dtype,
        shape: value.shape,
        readBox: async (box) => {
          expect(box).toEqual(g.wholePiece(value.shape));
          asked.push(entry);
          return value;
        },
      });
      const state = await engine.createState({
        first: made("first", { dtype: "f32", shape: [2], data: shared.subarray(0, 2) }),
        second: made("second", { dtype: "f32", shape: [2], data: shared.subarray(2) }),
        given: f32([2], 5, 6),
        alone: made("alone", i32([], 7)),
      });
      expect(asked).toEqual(["first", "second", "alone"]);
      expect([...shared]).toEqual([1, 2, 3, 4]);
      for (let round = 0; round < 2; round++)
        expect(Object.entries(await state.read()).map(([entry, { data }]) => [entry, ...data])).toEqual([
          ["first", 1, 2],
          ["second", 3, 4],
          ["given", 5, 6],
          ["alone", 7],
        ]);
      const missing: BoxedValue = {
        ...made("missing", i32([], 1)),
        readBox: () => Promise.reject(new Error("there is none")),
      };
      await expect(engine.createState({ first: f32([1], 1), missing })).rejects.toThrow("there is none");
      expect(await held(state, "given")).toEqual([5, 6]);
    });

    it("is asked for where it is missing, or lacks an entry, or holds another type", async () => {
      const program = await engine.compile(counting, { state: ["count"] });
      await expect(program.run({})).rejects.toThrow(/state/);
      await expect(program.run({}, await engine.createState({ other: i32([], 1) }))).rejects.toThrow("count");
      await expect(program.run({}, await engine.createState({ count: f32([], 1) }))).rejects.toThrow("count");
      await expect(program.run({}, await engine.createState({ count: i32([2], 1, 2) }))).rejects.toThrow("count");
    });

    it("keeps its shapes: an update of another one is refused when compiling", async () => {
      const growing = g.trace({ x: pair }, ({ x }) => ({ x: g.concat([x, x], 0) }));
      await expect(engine.compile(growing, { state: ["x"] })).rejects.toThrow(/x.*f32\[2\].*f32\[4\]/);
    });

    it("is gone when closed", async () => {
      const program = await engine.compile(counting, { state: ["count"] });
      const state = await engine.createState({ count: i32([], 1) });
      await state.close();
      await expect(state.read(["count"])).rejects.toThrow(/closed|no state|no entry/);
      await expect(program.run({}, state)).rejects.toThrow(/./);
    });
  });
