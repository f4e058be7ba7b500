/** Graphs with free sizes: at any sizes they are what tracing at those sizes gives. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import * as g from "../../src/graph/index.ts";

const free = { batch: [11, 13], length: [5, 7] } as const;

/** Reshapes that merge both sizes, positions, masks, slices of a table, attention: what the text tower does. */
const attending = ({ batch, length }: { batch: number; length: number }): g.Graph =>
  g.trace(
    {
      x: { dtype: "f32", shape: [batch, length, 4] },
      table: { dtype: "f32", shape: [9, 4] },
      w: { dtype: "f32", shape: [4, 4] },
    },
    ({ x, table, w }) => {
      const placed = g.add(x, g.sliceAxis(table, 0, 0, length));
      const mixed = g.attention(g.linear(placed, w), placed, placed, { heads: 2, causal: true });
      const flat = g.reshape(mixed, [batch * length, 4]);
      const rows = g.add(g.mul(g.iota("i32", [batch], 0), length), length - length + 1);
      const seen = g.compare(g.iota("i32", [batch, length], 1), "le", g.constant(1, "i32", [batch, length]));
      return { mixed, second: g.gather(flat, rows), counted: g.convert(seen, "f32") };
    },
  );

const inputs = (batch: number, length: number): Record<string, g.HostTensor> => ({
  x: g.hostTensor(
    "f32",
    [batch, length, 4],
    Array.from({ length: batch * length * 4 }, (_, i) => Math.sin(i)),
  ),
  table: g.hostTensor(
    "f32",
    [9, 4],
    Array.from({ length: 36 }, (_, i) => Math.cos(3 * i)),
  ),
  w: g.hostTensor(
    "f32",
    [4, 4],
    Array.from({ length: 16 }, (_, i) => Math.cos(i)),
  ),
});

describe("resize", () => {
  const graph = g.traceResizable(free, attending);

  it("gives the graph that tracing at those sizes gives", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 2, max: 9 }), (batch, length) => {
        const values = inputs(batch, length);
        const sizes = g.sizesOf(graph, (name) => values[name]?.shape);
        expect(sizes).toEqual([batch, length]);
        const found = interpret(g.resize(graph, sizes), values);
        expect(found).toEqual(interpret(attending({ batch, length }), values));
      }),
      { numRuns: 20 },
    );
  });

  it("finds what a number is a multiple of", () => {
    const sizes = [
      { name: "batch", here: 11, twin: 13 },
      { name: "length", here: 5, twin: 7 },
    ];
    expect(g.multiple(50, 50, sizes)).toEqual({ factor: 50, of: [] });
    expect(g.multiple(33, 39, sizes)).toEqual({ factor: 3, of: [0] });
    expect(g.multiple(110, 182, sizes)).toEqual({ factor: 2, of: [0, 1] });
    expect(g.multiple(12, 14, sizes)).toBeUndefined();
    expect(g.multiple(0, 13, sizes)).toBeUndefined();
  });

  it("refuses sizes that contradict each other", () => {
    const shapes: Record<string, number[]> = { x: [2, 3], y: [4, 3] };
    const pair = g.traceResizable({ batch: [11, 13] }, ({ batch }) =>
      g.trace({ x: { dtype: "f32", shape: [batch, 3] }, y: { dtype: "f32", shape: [batch, 3] } }, ({ x, y }) => ({
        z: g.add(x, y),
      })),
    );
    expect(() => g.sizesOf(pair, (name) => shapes[name])).toThrow("run: batch is 2 elsewhere, input y has 4");
  });

  it("refuses programs whose numbers are no multiples of the sizes", () => {
    const longer = (batch: number): g.Graph =>
      g.trace({ x: { dtype: "f32", shape: [batch, 3] } }, ({ x }) => ({
        y: g.pad(x, [1, 0], [0, 0]),
        z: g.iota("i32", [batch + 1], 0),
      }));
    expect(() => g.traceResizable({ batch: [11, 13] }, ({ batch }) => longer(batch))).toThrow(
      "resize: iota: 12 at the first sizes and 14 at the second are no multiples of them",
    );
    const other = (batch: number): g.Graph =>
      g.trace({ x: { dtype: "f32", shape: [batch, 3] } }, ({ x }) => ({ y: batch === 11 ? g.exp(x) : g.neg(x) }));
    expect(() => g.traceResizable({ batch: [11, 13] }, ({ batch }) => other(batch))).toThrow(
      "resize: exp at the first sizes is neg at the second",
    );
  });

  it("refuses arrays that depend on the sizes", () => {
    expect(() =>
      g.traceResizable({ batch: [11, 13] }, ({ batch }) =>
        g.trace({ x: { dtype: "f32", shape: [batch] } }, ({ x }) => ({
          y: g.add(x, g.constant(new Float32Array(batch), "f32", [batch])),
        })),
      ),
    ).toThrow("resize: constant: its elements depend on the sizes");
  });
});
