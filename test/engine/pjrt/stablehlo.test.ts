/** The text of programs: what a plugin would compile. That it computes the right numbers, the conformance suite says (test:pjrt). */
import { describe, expect, it } from "vitest";
import { indexChecks } from "../../../src/engine/pjrt/index-ranges.ts";
import { decomposed, lower } from "../../../src/engine/pjrt/stablehlo/lower.ts";
import * as g from "../../../src/graph/index.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const i32 = (...shape: number[]) => ({ dtype: "i32", shape }) as const;
const lines = (text: string): string[] => text.split("\n").map((line) => line.trim());

describe("a module", () => {
  it("is a function of the inputs that are read, in order", () => {
    const graph = g.trace({ x: f32(2, 3), unused: f32(7), y: f32(3) }, ({ x, y }) => ({ sum: g.add(x, y) }));
    const { module, inputs, outputs } = lower(decomposed(graph));
    expect(inputs).toEqual(["x", "y"]);
    expect(outputs).toEqual(["sum"]);
    expect(lines(module)).toEqual([
      "module @program {",
      "func.func public @main(%arg0: tensor<2x3xf32>, %arg1: tensor<3xf32>) -> (tensor<2x3xf32>) {",
      "%0 = stablehlo.broadcast_in_dim %arg1, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>",
      "%1 = stablehlo.add %arg0, %0 : tensor<2x3xf32>",
      "return %1 : tensor<2x3xf32>",
      "}",
      "}",
    ]);
  });

  it("says which argument a result may take the memory of, and what else it is told", () => {
    const graph = g.trace({ x: f32(2), w: f32(2) }, ({ x, w }) => ({ y: g.mul(x, w), w: g.add(w, x) }));
    const { module } = lower(decomposed(graph), {
      updated: ["w"],
      declarations: ['sdy.mesh @mesh = <["data"=4]>'],
      attributes: {
        input: (name) => (name === "x" ? "sdy.sharding = #a" : undefined),
        output: (name) => (name === "y" ? "sdy.sharding = #b" : undefined),
      },
    });
    expect(lines(module)[1]).toBe('sdy.mesh @mesh = <["data"=4]>');
    expect(lines(module)[2]).toBe(
      "func.func public @main(%arg0: tensor<2xf32> {sdy.sharding = #a}, %arg1: tensor<2xf32> {tf.aliasing_output = 1 : i32}) -> (tensor<2xf32> {sdy.sharding = #b}, tensor<2xf32>) {",
    );
  });

  it("holds numbers by their bits", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, -0, 0.1];
    const graph = g.trace({}, () =>
      Object.fromEntries(values.map((value, i) => [`y${i}`, g.constant(value, "f32", [2])])),
    );
    const { module } = lower(decomposed(graph));
    for (const bits of ["0x7FC00000", "0x7F800000", "0x80000000", "0x3DCCCCCD"])
      expect(module).toContain(`stablehlo.constant dense<${bits}> : tensor<2xf32>`);
  });
});

describe("bfloat16", () => {
  const bodyOf = (precision: "float32" | "bfloat16", platform: string): string => {
    const graph = g.trace({ x: f32(4, 8), w: f32(5, 8) }, ({ x, w }) => {
      const y = g.linear(x, w);
      return {
        loss: g.reduceSum(g.softmax(y)),
        exact: g.dot(x, w, { batch: [[], []], contract: [[1], [1]], exact: true }),
      };
    });
    return lower(decomposed(graph), { precision, platform }).module;
  };

  it("is what factors of products are rounded to, and nothing else", () => {
    const body = bodyOf("bfloat16", "cuda");
    expect(body).toContain("(tensor<4x8xbf16>, tensor<5x8xbf16>) -> tensor<4x5xbf16>");
    const others = lines(body).filter((line) => line.includes("bf16") && !/convert|dot_general/.test(line));
    expect(others).toEqual([]);
    expect(body).toContain("(tensor<4x8xf32>, tensor<5x8xf32>) -> tensor<4x5xf32>");
  });

  it("is not there unless asked for", () => expect(bodyOf("float32", "cpu")).not.toContain("bf16"));

  it("turns a left factor whose first axis is contracted, on the CPU alone", () => {
    const graph = g.trace({ x: f32(6, 4), y: f32(6, 5) }, ({ x, y }) => ({
      z: g.dot(x, y, { batch: [[], []], contract: [[0], [0]] }),
    }));
    const at = (platform: string): string => lower(decomposed(graph), { precision: "bfloat16", platform }).module;
    expect(at("cpu")).toContain("contracting_dims = [1] x [0]");
    expect(at("cuda")).toContain("contracting_dims = [0] x [0]");
  });
});

