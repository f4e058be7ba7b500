/** Composites against their closed forms, written with plain loops. */
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import type { CompositeName, HostTensor, OpAttrs } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { node } from "../../src/graph/node.ts";
import { expectClose } from "./finite-differences.ts";
import { fill, type Operand } from "./random.ts";

const real = (...shape: number[]): Operand => ({ dtype: "f64", shape, elements: "any" });

type Plain = (...operands: number[][]) => number[][];
interface ValueCase<K extends CompositeName> {
  readonly attrs: OpAttrs[K];
  readonly operands: readonly Operand[];
  /** All outputs, flat. */
  readonly plain: Plain;
}

const sum = (xs: readonly number[]): number => xs.reduce((total, x) => total + x, 0);
const mean = (xs: readonly number[]): number => sum(xs) / xs.length;
const spread = (xs: readonly number[]): number => mean(xs.map((x) => (x - mean(xs)) ** 2));
const at = (xs: readonly number[], i: number): number => xs[i] ?? Number.NaN;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** Rows of a flat matrix. */
const rowsOf = (x: readonly number[], width: number): number[][] =>
  range(x.length / width).map((i) => x.slice(i * width, (i + 1) * width));
const columnsOf = (x: readonly number[], width: number): number[][] =>
  range(width).map((k) => rowsOf(x, width).map((row) => at(row, k)));
const byRow =
  (width: number, fn: (row: number[], other: number[]) => number[]): Plain =>
  (x = [], y = []) => {
    const others = rowsOf(y, width);
    return [rowsOf(x, width).flatMap((row, i) => fn(row, others[i] ?? []))];
  };
const softmaxed = (row: readonly number[]): number[] => {
  const total = sum(row.map(Math.exp));
  return row.map((x) => Math.exp(x) / total);
};
const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** The normal distribution function by Simpson's rule. */
function cumulative(x: number): number {
  const steps = 2000;
  const h = x / steps;
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  const inner = sum(range(steps - 1).map((i) => (i % 2 === 0 ? 4 : 2) * density((i + 1) * h)));
  return 0.5 + (h / 3) * (density(0) + inner + density(x));
}

function attended(heads: number, causal: boolean, queries: number, keys: number, width: number): Plain {
  return (q = [], k = [], v = []) => {
    const size = width / heads;
    const batch = q.length / queries / width;
    const y = new Array<number>(q.length).fill(0);
    const probabilities: number[] = [];
    for (const n of range(batch))
      for (const h of range(heads))
        for (const i of range(queries)) {
          const scores = range(keys).map((j) => {
            if (causal && j > i) return Number.NEGATIVE_INFINITY;
            const products = range(size).map(
              (c) => at(q, (n * queries + i) * width + h * size + c) * at(k, (n * keys + j) * width + h * size + c),
            );
            return sum(products) / Math.sqrt(size);
          });
          const weights = softmaxed(scores);
          probabilities.push(...weights);
          for (const c of range(size))
            y[(n * queries + i) * width + h * size + c] = sum(
              weights.map((w, j) => w * at(v, (n * keys + j) * width + h * size + c)),
            );
        }
    return [y, probabilities];
  };
}

const normalisedColumns =
  (width: number, epsilon: number): Plain =>
  (x = [], gain = [], bias = []) => {
    const columns = columnsOf(x, width);
    const normal = columns.map((column, k) =>
      column.map((value) => ((value - mean(column)) / Math.sqrt(spread(column) + epsilon)) * at(gain, k) + at(bias, k)),
    );
    return [
      range(x.length).map((i) => at(normal[i % width] ?? [], Math.floor(i / width))),
      columns.map(mean),
      columns.map(spread),
    ];
  };

const multiplied =
  (into: number): Plain =>
  (x = [], weight = [], bias) => [
    rowsOf(x, into).flatMap((row) =>
      rowsOf(weight, into).map((w, o) => sum(w.map((value, c) => value * at(row, c))) + (bias ? at(bias, o) : 0)),
    ),
  ];

/** GELU by its tanh approximation, as PyTorch's documentation writes it. */
const byTanh = (v: number): number => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));

