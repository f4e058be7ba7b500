/** What every engine promises about programs: inputs, outputs, constants. `state.test.ts` has what it promises about state. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { interpret } from "../../../src/engine/reference/reference-engine.ts";
import type { HostTensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { ENGINES } from "./engines.ts";

const f32 = (shape: readonly number[], ...data: number[]): HostTensor => g.hostTensor("f32", shape, data);
const numbers = (value: HostTensor | undefined): number[] => Array.from(value?.data ?? []);
const vector = { dtype: "f32", shape: [3] } as const;

for (const { name, create } of ENGINES)
  describe(name, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());

    describe("outputs", () => {
      it("may be inputs, constants, and one tensor under several names", async () => {
        const graph = g.trace({ x: vector, y: vector }, ({ x, y }) => {
          const sum = g.add(x, y);
          return { x, again: x, constant: g.constant(7, "f32", [2]), sum, total: sum };
        });
        const program = await engine.compile(graph);
        const found = await program.run({ x: f32([3], 1, 2, 3), y: f32([3], 10, 20, 30) });
        expect(Object.keys(found).sort()).toEqual(["again", "constant", "sum", "total", "x"]);
        expect(numbers(found.x)).toEqual([1, 2, 3]);
        expect(numbers(found.again)).toEqual([1, 2, 3]);
        expect(numbers(found.constant)).toEqual([7, 7]);
        expect(numbers(found.sum)).toEqual([11, 22, 33]);
        expect(numbers(found.total)).toEqual([11, 22, 33]);
        expect(program.graph).toBe(graph);
        expect(program.compileSeconds).toBeGreaterThanOrEqual(0);
      });

      it("may be named like inputs that they are not", async () => {
        const graph = g.trace({ x: vector, y: vector }, ({ x, y }) => ({ y: x, x: g.neg(y) }));
        const program = await engine.compile(graph);
        const found = await program.run({ x: f32([3], 1, 2, 3), y: f32([3], 4, 5, 6) });
        expect(numbers(found.y)).toEqual([1, 2, 3]);
        expect(numbers(found.x)).toEqual([-4, -5, -6]);
      });

      it("keep names with dots, slashes, spaces and other letters", async () => {
        const graph = g.trace({ "visual.proj/0 weight": vector }, (inputs) => ({
          "größe 大": g.neg(inputs["visual.proj/0 weight"]),
        }));
        const program = await engine.compile(graph);
        const found = await program.run({ "visual.proj/0 weight": f32([3], 1, 2, 3) });
        expect(numbers(found["größe 大"])).toEqual([-1, -2, -3]);
      });

      it("are those of each run, not of the first or the last", async () => {
        const program = await engine.compile(g.trace({ x: vector }, ({ x }) => ({ y: g.mul(x, 2) })));
        const first = await program.run({ x: f32([3], 1, 2, 3) });
        const second = await program.run({ x: f32([3], 4, 5, 6) });
        expect(numbers(first.y)).toEqual([2, 4, 6]);
        expect(numbers(second.y)).toEqual([8, 10, 12]);
      });
    });

    describe("inputs", () => {
      const signature = { x: { dtype: "f32", shape: [2, 2] }, i: { dtype: "i32", shape: [] } } as const;
      const graph = g.trace(signature, ({ x, i }) => ({ y: g.add(x, g.convert(i, "f32")) }));
      const i = g.hostTensor("i32", [], [1]);

      it("that are missing or of another type are refused by name", async () => {
        const program = await engine.compile(graph);
        await expect(program.run({ i })).rejects.toThrow("input x (f32[2,2]) is missing");
        await expect(program.run({ x: f32([4], 1, 2, 3, 4), i })).rejects.toThrow(
          "input x: expected f32[2,2], got f32[4]",
        );
        const whole = g.hostTensor("i32", [2, 2], [1, 2, 3, 4]);
        await expect(program.run({ x: whole, i })).rejects.toThrow("input x: expected f32[2,2], got i32[2,2]");
        const found = await program.run({ x: f32([2, 2], 1, 2, 3, 4), i });
        expect(numbers(found.y)).toEqual([2, 3, 4, 5]);
      });

      it("whose data does not fit their type are refused by name", async () => {
        const program = await engine.compile(graph);
        const short = { dtype: "f32", shape: [2, 2], data: new Float32Array(3) } as const;
        await expect(program.run({ x: short, i })).rejects.toThrow(/input x.*3/);
        const double = { dtype: "f32", shape: [2, 2], data: new Float64Array(4) } as const;
        await expect(program.run({ x: double, i })).rejects.toThrow(/input x.*Float64Array/);
      });

      it("may be views into larger arrays, and stay the caller's", async () => {
        const program = await engine.compile(graph);
        const all = new Float32Array([9, 9, 1, 2, 3, 4, 9]);
        const x = { dtype: "f32", shape: [2, 2], data: all.subarray(2, 6) } as const;
        const [first, second] = [await program.run({ x, i }), await program.run({ x, i })];
        expect(numbers(first.y)).toEqual([2, 3, 4, 5]);
        expect(numbers(second.y)).toEqual([2, 3, 4, 5]);
        expect(Array.from(all)).toEqual([9, 9, 1, 2, 3, 4, 9]);
      });

      it("that nothing reads may be given", async () => {
        const program = await engine.compile(g.trace({ x: vector, y: vector }, ({ x }) => ({ z: g.neg(x) })));
        const found = await program.run({ x: f32([3], 1, 2, 3), y: f32([3], 4, 5, 6), unknown: f32([], 1) });
        expect(numbers(found.z)).toEqual([-1, -2, -3]);
      });

      it("with an index outside the table fail, and the engine goes on", async () => {
        const table = { t: { dtype: "f32", shape: [3, 2] }, i: { dtype: "i32", shape: [2] } } as const;
        const program = await engine.compile(g.trace(table, ({ t, i }) => ({ y: g.gather(t, i) })));
        const t = f32([3, 2], 1, 2, 3, 4, 5, 6);
        await expect(program.run({ t, i: g.hostTensor("i32", [2], [0, 3]) })).rejects.toThrow(/3/);
        const found = await program.run({ t, i: g.hostTensor("i32", [2], [2, 0]) });
        expect(numbers(found.y)).toEqual([5, 6, 1, 2]);
      });
    });

    describe("constants", () => {
      const signature = {
        x: { dtype: "f32", shape: [2, 3] },
        w: { dtype: "f32", shape: [2, 3] },
        b: { dtype: "f32", shape: [2] },
        t: { dtype: "i32", shape: [2] },
      } as const;
      const graph = g.trace(signature, ({ x, w, b, t }) => ({
        y: g.add(g.linear(x, w, b), g.convert(t, "f32")),
        w,
        rows: g.gather(x, t),
      }));
      const constants = {
        w: f32([2, 3], 1, 0, 0, 0, 1, 1),
        b: f32([2], 10, 20),
        t: g.hostTensor("i32", [2], [1, 0]),
      };

      it("are baked in, and need not be given", async () => {
        const program = await engine.compile(graph, { constants });
        const found = await program.run({ x: f32([2, 3], 1, 2, 3, 4, 5, 6) });
        expect(numbers(found.y)).toEqual([12, 25, 15, 31]);
        expect(numbers(found.w)).toEqual([1, 0, 0, 0, 1, 1]);
        expect(numbers(found.rows)).toEqual([4, 5, 6, 1, 2, 3]);
      });

      it("are those of the time of compiling", async () => {
        const b = f32([2], 10, 20);
        const program = await engine.compile(graph, { constants: { ...constants, b } });
        b.data.fill(0);
        const found = await program.run({ x: f32([2, 3], 1, 2, 3, 4, 5, 6) });
        expect(numbers(found.y)).toEqual([12, 25, 15, 31]);
      });

      it("of another type than the graph's are refused when compiling", async () => {
        const wrong = { ...constants, b: f32([3], 1, 2, 3) };
        await expect(engine.compile(graph, { constants: wrong })).rejects.toThrow(
          "input b: expected f32[2], got f32[3]",
        );
      });

      it("may be all that a program reads", async () => {
        const program = await engine.compile(
          g.trace({ w: vector }, ({ w }) => ({ y: g.mul(w, w) })),
          { constants: { w: f32([3], 1, 2, 3) } },
        );
        expect(numbers((await program.run({})).y)).toEqual([1, 4, 9]);
      });
    });

    describe("free sizes", () => {
      const graph = g.traceResizable({ batch: [11, 13], length: [5, 7] }, ({ batch, length }) =>
        g.trace({ x: { dtype: "f32", shape: [batch, length, 4] }, w: { dtype: "f32", shape: [4, 4] } }, ({ x, w }) => {
          const mixed = g.attention(g.linear(x, w), x, x, { heads: 2, causal: true });
          const counted = g.convert(g.iota("i32", [batch, length], 1), "f32");
          const first = g.gather(g.reshape(mixed, [batch * length, 4]), g.mul(g.iota("i32", [batch], 0), length));
          const stretched = g.broadcastTo(g.reshape(counted, [1, batch, length]), [2, batch, length]);
          return { mixed, first, stretched, sum: g.softmax(g.add(counted, g.reduceSum(x, [2]))) };
        }),
      );
      const w = f32([4, 4], ...Array.from({ length: 16 }, (_, i) => Math.cos(i)));
      const x = (batch: number, length: number): HostTensor =>
        f32([batch, length, 4], ...Array.from({ length: batch * length * 4 }, (_, i) => Math.sin(i)));

      it("are those of each run", async () => {
        const program = await engine.compile(graph, { constants: { w } });
        for (const [batch, length] of [
          [1, 1],
          [3, 2],
          [2, 9],
          [1, 5],
        ] as const) {
          const found = await program.run({ x: x(batch, length) });
          const wanted = interpret(g.resize(graph, [batch, length]), { w, x: x(batch, length) });
          for (const [name, { shape, data }] of Object.entries(wanted)) {
            expect(found[name]?.shape).toEqual(shape);
            for (const [i, value] of data.entries()) expect(found[name]?.data[i]).toBeCloseTo(value, 4);
          }
        }
      });

      it("leave the other sizes as they are", async () => {
        const program = await engine.compile(graph, { constants: { w } });
        await expect(program.run({ x: f32([1, 2, 3], 1, 2, 3, 4, 5, 6) })).rejects.toThrow(
          "input x: expected f32[batch,length,4], got f32[1,2,3]",
        );
        await expect(program.run({})).rejects.toThrow("input x (f32[batch,length,4]) is missing");
      });
    });

    describe("runs", () => {
      it("at the same time are queued", async () => {
        const program = await engine.compile(g.trace({ x: vector }, ({ x }) => ({ y: g.exp(g.neg(x)) })));
        const found = await Promise.all(
          Array.from({ length: 30 }, (_, i) => program.run({ x: f32([3], i, 2 * i, 3 * i) })),
        );
        for (const [i, { y }] of found.entries()) expect(y?.data[0]).toBeCloseTo(Math.exp(-i), 5);
      });

      it("of several programs at the same time keep apart", async () => {
        const programs = await Promise.all(
          [1, 2, 3].map((n) => engine.compile(g.trace({ x: vector }, ({ x }) => ({ y: g.mul(x, n) })))),
        );
        const found = await Promise.all(programs.map((program) => program.run({ x: f32([3], 1, 10, 100) })));
        expect(found.map(({ y }) => numbers(y))).toEqual([1, 2, 3].map((n) => [n, 10 * n, 100 * n]));
      });

      it("of a closed program fail", async () => {
        const program = await engine.compile(g.trace({ x: vector }, ({ x }) => ({ y: g.neg(x) })));
        await program.close();
        await expect(program.run({ x: f32([3], 1, 2, 3) })).rejects.toThrow(/closed|no program/);
      });

      it("of a closed engine fail", async () => {
        const other = await create();
        const program = await other.compile(g.trace({ x: vector }, ({ x }) => ({ y: g.neg(x) })));
        await other.close();
        await expect(program.run({ x: f32([3], 1, 2, 3) })).rejects.toThrow("closed");
      });
    });
  });
