/** Random cases for the gradient of every op; an op without an entry does not compile. */
import fc from "fast-check";
import type { OpName, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { node } from "../../src/graph/node.ts";
import type { GradientCase } from "./finite-differences.ts";
import type { Elements, Operand } from "./random.ts";

/** Cases, or why there is nothing to differentiate. */
type Entry = fc.Arbitrary<GradientCase> | { readonly none: string };

const size = (max = 3): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const shapes = (minLength = 0, maxLength = 3): fc.Arbitrary<number[]> => fc.array(size(), { minLength, maxLength });

const real = (shape: readonly number[], elements: Elements = "any"): Operand => ({ dtype: "f64", shape, elements });
const whole = (shape: readonly number[], below: number): Operand => ({ dtype: "i32", shape, elements: { below } });

const unary = (build: (x: Tensor) => Tensor, elements: Elements = "any", leastRank = 0): Entry =>
  shapes(leastRank).map((shape) => ({ operands: [real(shape, elements)], build }));

/** Two shapes that broadcast against each other, both ways around. */
const broadcasting: fc.Arbitrary<[number[], number[]]> = shapes().chain((shape) => {
  const part = fc
    .tuple(fc.nat(shape.length), fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }))
    .map(([dropped, ones]) => shape.map((s, axis) => (ones[axis] ? 1 : s)).slice(dropped));
  return fc.tuple(part, part);
});

const binary = (build: (a: Tensor, b: Tensor) => Tensor, left: Elements = "any", right = left): Entry =>
  broadcasting.map(([a, b]) => ({ operands: [real(a, left), real(b, right)], build }));

/** Several operands of one shape. */
const alike = (count: number, build: GradientCase["build"], leastRank = 0): Entry =>
  shapes(leastRank).map((shape) => ({ operands: Array.from({ length: count }, () => real(shape)), build }));

const someAxes = (rank: number): fc.Arbitrary<number[]> => fc.subarray(Array.from({ length: rank }, (_, i) => i));
const withAxes = (build: (x: Tensor, axes: readonly number[]) => Tensor, elements: Elements = "any"): Entry =>
  shapes(1).chain((shape) =>
    someAxes(shape.length).map((axes) => ({ operands: [real(shape, elements)], build: (x) => build(x, axes) })),
  );

/** Every arrangement of batch, contracted and free axes on both sides. */
const dots: Entry = fc
  .record({
    batch: shapes(0, 2),
    contract: shapes(0, 2),
    left: shapes(0, 2),
    right: shapes(0, 2),
    order: fc.tuple(fc.integer(), fc.integer()),
  })
  .chain(({ batch, contract, left, right }) => {
    const order = (free: readonly number[]) => {
      const sizes = [...batch, ...contract, ...free];
      const places = sizes.map((_, i) => i);
      return fc.shuffledSubarray(places, { minLength: places.length }).map((order) => ({
        shape: order.map((i) => sizes[i] ?? 1),
        batch: batch.map((_, i) => order.indexOf(i)),
        contract: contract.map((_, i) => order.indexOf(batch.length + i)),
      }));
    };
    return fc.tuple(order(left), order(right)).map(([a, b]) => ({
      operands: [real(a.shape), real(b.shape)],
      build: (x: Tensor, y: Tensor) => g.dot(x, y, { batch: [a.batch, b.batch], contract: [a.contract, b.contract] }),
    }));
  });

/** Strides, paddings uneven on all four sides, kernels from 1x1 to 3x3 and not square. */
const convolutions = fc
  .record({
    batch: size(2),
    height: size(4),
    width: size(4),
    into: size(2),
    out: size(2),
    kernel: fc.tuple(size(), size()),
    stride: fc.tuple(size(), size()),
    padding: fc.tuple(fc.tuple(fc.nat(2), fc.nat(2)), fc.tuple(fc.nat(2), fc.nat(2))),
  })
  .filter(
    ({ height, width, kernel: [kh, kw], padding: [[top, bottom], [left, right]] }) =>
      height + top + bottom >= kh && width + left + right >= kw,
  );

const attentions: Entry = fc
  .record({ batch: size(2), queries: size(), keys: size(), heads: size(2), width: size(2), causal: fc.boolean() })
  .map(({ batch, queries, keys, heads, width, causal }) => ({
    operands: [real([batch, queries, heads * width]), ...[0, 1].map(() => real([batch, keys, heads * width]))],
    build: (q, k, v) => g.attention(q, k, v, { heads, causal }),
  }));

const images = (smallest: number): fc.Arbitrary<{ window: number; shape: number[] }> =>
  fc
    .tuple(size(2), size(2), size(2), size(2), fc.integer({ min: smallest, max: 3 }))
    .map(([batch, height, width, channels, window]) => ({ window, shape: [batch, height, width, channels] }));

const rowsByIndex = fc.record({ rows: size(4), row: shapes(0, 2), indices: shapes(0, 2) });

const rowsOfEach = fc.record({ count: size(3), rows: size(4), row: shapes(0, 2), indices: size(4) });

