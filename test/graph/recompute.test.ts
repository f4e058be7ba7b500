/** Activation checkpointing: the same gradients to the last bit, of fewer kept values. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import * as g from "../../src/graph/index.ts";
import { elements, type Graph, type HostTensor, type Tensor } from "../../src/graph/index.ts";
import { SEED } from "../setup.ts";
import type { GradientCase } from "./finite-differences.ts";
import { GRADIENT_CASES } from "./gradient-cases.ts";
import { fill, type Operand, uniform } from "./random.ts";

/** Gradients of a loss of the case's results; some of the values on the way are kept. */
function gradientsOf({ operands, build }: GradientCase, keeps: (place: number) => boolean): Graph {
  const signature = Object.fromEntries(operands.map(({ dtype, shape }, i) => [`x${i}`, { dtype, shape }]));
  return g.trace(signature, (inputs) => {
    const given = operands.map((_, i) => inputs[`x${i}`] as Tensor);
    const moving = given.filter(({ dtype }) => dtype === "f64");
    // The case's own operands and results stand inside the graph, so that they can be kept or computed again.
    const results = [
      build(...given.map((x) => (x.dtype === "f64" ? g.mul(g.exp(g.log(x)), 1) : x))),
    ].flat() as Tensor[];
    const loss = results.map((y) => g.reduceSum(g.sigmoid(g.tanh(y)))).reduce((sum, term) => g.add(sum, term));
    const keep = g.inOrder([loss]).filter((_, i) => keeps(i));
    return Object.fromEntries(g.gradients(loss, moving, { keep }).map((d, i) => [`d${i}`, d]));
  });
}

describe("gradients are the same to the last bit, whatever is kept", () => {
  for (const [op, entry] of Object.entries(GRADIENT_CASES)) {
    if ("none" in entry) continue;
    it(op, () => {
      const property = fc.property(entry, fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (one, seed, share) => {
        const names = one.operands.map((_, i) => `x${i}`);
        const values = fill(one.operands, seed).map(positive);
        const given = Object.fromEntries(names.map((name, i) => [name, values[i] as HostTensor]));
        const next = uniform(seed);
        const found = interpret(
          gradientsOf(one, () => next() < share),
          given,
        );
        const expected = interpret(
          gradientsOf(one, () => false),
          given,
        );
        expect(found).toEqual(expected);
      });
      fc.assert(property, { numRuns: 20 });
    });
  }
});

/** Where the logarithm is defined. */
const positive = (x: HostTensor): HostTensor => (x.dtype === "f64" ? { ...x, data: x.data.map(Math.abs) } : x);

const SIZE = 100;
const DEPTH = 24;
const real = (...shape: number[]): Operand => ({ dtype: "f64", shape, elements: "any" });
/** Blocks of several element-wise steps, each with a weight of one number, and what goes into each. */
const chain = (x: Tensor, weights: Tensor) => {
  const inputs: Tensor[] = [];
  let y = x;
  for (let block = 0; block < DEPTH; block++) {
    inputs.push(y);
    const w = g.reshape(g.sliceAxis(weights, 0, block, block + 1), []);
    y = g.tanh(g.mul(g.exp(g.sigmoid(g.mul(y, w))), 0.5));
  }
  return { y, inputs };
};
const chainGradients = (kept: (inputs: readonly Tensor[]) => readonly Tensor[]): Graph =>
  g.trace({ x: { dtype: "f64", shape: [SIZE] }, w: { dtype: "f64", shape: [DEPTH] } }, ({ x, w }) => {
    const { y, inputs } = chain(x, w);
    const [dx, dw] = g.gradients(g.reduceSum(y), [x, w], { keep: kept(inputs) }) as [Tensor, Tensor];
    return { dx, dw };
  });

/** Most elements that are held at once when the nodes run in their order, each value until its last reader. */
function peak({ nodes, outputs }: Graph): number {
  const last = new Map<Tensor, number>();
  for (const [i, x] of nodes.entries()) for (const operand of x.inputs) last.set(operand, i);
  for (const { tensor } of outputs) last.set(tensor, nodes.length);
  // No engine writes what is one number stretched.
  const size = (x: Tensor): number => (x.op === "broadcast" || x.op === "constant" ? 0 : elements(x.shape));
  let [held, most] = [0, 0];
  for (const [i, x] of nodes.entries()) {
    held += size(x);
    most = Math.max(most, held);
    for (const operand of new Set([...x.inputs, x])) if (last.get(operand) === i) held -= size(operand);
  }
  return most;
}

describe("what is held", () => {
  it("is an input a block, and the values of one block", () => {
    const [all, blocks] = [chainGradients(() => []), chainGradients((inputs) => inputs)];
    // Of each block sigmoid, exp and tanh are held, or just its input.
    expect(peak(all)).toBeGreaterThan(3 * DEPTH * SIZE);
    expect(peak(blocks)).toBeLessThan((DEPTH + 8) * SIZE);
  });

  it("is less still where every fourth input is kept", () => {
    const fourth = chainGradients((inputs) => inputs.filter((_, i) => i % 4 === 0));
    expect(peak(fourth)).toBeLessThan((DEPTH / 4 + 3 * 4 + 8) * SIZE);
  });

  it("computes again what is not behind the last kept value, and once", () => {
    const count = (graph: Graph, op: string): number => graph.nodes.filter((x) => x.op === op).length;
    const [all, blocks] = [chainGradients(() => []), chainGradients((inputs) => inputs)];
    expect(count(all, "sigmoid")).toBe(DEPTH);
    expect(count(blocks, "sigmoid")).toBe(2 * DEPTH - 1);
    expect(count(blocks, "barrier")).toBe(DEPTH - 1);
    expect(count(all, "barrier")).toBe(0);
  });

  it("waits with each block for all gradients of the blocks behind it", () => {
    const graph = chainGradients((inputs) => inputs);
    const barriers = graph.nodes.filter((x) => x.op === "barrier");
    const sizes = barriers.map(({ inputs }) => inputs.slice(1).map(({ shape }) => shape));
    // The gradient that has come down, and the weights' so far.
    for (const waits of sizes) expect(waits).toEqual([[SIZE], [DEPTH]]);
    const before = new Set<Tensor>();
    for (const barrier of barriers) {
      const behind = new Set(g.inOrder([barrier]).filter((x) => x.op === "barrier"));
      for (const earlier of before) expect(behind.has(earlier)).toBe(true);
      before.add(barrier);
    }
  });
});

it("keeps a value of a node with further outputs, and computes those again", () => {
  const build = (keep: boolean): Graph =>
    g.trace({ x: real(3, 4), s: real(4), b: real(4) }, ({ x, s, b }) => {
      const normal = g.layerNorm(g.exp(x), s, b, 1e-2);
      const y = g.tanh(g.layerNorm(g.tanh(normal), s, b, 1e-2));
      const loss = g.reduceSum(g.mul(y, y));
      const kept = keep ? [x, normal, y] : [];
      return {
        d: g.gradients(loss, [x], { keep: kept })[0] as Tensor,
        ds: g.gradients(loss, [s], { keep: kept })[0] as Tensor,
      };
    });
  const [x, s, b] = fill([real(3, 4), real(4), real(4)], SEED) as [HostTensor, HostTensor, HostTensor];
  expect(interpret(build(true), { x, s, b })).toEqual(interpret(build(false), { x, s, b }));
});
