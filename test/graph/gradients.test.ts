import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import type { HostTensor, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { node } from "../../src/graph/node.ts";
import { SEED } from "../setup.ts";
import { checkGradients, expectClose } from "./finite-differences.ts";
import { GRADIENT_CASES } from "./gradient-cases.ts";
import { fill, type Operand } from "./random.ts";

const real = (...shape: number[]): Operand => ({ dtype: "f64", shape, elements: "any" });

describe("gradients of every op are those of finite differences", () => {
  for (const [op, entry] of Object.entries(GRADIENT_CASES)) {
    if ("none" in entry) continue;
    it(op, () => {
      const property = fc.property(entry, fc.nat(), (one, seed) => checkGradients(one, seed));
      fc.assert(property, { numRuns: 40 });
    });
  }
});

describe("gradients through several ops", () => {
  const cases: Readonly<Record<string, { operands: Operand[]; build: (...x: Tensor[]) => Tensor | Tensor[] }>> = {
    "a value used several times": {
      operands: [real(2, 3)],
      build: (x) => {
        const y = g.mul(x, x);
        return g.add(g.mul(y, g.exp(x)), g.add(y, g.reduceSum(y, [1], true)));
      },
    },
    "both operands the same": {
      operands: [real(3, 3)],
      build: (x) => [g.mul(x, x), g.sub(x, x), g.matmul(x, x), g.concat([x, x], 1)],
    },
    "attention of a tensor to itself": {
      operands: [real(2, 3, 4)],
      build: (x) => [
        g.attention(x, x, x, { heads: 2, causal: false }),
        g.attention(x, x, x, { heads: 1, causal: true }),
      ],
    },
    "a linear layer whose weight is its input": { operands: [real(3, 3)], build: (x) => g.linear(x, x) },
    "a composite without a rule of its own whose operands are the same": {
      operands: [real(2, 3)],
      build: (x) => [node("softmaxGrad", {}, [x, x]), node("quickGeluGrad", {}, [x, x])],
    },
    "several results that share a part": {
      operands: [real(2, 3), real(3, 3)],
      build: (x, w) => {
        const y = g.tanh(g.matmul(x, w));
        return [y, g.reduceSum(y), g.softmax(y)];
      },
    },
    "a result that does not depend on an operand": { operands: [real(2), real(2)], build: (x) => g.exp(x) },
    "second derivatives": {
      operands: [real(2, 3)],
      build: (x) => {
        const y = g.reduceSum(g.mul(g.tanh(g.mul(x, x)), g.sigmoid(x)));
        return g.gradients(y, [x]);
      },
    },
    "second derivatives through softmax, gelu and quickGelu": {
      operands: [real(2, 3)],
      build: (x) => g.gradients(g.reduceSum(g.mul(g.softmax(g.gelu(x)), g.quickGelu(x))), [x]),
    },
    "the contrastive loss of both directions": {
      operands: [real(3, 4), real(3, 4), real()],
      build: (images, texts, scale) => {
        const logits = g.mul(g.exp(scale), g.matmul(g.l2Normalize(images), g.transpose(g.l2Normalize(texts), [1, 0])));
        const targets = g.iota("i32", [3], 0);
        return g.add(g.crossEntropy(logits, targets), g.crossEntropy(g.transpose(logits, [1, 0]), targets));
      },
    },
    "a small network": {
      operands: [real(2, 4, 4, 3), real(2, 3, 3, 3), real(2), real(2)],
      build: (x, k, s, b) => {
        const { y } = g.batchNorm(g.convolution(x, k, { padding: 1 }), s, b);
        const pooled = g.reshape(g.avgPool(g.quickGelu(y), 2), [2, 4, 2]);
        const mixed = g.attention(pooled, pooled, pooled, { heads: 1, causal: true });
        return g.mul(g.quickGelu(g.layerNorm(mixed, s, b)), g.gelu(pooled));
      },
    },
  };
  for (const [name, one] of Object.entries(cases)) it(name, () => checkGradients(one, SEED));
});

describe("pullback and gradients", () => {
  const inputs = { x: { dtype: "f64", shape: [2] }, w: { dtype: "f64", shape: [2] } } as const;
  const [x, w] = fill([real(2), real(2)], SEED) as [HostTensor, HostTensor];
  const values = (found: Readonly<Record<string, HostTensor>>, name: string): number[] =>
    Array.from(found[name]?.data ?? []);
  const one = (tensors: readonly Tensor[]): Tensor => tensors[0] as Tensor;

  it("count what one tensor changes in another where the total is wanted", () => {
    const graph = g.trace(inputs, ({ x, w }) => {
      const hidden = g.exp(x);
      const loss = g.reduceSum(g.mul(g.mul(hidden, x), w));
      const [dhidden, dx] = g.gradients(loss, [hidden, x], { total: true }) as [Tensor, Tensor];
      const [, partial] = g.gradients(loss, [hidden, x]) as [Tensor, Tensor];
      return { dhidden, dx, partial };
    });
    const found = interpret(graph, { x, w });
    const each = (fn: (x: number, w: number) => number): number[] =>
      Array.from(x.data, (value, i) => fn(value, w.data[i] as number));
    const dhidden = each((a, b) => a * b);
    expectClose(values(found, "dhidden"), dhidden, "dhidden");
    const total = each((a, b) => Math.exp(a) * (a + 1) * b);
    expectClose(values(found, "dx"), total, "total");
    const partial = each((a, b) => Math.exp(a) * b);
    expectClose(values(found, "partial"), partial, "partial");
  });

  it("count an intermediate tensor as independent", () => {
    const graph = g.trace(inputs, ({ x, w }) => {
      const hidden = g.exp(x);
      const loss = g.reduceSum(g.mul(g.mul(hidden, hidden), w));
      const [dhidden, dx, dw] = g.gradients(loss, [hidden, x, w]) as [Tensor, Tensor, Tensor];
      return { dhidden, dx, dw, dxAlone: one(g.gradients(loss, [x])) };
    });
    const found = interpret(graph, { x, w });
    const hidden = Array.from(x.data, Math.exp);
    const at = (i: number): number => w.data[i] as number;
    expectClose(
      values(found, "dhidden"),
      hidden.map((h, i) => 2 * h * at(i)),
      "dhidden",
    );
    // Everything reaches x through the hidden tensor, which takes it.
    expectClose(values(found, "dx"), [0, 0], "dx");
    expectClose(
      values(found, "dxAlone"),
      hidden.map((h, i) => 2 * h * h * at(i)),
      "dx alone",
    );
    expectClose(
      values(found, "dw"),
      hidden.map((h) => h * h),
      "dw",
    );
  });

  it("give the cotangent where a result is itself asked for", () => {
    const graph = g.trace(inputs, ({ x }) => {
      const y = g.exp(x);
      const [dy, dx] = g.pullback([y, x], [g.constant(3, "f64", [2]), g.constant(5, "f64")], [y, x]) as [
        Tensor,
        Tensor,
      ];
      return { dy, dx };
    });
    const found = interpret(graph, { x, w });
    expect(values(found, "dy")).toEqual([3, 3]);
    expect(values(found, "dx")).toEqual([5, 5]);
  });

  it("are zeros of the right shape where nothing depends, and through integers and booleans", () => {
    const graph = g.trace(inputs, ({ x, w }) => {
      const whole = g.convert(g.convert(x, "i32"), "f64");
      const above = g.convert(g.compare(x, "gt", 0), "f64");
      const loss = g.reduceSum(g.mul(g.add(whole, above), 2));
      const [dx, dw] = g.gradients(loss, [x, w]) as [Tensor, Tensor];
      return { dx, dw };
    });
    const found = interpret(graph, { x, w });
    expect(values(found, "dx")).toEqual([0, 0]);
    expect(values(found, "dw")).toEqual([0, 0]);
  });

  it("pass through another precision and come back in the operand's", () => {
    const graph = g.trace(inputs, ({ x, w }) => {
      const loss = g.reduceSum(g.mul(g.convert(g.convert(x, "f32"), "f64"), w));
      return { dx: one(g.gradients(loss, [x])) };
    });
    expect(graph.outputs[0]?.tensor.dtype).toBe("f64");
    expectClose(values(interpret(graph, { x, w }), "dx"), Array.from(w.data), "dx", 1e-6);
  });

  it("share a tie equally", () => {
    const graph = g.trace(inputs, ({ x }) => {
      const same = g.concat([x, x, g.sub(x, 1)], 0);
      const [most, least] = [g.reduceMax(same), g.reduceMin(g.neg(same))];
      return {
        most: one(g.gradients(most, [same])),
        least: one(g.gradients(least, [same])),
        pair: one(g.gradients(g.reduceSum(g.max(x, x)), [x])),
        left: one(g.pullback([g.max(x, g.mul(x, 1))], [g.constant(1, "f64")], [x])),
      };
    });
    const found = interpret(graph, { x: g.hostTensor("f64", [2], [1, 2]), w });
    expect(values(found, "most")).toEqual([0, 0.5, 0, 0.5, 0, 0]);
    expectClose(values(found, "least"), [0, -0.5, 0, -0.5, 0, 0], "least");
    expect(values(found, "pair")).toEqual([1, 1]);
    expect(values(found, "left")).toEqual([1, 1]);
  });

  it("reach an exponent that is a constant, where it is asked for", () => {
    const graph = g.trace(inputs, ({ x }) => {
      const two = g.constant(2, "f64", [2]);
      return { d: one(g.gradients(g.reduceSum(g.pow(x, two)), [two])) };
    });
    const base = g.hostTensor("f64", [2], [1, 3]);
    expectClose(values(interpret(graph, { x: base, w }), "d"), [0, 9 * Math.log(3)], "d");
  });

  it("refuse what they cannot do, by name", () => {
    const a = g.input("a", "f64", [2, 2]);
    const v = g.input("v", "f64", [2]);
    const { mean } = g.batchNorm(a, v, v);
    expect(() => g.gradients(a, [a])).toThrow("gradients: expected a scalar, got f64[2,2]");
    expect(() => g.gradients(g.reduceSum(mean), [a])).toThrow("further output 1 of batchNorm");
    expect(() => g.pullback([a], [], [a])).toThrow(/pullback: .*1.*0/);
    expect(() => g.pullback([a], [g.input("c", "f64", [3])], [a])).toThrow(/\[3\]|\[2,2\]/);
    expect(() => g.gradients(g.reduceSum(g.convert(a, "i32")), [a])).toThrow(/gradients: expected .*i32/);
  });
});