/** Amounts for each axis. */
const amounts = (rank: number, max = 2): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(max), { minLength: rank, maxLength: rank });

const slices: Entry = fc
  .array(fc.tuple(size(5), fc.nat(4), fc.nat(4), size()), { minLength: 1, maxLength: 3 })
  .map((axes) => {
    const bounds = axes.map(([length, from, count, stride]) => {
      const start = Math.min(from, length - 1);
      return { length, start, limit: Math.min(length, start + 1 + count), stride };
    });
    const each = (key: "length" | "start" | "limit" | "stride"): number[] => bounds.map((bound) => bound[key]);
    return {
      operands: [real(each("length"))],
      build: (x) => g.slice(x, each("start"), each("limit"), each("stride")),
    };
  });

const channels = (build: (x: Tensor, gain: Tensor, bias: Tensor) => Tensor): Entry =>
  fc
    .tuple(shapes(1, 2), fc.integer({ min: 2, max: 4 }))
    .map(([lead, width]) => ({ operands: [real([...lead, width]), real([width]), real([width])], build }));

export const GRADIENT_CASES = {
  input: { none: "has no operands" },
  constant: { none: "has no operands" },
  iota: { none: "has no operands" },
  neg: unary(g.neg),
  exp: unary(g.exp),
  log: unary(g.log, "positive"),
  sqrt: unary(g.sqrt, "positive"),
  rsqrt: unary(g.rsqrt, "positive"),
  tanh: unary(g.tanh),
  sigmoid: unary(g.sigmoid),
  erf: unary(g.erf),
  abs: unary(g.abs, "apart"),
  sign: unary((x) => g.mul(g.sign(x), x), "apart"),
  not: { none: "booleans do not move" },
  add: binary(g.add),
  sub: binary(g.sub),
  mul: binary(g.mul),
  div: binary(g.div, "any", "positive"),
  pow: binary(g.pow, "positive", "any"),
  max: binary(g.max, "apart"),
  min: binary(g.min, "apart"),
  and: { none: "booleans do not move" },
  or: { none: "booleans do not move" },
  compare: binary((a, b) => g.mul(g.convert(g.compare(a, "lt", b), "f64"), a), "apart"),
  select: broadcasting.map(([a, b]) => ({
    operands: [{ dtype: "bool", shape: b, elements: "bool" }, real(a), real(b)],
    build: (condition, yes, no) => g.select(condition, yes, no),
  })),
  convert: unary((x) => node("convert", { dtype: "f64" }, [x])),
  reshape: shapes(1).map((shape) => ({
    operands: [real(shape)],
    build: (x) => g.reshape(g.reshape(x, [-1]), [...shape.toReversed(), 1]),
  })),
  transpose: shapes(1, 4).chain((shape) =>
    fc
      .shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      )
      .map((permutation) => ({ operands: [real(shape)], build: (x: Tensor) => g.transpose(x, permutation) })),
  ),
  broadcast: shapes(0, 4).chain((shape) =>
    fc
      .tuple(
        fc.subarray(shape.map((_, axis) => axis)),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      )
      .map(([dimensions, ones]) => ({
        operands: [real(dimensions.map((axis) => (ones[axis] ? 1 : (shape[axis] ?? 1))))],
        build: (x: Tensor) => g.broadcast(x, shape, dimensions),
      })),
  ),
  slice: slices,
  pad: shapes(1).chain((shape) =>
    fc.tuple(amounts(shape.length), amounts(shape.length), amounts(shape.length)).map(([low, high, interior]) => ({
      operands: [real(shape)],
      build: (x: Tensor) => g.pad(x, low, high, interior),
    })),
  ),
  concat: shapes(1).chain((shape) =>
    fc.tuple(fc.nat(shape.length - 1), fc.array(size(), { minLength: 1, maxLength: 4 })).map(([axis, sizes]) => ({
      operands: sizes.map((length) => real(shape.map((s, i) => (i === axis ? length : s)))),
      // The first once more: an operand that stands in two places.
      build: (...parts: Tensor[]) => g.concat([...parts, parts[0] as Tensor], axis),
    })),
  ),
  reverse: withAxes(g.reverse),
  reduceSum: withAxes(g.reduceSum),
  reduceMax: withAxes(g.reduceMax, "apart"),
  reduceMin: withAxes(g.reduceMin, "apart"),
  argmax: { none: "indices do not move" },
  dot: dots,
  gather: rowsByIndex.map(({ rows, row, indices }) => ({
    operands: [real([rows, ...row]), whole(indices, rows)],
    build: (table, i) => g.gather(table, i),
  })),
  scatterAdd: rowsByIndex.map(({ rows, row, indices }) => ({
    operands: [real([rows, ...row]), whole(indices, rows), real([...indices, ...row])],
    build: (table, i, updates) => g.scatterAdd(table, i, updates),
  })),
  convolution: convolutions.map(({ batch, height, width, into, out, kernel, stride, padding }) => ({
    operands: [real([batch, height, width, into]), real([out, into, ...kernel])],
    build: (x, k) => node("convolution", { stride, padding }, [x, k]),
  })),
  barrier: fc.tuple(shapes(), shapes()).map(([shape, other]) => ({
    operands: [real(shape), real(other)],
    build: (x: Tensor, y: Tensor) => g.barrier(x, [y, g.exp(x)]),
  })),
  output: { none: "has none, and says so: gradients.test.ts asks" },
  relu: unary(g.relu, "apart"),
  reluGrad: shapes().map((shape) => ({
    operands: [real(shape, "apart"), real(shape)],
    build: (y, d) => node("reluGrad", {}, [y, d]),
  })),
  quickGelu: unary(g.quickGelu),
  quickGeluGrad: alike(2, (x, d) => node("quickGeluGrad", {}, [x as Tensor, d as Tensor])),
  gelu: unary(g.gelu),
  geluTanh: unary(g.geluTanh),
  geluTanhGrad: alike(2, (x, d) => node("geluTanhGrad", {}, [x as Tensor, d as Tensor])),
  softmax: unary(g.softmax, "any", 1),
  softmaxGrad: alike(2, (y, d) => node("softmaxGrad", {}, [y as Tensor, d as Tensor]), 1),
  logSoftmax: unary(g.logSoftmax, "any", 1),
  linear: fc.tuple(shapes(0, 3), size(), size(), fc.boolean()).map(([lead, into, out, biased]) => ({
    operands: [real([...lead, into]), real([out, into]), ...(biased ? [real([out])] : [])],
    build: (x, weight, bias) => g.linear(x, weight, bias),
  })),
  layerNorm: channels((x, gain, bias) => g.layerNorm(x, gain, bias, 1e-2)),
  layerNormGrad: fc.tuple(shapes(1, 2), size(4)).map(([lead, width]) => ({
    operands: [real([...lead, width]), real([width]), ...[0, 1].map(() => real([...lead, 1])), real([...lead, width])],
    build: (...operands) => node("layerNormGrad", {}, operands),
  })),
  batchNorm: channels((x, gain, bias) => g.batchNorm(x, gain, bias, 1e-2).y),
  batchNormGrad: fc.tuple(shapes(1, 2), size()).map(([lead, width]) => ({
    operands: [real([...lead, width]), real([width]), real([width], "positive"), real([...lead, width])],
    build: (...operands) => node("batchNormGrad", { epsilon: 1e-2 }, operands),
  })),
  linearBatchNorm: fc.tuple(shapes(1, 2), size(), size()).map(([lead, into, out]) => ({
    operands: [real([...lead, into]), real([out, into]), real([out]), real([out])],
    build: (x, weight, gain, bias) => g.linearBatchNorm(x, weight, gain, bias, 1e-2).y,
  })),
  linearBatchNormGrad: fc.tuple(shapes(1, 2), size(), size()).map(([lead, into, out]) => ({
    operands: [
      ...[[...lead, into], [out, into], [out], [out]].map((shape) => real(shape)),
      real([out], "positive"),
      real([...lead, out]),
    ],
    build: (...operands) => node("linearBatchNormGrad", { epsilon: 1e-2 }, operands),
  })),
  attention: attentions,
  avgPool: images(1).map(({ window, shape: [batch = 1, height = 1, width = 1, depth = 1] }) => ({
    operands: [real([batch, height * window, width * window, depth])],
    build: (x) => node("avgPool", { window }, [x]),
  })),
  upsample: images(1).map(({ window, shape }) => ({
    operands: [real(shape)],
    build: (x) => node("upsample", { window }, [x]),
  })),
  convolutionKernelGrad: convolutions.map(({ batch, height, width, into, out, kernel, stride, padding }) => {
    const covered = (axis: 0 | 1, length: number): number =>
      Math.floor((length + padding[axis][0] + padding[axis][1] - kernel[axis]) / stride[axis]) + 1;
    return {
      operands: [real([batch, height, width, into]), real([batch, covered(0, height), covered(1, width), out])],
      build: (x, d) => node("convolutionKernelGrad", { stride, padding, kernel }, [x, d]),
    };
  }),
  crossEntropy: fc.tuple(size(4), size(4)).map(([rows, classes]) => ({
    operands: [real([rows, classes]), whole([rows], classes)],
    build: (logits, targets) => g.crossEntropy(logits, targets),
  })),
  l2Normalize: unary(g.l2Normalize, "positive", 1),
  gatherEach: rowsOfEach.map(({ count, rows, row, indices }) => ({
    operands: [real([count, rows, ...row]), whole([count, indices], rows)],
    build: (tables, i) => g.gatherEach(tables, i),
  })),
  scatterAddEach: rowsOfEach.map(({ count, rows, row, indices }) => ({
    operands: [real([count, rows, ...row]), whole([count, indices], rows), real([count, indices, ...row])],
    build: (...operands) => node("scatterAddEach", {}, operands),
  })),
  placed: unary((x) => g.placed(x, [["data"]]), "any", 1),
} satisfies Record<OpName, Entry>;