/** A composite that only gradients make is tested as the gradient it is. */
const VALUES: { readonly [K in CompositeName]: ValueCase<K> | "as a gradient" } = {
  relu: { attrs: {}, operands: [real(3, 4)], plain: (x = []) => [x.map((v) => Math.max(v, 0))] },
  reluGrad: {
    attrs: {},
    operands: [real(3, 4), real(3, 4)],
    plain: (y = [], d = []) => [d.map((v, i) => (at(y, i) > 0 ? v : 0))],
  },
  quickGelu: { attrs: {}, operands: [real(3, 4)], plain: (x = []) => [x.map((v) => v * logistic(1.702 * v))] },
  quickGeluGrad: "as a gradient",
  gelu: { attrs: {}, operands: [real(3, 4)], plain: (x = []) => [x.map((v) => v * cumulative(v))] },
  geluTanh: { attrs: {}, operands: [real(3, 4)], plain: (x = []) => [x.map(byTanh)] },
  geluTanhGrad: "as a gradient",
  softmax: { attrs: {}, operands: [real(2, 2, 3)], plain: byRow(3, softmaxed) },
  softmaxGrad: {
    attrs: {},
    operands: [real(2, 2, 3), real(2, 2, 3)],
    plain: byRow(3, (y, d) => y.map((v, i) => v * (at(d, i) - sum(y.map((w, j) => w * at(d, j)))))),
  },
  logSoftmax: { attrs: {}, operands: [real(2, 4)], plain: byRow(4, (row) => softmaxed(row).map(Math.log)) },
  linear: { attrs: {}, operands: [real(2, 3, 4), real(5, 4), real(5)], plain: multiplied(4) },
  layerNorm: {
    attrs: { epsilon: 1e-3 },
    operands: [real(2, 3, 4), real(4), real(4)],
    plain: (x = [], gain = [], bias = []) => {
      const rows = rowsOf(x, 4);
      const inverse = rows.map((row) => 1 / Math.sqrt(spread(row) + 1e-3));
      return [
        rows.flatMap((row, i) => row.map((v, c) => (v - mean(row)) * at(inverse, i) * at(gain, c) + at(bias, c))),
        rows.map(mean),
        inverse,
      ];
    },
  },
  layerNormGrad: "as a gradient",
  batchNorm: {
    attrs: { epsilon: 1e-3 },
    operands: [real(2, 3, 4), real(4), real(4)],
    plain: normalisedColumns(4, 1e-3),
  },
  batchNormGrad: "as a gradient",
  linearBatchNorm: {
    attrs: { epsilon: 1e-3 },
    operands: [real(2, 3, 4), real(5, 4), real(5), real(5)],
    plain: (x = [], weight = [], gain = [], bias = []) =>
      normalisedColumns(5, 1e-3)(multiplied(4)(x, weight)[0] ?? [], gain, bias),
  },
  linearBatchNormGrad: "as a gradient",
  attention: {
    attrs: { heads: 2, causal: true },
    operands: [real(2, 3, 4), real(2, 3, 4), real(2, 3, 4)],
    plain: attended(2, true, 3, 3, 4),
  },
  avgPool: {
    attrs: { window: 2 },
    operands: [real(2, 4, 2, 3)],
    plain: (x = []) => [
      range(2 * 2 * 1 * 3).map((flat) => {
        const [n, y, c] = [Math.floor(flat / 6), Math.floor(flat / 3) % 2, flat % 3];
        return mean(range(4).map((t) => at(x, ((n * 4 + 2 * y + (t >> 1)) * 2 + (t & 1)) * 3 + c)));
      }),
    ],
  },
  upsample: {
    attrs: { window: 2 },
    operands: [real(1, 2, 1, 2)],
    plain: (x = []) => [range(16).map((flat) => at(x, Math.floor(flat / 8) * 2 + (flat % 2)))],
  },
  convolutionKernelGrad: "as a gradient",
  crossEntropy: {
    attrs: {},
    operands: [real(3, 4), { dtype: "i32", shape: [3], elements: { below: 4 } }],
    plain: (x = [], t = []) => [[mean(rowsOf(x, 4).map((row, i) => -Math.log(at(softmaxed(row), at(t, i)))))]],
  },
  l2Normalize: {
    attrs: {},
    operands: [real(2, 2, 3)],
    plain: byRow(3, (row) => row.map((x) => x / Math.hypot(...row))),
  },
  gatherEach: {
    attrs: {},
    operands: [real(2, 3, 2), { dtype: "i32", shape: [2, 4], elements: { below: 3 } }],
    plain: (tables = [], indices = []) => [
      indices.flatMap((row, i) => rowsOf(tables, 2)[3 * Math.floor(i / 4) + row] ?? []),
    ],
  },
  scatterAddEach: {
    attrs: {},
    operands: [real(2, 3, 2), { dtype: "i32", shape: [2, 4], elements: { below: 3 } }, real(2, 4, 2)],
    plain: (tables = [], indices = [], updates = []) => {
      const sums = [...tables];
      for (const [i, row] of indices.entries())
        for (const c of range(2)) {
          const place = 2 * (3 * Math.floor(i / 4) + row) + c;
          sums[place] = at(sums, place) + at(updates, 2 * i + c);
        }
      return [sums];
    },
  },
  placed: { attrs: { sharding: [["data"], []] }, operands: [real(4, 2)], plain: (x = []) => [x] },
};

