import { describe, expect, it } from "vitest";
import type { Graph, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";

/** x + exp(x), which each test breaks in one place. */
const sound = (): Graph => g.trace({ x: { dtype: "f32", shape: [2] } }, ({ x }) => ({ y: g.add(x, g.exp(x)) }));

const changed = (graph: Graph, place: number, change: Partial<Tensor>): Graph => {
  const nodes = graph.nodes.map((tensor, i) => (i === place ? { ...tensor, ...change } : tensor));
  const moved = new Map(graph.nodes.map((tensor, i) => [tensor, nodes[i] as Tensor]));
  // Users of the changed node use the changed one.
  const relinked = nodes.map((tensor) =>
    Object.assign(tensor, { inputs: tensor.inputs.map((x) => moved.get(x) ?? x) }),
  );
  const outputs = graph.outputs.map(({ name, tensor }) => ({ name, tensor: moved.get(tensor) ?? tensor }));
  return { inputs: graph.inputs, nodes: relinked, outputs };
};

describe("verify refuses graphs broken by hand", () => {
  it("but not a sound one", () => {
    expect(() => g.verify(sound())).not.toThrow();
    expect(() => g.verify(changed(sound(), 1, {}))).not.toThrow();
  });

  it("a shape that is not the rule's", () => {
    expect(() => g.verify(changed(sound(), 1, { shape: [3] }))).toThrow(
      /exp %\d+ says f32\[3\], its rule gives f32\[2\]/,
    );
  });

  it("a dtype that is not the rule's", () => {
    expect(() => g.verify(changed(sound(), 2, { dtype: "i32" }))).toThrow(
      /add %\d+ says i32\[2\], its rule gives f32\[2\]/,
    );
  });

  it("operands that the rule refuses", () => {
    expect(() => g.verify(changed(sound(), 1, { inputs: [] }))).toThrow("exp: expected 1 operands, got 0");
  });

  it("an operand that is nowhere", () => {
    const stranger = g.input("z", "f32", [2]);
    const graph = changed(sound(), 1, { inputs: [stranger] });
    expect(() => g.verify(graph)).toThrow(
      new RegExp(`exp %\\d+ uses %${stranger.id} \\(input\\), which does not come before it`),
    );
  });

  it("an operand that comes later", () => {
    const graph = sound();
    const [x, exp, add] = graph.nodes as [Tensor, Tensor, Tensor];
    expect(() => g.verify({ ...graph, nodes: [x, add, exp] })).toThrow(
      `add %${add.id} uses %${exp.id} (exp), which does not come before it`,
    );
  });

  it("an operand with the id of another", () => {
    const graph = sound();
    const [x, exp] = graph.nodes as [Tensor, Tensor];
    const twin = { ...exp, inputs: [{ ...x }] };
    expect(() => g.verify({ ...graph, nodes: [x, twin], outputs: [{ name: "y", tensor: twin }] })).toThrow(
      `exp %${exp.id} uses %${x.id} (input), which does not come before it`,
    );
  });

  it("one id twice", () => {
    const graph = sound();
    const [x, exp, add] = graph.nodes as [Tensor, Tensor, Tensor];
    expect(() => g.verify({ ...graph, nodes: [x, exp, exp, add] })).toThrow(`exp %${exp.id} stands in the graph twice`);
    expect(() => g.verify(changed(graph, 1, { id: x.id }))).toThrow(`exp %${x.id} stands in the graph twice`);
  });

  it("an input outside the signature", () => {
    expect(() => g.verify({ ...sound(), inputs: [] })).toThrow("input x is not in the signature");
  });

  it("two inputs or two outputs of one name", () => {
    const graph = sound();
    expect(() => g.verify({ ...graph, inputs: [...graph.inputs, ...graph.inputs] })).toThrow("two inputs are named x");
    expect(() => g.verify({ ...graph, outputs: [...graph.outputs, ...graph.outputs] })).toThrow(
      "two outputs are named y",
    );
  });

  it("an output that is not in the graph", () => {
    const graph = sound();
    const outside = g.constant(1, "f32");
    expect(() => g.verify({ ...graph, outputs: [{ name: "y", tensor: outside }] })).toThrow(
      `output y is %${outside.id}, which is not in the graph`,
    );
  });

  it("a further output that its composite does not have", () => {
    const graph = g.trace({ x: { dtype: "f32", shape: [2, 3] }, v: { dtype: "f32", shape: [3] } }, ({ x, v }) => ({
      mean: g.batchNorm(x, v, v).mean,
    }));
    const place = graph.nodes.findIndex(({ op }) => op === "output");
    expect(() => g.verify(changed(graph, place, { attrs: { index: 3 } }))).toThrow("batchNorm has no further output 3");
  });
});
