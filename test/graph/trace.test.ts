import { describe, expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import type { Graph, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";

const signature = { x: { dtype: "f32", shape: [2, 3] }, y: { dtype: "f32", shape: [2, 3] } } as const;
const ops = (graph: Graph): string[] => graph.nodes.map(({ op }) => op);
const count = (graph: Graph, op: string): number => ops(graph).filter((name) => name === op).length;
const value = (graph: Graph, name: string, inputs = {}): number[] =>
  Array.from(interpret(graph, inputs)[name]?.data ?? []);

describe("trace", () => {
  it("merges equal subexpressions, whatever made them", () => {
    const graph = g.trace(signature, ({ x, y }) => {
      const once = g.exp(g.add(x, y));
      const again = g.exp(g.add(x, y));
      return { a: g.mul(once, again), b: g.mul(again, once), c: g.reduceSum(g.mul(once, once)) };
    });
    expect(ops(graph)).toEqual(["input", "input", "add", "exp", "mul", "reduceSum"]);
    const [a, b] = graph.outputs;
    expect(a?.tensor).toBe(b?.tensor);
  });

  it("merges what becomes equal when reshapes or transposes collapse", () => {
    const graph = g.trace(signature, ({ x }) => ({
      a: g.exp(g.reshape(g.reshape(x, [6]), [3, 2])),
      b: g.exp(g.reshape(x, [3, 2])),
      c: g.tanh(g.transpose(g.transpose(g.reshape(x, [1, 2, 3]), [2, 0, 1]), [1, 0, 2])),
      d: g.tanh(g.transpose(g.reshape(x, [1, 2, 3]), [0, 2, 1])),
    }));
    expect(count(graph, "exp")).toBe(1);
    expect(count(graph, "tanh")).toBe(1);
    expect(count(graph, "transpose")).toBe(1);
  });

  it("drops reshapes and transposes that undo each other", () => {
    const graph = g.trace(signature, ({ x }) => ({
      a: g.transpose(g.transpose(x, [1, 0]), [1, 0]),
      b: g.reshape(g.reshape(g.reshape(x, [6]), [3, 2]), [2, 3]),
    }));
    expect(ops(graph)).toEqual(["input"]);
  });

  it("keeps apart what differs in an attribute, an operand's place or an array", () => {
    const three = new Float32Array([1, 2, 3]);
    const graph = g.trace(signature, ({ x, y }) => ({
      a: g.sub(x, y),
      b: g.sub(y, x),
      c: g.reduceSum(x, [0]),
      d: g.reduceSum(x, [1]),
      e: g.constant(three, "f32", [3]),
      f: g.constant(new Float32Array([3, 2, 1]), "f32", [3]),
      h: g.constant(three, "f32", [3]),
      i: g.constant(three, "f32", [3, 1]),
    }));
    expect(count(graph, "sub")).toBe(2);
    expect(count(graph, "reduceSum")).toBe(2);
    expect(count(graph, "constant")).toBe(3);
  });

  it("keeps apart constants that JSON writes alike", () => {
    const numbers = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const graph = g.trace({}, () => Object.fromEntries(numbers.map((x, i) => [`${i}`, g.constant(x, "f32")])));
    expect(numbers.map((_, i) => value(graph, `${i}`)[0])).toEqual(numbers);
  });

  it("leaves out what no output needs, and keeps unused inputs in the signature", () => {
    const graph = g.trace(signature, ({ x, y }) => {
      g.exp(y);
      return { out: g.neg(x) };
    });
    expect(ops(graph)).toEqual(["input", "neg"]);
    expect(graph.inputs.map((x) => x.attrs.name)).toEqual(["x", "y"]);
  });

  it("keeps one further output of a composite for all who read it", () => {
    const graph = g.trace({ x: { dtype: "f32", shape: [4, 3] }, v: { dtype: "f32", shape: [3] } }, ({ x, v }) => {
      const [one, two] = [g.batchNorm(x, v, v), g.batchNorm(x, v, v)];
      return { mean: one.mean, same: two.mean, variance: two.variance, y: one.y };
    });
    expect(count(graph, "batchNorm")).toBe(1);
    expect(count(graph, "output")).toBe(2);
  });

  it("refuses a tensor that another trace made", () => {
    let foreign: Tensor | undefined;
    g.trace(signature, ({ x }) => {
      foreign = g.exp(x);
      return { out: foreign };
    });
    expect(() => g.trace(signature, ({ x }) => ({ out: g.add(x, foreign ?? x) }))).toThrow(
      /input x is not in the signature/,
    );
  });

  it("manages a graph that is deep", () => {
    const graph = g.trace({ x: { dtype: "f64", shape: [] } }, ({ x }) => {
      let y = x;
      for (let i = 0; i < 20_000; i++) y = g.add(y, 1);
      return { y, d: g.gradients(y, [x])[0] as Tensor };
    });
    const x = g.hostTensor("f64", [], [0.5]);
    expect(value(graph, "y", { x })).toEqual([20_000.5]);
    expect(value(graph, "d", { x })).toEqual([1]);
  });
});

describe("expand", () => {
  const inputs = { x: { dtype: "f64", shape: [2, 4] }, v: { dtype: "f64", shape: [4] } } as const;
  const graph = g.trace(inputs, ({ x, v }) => {
    const { y, mean } = g.batchNorm(g.gelu(g.layerNorm(x, v, v)), v, v);
    const loss = g.crossEntropy(g.linear(y, g.reshape(g.concat([v, v], 0), [2, 4])), g.constant(1, "i32", [2]));
    return { loss, mean, dx: g.gradients(loss, [x])[0] as Tensor, x };
  });
  const given = {
    x: g.hostTensor("f64", [2, 4], [1, 2, 3, 5, -1, 0.5, 0.25, 2]),
    v: g.hostTensor("f64", [4], [0.5, 1.5, -1, 2]),
  };

  it("leaves only primitives where an engine has no composite, with the same values", () => {
    const primitives = g.expand(graph, () => false);
    expect(ops(primitives).filter((op) => op === "output" || g.isComposite(op as g.OpName))).toEqual([]);
    for (const { name } of graph.outputs) {
      const [whole, parts] = [value(graph, name, given), value(primitives, name, given)];
      expect(parts.length).toBe(whole.length);
      for (const [i, x] of whole.entries()) expect(parts[i]).toBeCloseTo(x, 12);
    }
  });

  it("keeps what an engine runs whole, and says whether further outputs are read", () => {
    const asked = new Map<string, boolean>();
    const kept = g.expand(graph, ({ op }, further) => {
      asked.set(op, further || (asked.get(op) ?? false));
      return op === "gelu" || op === "layerNorm";
    });
    expect(count(kept, "gelu")).toBe(1);
    expect(count(kept, "layerNorm")).toBe(1);
    expect(count(kept, "batchNorm")).toBe(0);
    expect(asked.get("layerNorm")).toBe(true);
    expect(asked.get("batchNorm")).toBe(true);
    expect(asked.get("gelu")).toBe(false);
    expect(value(kept, "dx", given)).toEqual(value(graph, "dx", given));
  });
});