function check<K extends CompositeName>(op: K, { attrs, operands, plain }: ValueCase<K>, seed: number): void {
  const values = fill(operands, seed);
  const names = operands.map((_, i) => `x${i}`);
  const signature = Object.fromEntries(values.map(({ dtype, shape }, i) => [`x${i}`, { dtype, shape }]));
  const graph = g.trace(signature, (inputs) => {
    const y = node(
      op,
      attrs,
      names.map((name) => inputs[name] as g.Tensor),
    );
    const parts = g.inferAll(op, attrs, y.inputs).map((_, index) => g.output(y, index));
    return Object.fromEntries(parts.map((part, index) => [`y${index}`, part]));
  });
  const found = interpret(graph, Object.fromEntries(values.map((value, i) => [`x${i}`, value])));
  const expected = plain(...values.map(({ data }) => Array.from(data)));
  expect(Object.keys(found).length).toBe(expected.length);
  for (const [index, values] of expected.entries())
    expectClose(Array.from((found[`y${index}`] as HostTensor).data), values, `${op}, output ${index}`, 1e-12);
}

describe("composites have the values of their closed forms", () => {
  for (const op of Object.keys(VALUES) as CompositeName[]) {
    const one = VALUES[op];
    if (one !== "as a gradient")
      it(op, () => [1, 2, 3].forEach((seed) => void check(op, one as ValueCase<typeof op>, seed)));
  }
  it("attention with more keys than queries, and fewer, and without a mask", () => {
    for (const [heads, causal, queries, keys] of [
      [1, false, 2, 4],
      [2, true, 2, 4],
      [2, true, 4, 2],
    ] as const) {
      const operands = [real(2, queries, 4), real(2, keys, 4), real(2, keys, 4)];
      check("attention", { attrs: { heads, causal }, operands, plain: attended(heads, causal, queries, keys, 4) }, 5);
    }
  });
  it("a linear layer without a bias", () =>
    check("linear", { attrs: {}, operands: [real(2, 3), real(4, 3)], plain: multiplied(3) }, 1));
  it("gelu of known numbers", () => {
    const x = g.hostTensor("f64", [4], [0, 1, -1, 8]);
    const graph = g.trace({ x: { dtype: "f64", shape: [4] } }, ({ x }) => ({ y: g.gelu(x) }));
    const phi = 0.8413447460685429;
    expectClose(Array.from(interpret(graph, { x }).y?.data ?? []), [0, phi, phi - 1, 8], "gelu", 1e-15);
  });
  it("softmax, logSoftmax and crossEntropy of large logits stay finite", () => {
    const x = g.hostTensor("f64", [1, 3], [1000, 999, -1000]);
    const graph = g.trace({ x: { dtype: "f64", shape: [1, 3] } }, ({ x }) => ({
      p: g.softmax(x),
      l: g.logSoftmax(x),
      c: g.crossEntropy(x, g.constant(2, "i32", [1])),
    }));
    const { p, l, c } = interpret(graph, { x });
    const [most, less] = [1 / (1 + Math.exp(-1)), 1 / (1 + Math.exp(1))];
    expectClose(Array.from(p?.data ?? []), [most, less, 0], "softmax", 1e-12);
    expectClose(
      Array.from(l?.data ?? []),
      [Math.log(most), Math.log(less), -2000 + Math.log(most)],
      "logSoftmax",
      1e-12,
    );
    expectClose(Array.from(c?.data ?? []), [2000 - Math.log(most)], "crossEntropy", 1e-12);
  });
  it("variances of operands far from 0 keep their digits", () => {
    const x = g.hostTensor("f64", [2, 1], [1e6, 1e6 + 1]);
    const one = g.hostTensor("f64", [1], [1]);
    const graph = g.trace({ x: { dtype: "f64", shape: [2, 1] }, one: { dtype: "f64", shape: [1] } }, ({ x, one }) => {
      const { mean, variance } = g.batchNorm(x, one, one);
      return { mean, variance };
    });
    const found = interpret(graph, { x, one });
    expect(found.mean?.data[0]).toBe(1e6 + 0.5);
    expect(found.variance?.data[0]).toBe(0.25);
  });
});

it("avgPool and upsample are each other's transpose", () => {
  const [x, y] = fill([real(1, 4, 4, 2), real(1, 2, 2, 2)], 9) as [HostTensor, HostTensor];
  const graph = g.trace({ x, y }, ({ x, y }) => ({
    a: g.reduceSum(g.mul(g.avgPool(x, 2), y)),
    b: g.mul(g.reduceSum(g.mul(x, node("upsample", { window: 2 }, [y]))), 0.25),
  }));
  const { a, b } = interpret(graph, { x, y });
  expect(a?.data[0]).toBeCloseTo(b?.data[0] as number, 12);
});