describe("on the CPU", () => {
  const moduleOf = (graph: g.Graph, platform: string): string =>
    lower(decomposed(graph, false, platform), { platform }).module;

  it("a sum over rows is a product of matrices, the narrower one first", () => {
    const over = [0, 1];
    const graph = g.trace({ x: f32(6, 7, 5), y: f32(6, 7, 3) }, ({ x, y }) => ({
      z: g.dot(x, y, { batch: [[], []], contract: [over, over] }),
    }));
    const types = "(tensor<42x3xf32>, tensor<42x5xf32>) -> tensor<3x5xf32>";
    expect(moduleOf(graph, "cpu")).toContain(types);
    expect(moduleOf(graph, "cuda")).not.toContain(types);
  });

  it("a convolution to few channels computes neighbours together", () => {
    const graph = g.trace({ x: f32(2, 5, 6, 4), kernel: f32(8, 4, 3, 3) }, ({ x, kernel }) => ({
      y: g.convolution(x, kernel, { padding: 1 }),
    }));
    const types = "(tensor<2x5x6x4xf32>, tensor<16x4x3x4xf32>) -> tensor<2x5x3x16xf32>";
    expect(moduleOf(graph, "cpu")).toContain(types);
    expect(moduleOf(graph, "cuda")).not.toContain(types);
  });

  it("a small kernel's outputs are products with patches", () => {
    const graph = g.trace({ x: f32(2, 8, 8, 3), kernel: f32(8, 3, 3, 3) }, ({ x, kernel }) => ({
      y: g.convolution(x, kernel, { padding: 1, stride: 2 }),
    }));
    expect(moduleOf(graph, "cpu")).toContain("(tensor<32x27xf32>, tensor<8x27xf32>) -> tensor<32x8xf32>");
    expect(moduleOf(graph, "cuda")).toContain("stablehlo.convolution");
  });

  it("statistics of a wide result come from its narrow operand", () => {
    const graph = g.trace({ x: f32(40, 8), weight: f32(32, 8), v: f32(32) }, ({ x, weight, v }) => {
      const { y, variance } = g.linearBatchNorm(x, weight, v, v);
      return { y, variance };
    });
    const covariance = "(tensor<40x8xf32>, tensor<40x8xf32>) -> tensor<8x8xf32>";
    expect(moduleOf(graph, "cpu")).toContain(covariance);
    expect(moduleOf(graph, "cuda")).not.toContain(covariance);
  });
});

describe("indices", () => {
  const table = f32(5, 2);
  const checksOf = (graph: g.Graph, onHost: (name: string) => boolean = () => true) =>
    indexChecks(decomposed(graph), onHost);

  it("that are an input's elements are checked where the input is", () => {
    const graph = g.trace({ t: table, u: f32(3, 1), i: i32(2, 2) }, ({ t, u, i }) => ({
      y: g.gather(t, g.reshape(i, [4])),
      z: g.gather(u, g.slice(i, [0, 0], [1, 2])),
    }));
    const { inputs, unchecked } = checksOf(graph);
    expect([...inputs]).toEqual([["i", 3]]);
    expect(unchecked).toEqual([]);
  });

  it("of which a table of indices consists are checked through it", () => {
    const graph = g.trace({ t: table, places: i32(7), i: i32(2) }, ({ t, places, i }) => ({
      y: g.gather(t, g.gather(places, i)),
    }));
    expect([...checksOf(graph).inputs].sort()).toEqual([
      ["i", 7],
      ["places", 5],
    ]);
  });

  it("that cannot be outside are not checked", () => {
    const graph = g.trace({ t: f32(12, 2), x: f32(3, 4), rows: i32(6) }, ({ t, x, rows }) => {
      const flat = g.add(g.mul(g.iota("i32", [3], 0), 4), g.argmax(x));
      const column = g.sub(rows, g.mul(g.div(rows, 4), 4));
      return { y: g.gather(t, flat), rows: g.gather(t, rows), z: g.gather(g.slice(t, [0, 0], [4, 2]), column) };
    });
    const { inputs, unchecked } = checksOf(graph);
    expect([...inputs]).toEqual([["rows", 12]]);
    expect(unchecked).toEqual([]);
  });

  it.each([
    ["of a state", (i: g.Tensor) => i],
    ["one too far", () => g.add(g.iota("i32", [5], 0), 1)],
    ["one too low", () => g.sub(g.iota("i32", [5], 0), 1)],
    ["of another remainder", (i: g.Tensor) => g.sub(i, g.mul(g.div(i, 4), 5))],
    ["rounded from floats", () => g.convert(g.convert(g.iota("i32", [5], 0), "f32"), "i32")],
  ])("%s are looked at by the program", (_, indices) => {
    const graph = g.trace({ t: table, i: i32(5) }, ({ t, i }) => ({ y: g.gather(t, indices(i)) }));
    const { unchecked } = checksOf(graph, () => false);
    expect(unchecked.map(({ rows }) => rows)).toEqual([5]);
    const { module, outputs } = lower(decomposed(graph), { unchecked });
    expect(outputs).toEqual(["y"]);
    expect(module).toContain("-> (tensor<5x2xf32>, tensor<2xi32>)");
  });
});
