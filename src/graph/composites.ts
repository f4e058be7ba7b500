/** Each composite's meaning in primitives (or simpler composites). Engines without a kernel for one use these. */
import {
  add,
  broadcastTo,
  compare,
  concat,
  constant,
  convert,
  div,
  dot,
  erf,
  exp,
  gather,
  iota,
  linear,
  log,
  max,
  mul,
  output,
  pad,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  rsqrt,
  scatterAdd,
  select,
  sigmoid,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  transpose,
} from "./build.ts";
import { elements } from "./dtype.ts";
import { node } from "./node.ts";
import type { CompositeAttrs, CompositeName, Node, OpName, Tensor } from "./tensor.ts";

type Decomposition<K extends CompositeName> = (attrs: CompositeAttrs[K], ...inputs: Tensor[]) => readonly Tensor[];

const last = (x: Tensor): number => x.shape.length - 1;
/** All axes but the last. */
const leading = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, axis) => axis);
const rows = (x: Tensor): number => elements(x.shape.slice(0, -1));

/** [batch, tokens, width] -> [batch, heads, tokens, width / heads]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch = 0, tokens = 0, width = 0] = x.shape;
  return transpose(reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, tokens, head width] -> [batch, tokens, width]. */
export function mergeHeads(x: Tensor): Tensor {
  const [batch = 0, heads = 0, tokens = 0, width = 0] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * width]);
}

/** The part of x that each output position of a convolution sees through kernel tap (i, j): [batch, height', width', in]. */
function tap(padded: Tensor, i: number, j: number, out: readonly number[], stride: readonly [number, number]): Tensor {
  const [batch = 0, , , channels = 0] = padded.shape;
  const [, height = 0, width = 0] = out;
  const limit = [batch, i + (height - 1) * stride[0] + 1, j + (width - 1) * stride[1] + 1, channels];
  return slice(padded, [0, i, j, 0], limit, [1, stride[0], stride[1], 1]);
}

/** Pads rows and columns with zeros; negative amounts, which the gradient of a 1 x 1 convolution with padding has, crop. */
function padOrCrop(
  x: Tensor,
  [[top, bottom], [left, right]]: CompositeAttrs["convolutionKernelGrad"]["padding"],
): Tensor {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const end = [batch, height + Math.min(bottom, 0), width + Math.min(right, 0), channels];
  const cropped = slice(x, [0, Math.max(-top, 0), Math.max(-left, 0), 0], end);
  const low = [0, Math.max(top, 0), Math.max(left, 0), 0];
  return pad(cropped, low, [0, Math.max(bottom, 0), Math.max(right, 0), 0]);
}

/** Of geluTanh. 1/2 (1 + tanh u) = sigmoid(2u), hence the 2. */
const STEEP = 2 * Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

export const DECOMPOSITIONS: { readonly [K in CompositeName]: Decomposition<K> } = {
  relu: (_, x) => [max(x, 0)],
  reluGrad: (_, y, g) => [select(compare(y, "gt", 0), g, 0)],
  quickGelu: (_, x) => [mul(x, sigmoid(mul(x, 1.702)))],
  // d/dx x s(kx) = s + k x s (1 - s) = s (1 + k (x - x s))
  quickGeluGrad: (_, x, g) => {
    const s = sigmoid(mul(x, 1.702));
    return [mul(mul(g, s), add(mul(sub(x, mul(x, s)), 1.702), 1))];
  },
  gelu: (_, x) => [mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1))],
  geluTanh: (_, x) => [mul(x, sigmoid(mul(mul(add(mul(square(x), CUBIC), 1), x), STEEP)))],
  // d/dx x s(u(x)) = s + x s (1 - s) u'(x)
  geluTanhGrad: (_, x, g) => {
    const squares = square(x);
    const s = sigmoid(mul(mul(add(mul(squares, CUBIC), 1), x), STEEP));
    const slope = mul(add(mul(squares, 3 * CUBIC), 1), STEEP);
    return [mul(mul(g, s), add(mul(mul(sub(1, s), x), slope), 1))];
  },
  softmax: (_, x) => {
    const e = exp(sub(x, reduceMax(x, [last(x)], true)));
    return [div(e, reduceSum(e, [last(x)], true))];
  },
  softmaxGrad: (_, y, g) => {
    const gy = mul(g, y);
    return [sub(gy, mul(y, reduceSum(gy, [last(y)], true)))];
  },
  logSoftmax: (_, x) => {
    const shifted = sub(x, reduceMax(x, [last(x)], true));
    return [sub(shifted, log(reduceSum(exp(shifted), [last(x)], true)))];
  },
  linear: (_, x, weight, bias) => {
    if (!x || !weight) throw new Error("linear: no operands");
    const y = dot(x, weight, { batch: [[], []], contract: [[last(x)], [1]] });
    return [bias ? add(y, bias) : y];
  },
  layerNorm: ({ epsilon }, x, gain, bias) => {
    const mean = reduceMean(x, [last(x)], true);
    const centred = sub(x, mean);
    const inverse = rsqrt(add(reduceMean(square(centred), [last(x)], true), epsilon));
    return [add(mul(mul(centred, inverse), gain), bias), mean, inverse];
  },
  layerNormGrad: (_, x, gain, mean, inverse, g) => {
    const normal = mul(sub(x, mean), inverse);
    const scaled = mul(g, gain);
    const along = reduceMean(mul(scaled, normal), [last(x)], true);
    const dx = mul(sub(sub(scaled, reduceMean(scaled, [last(x)], true)), mul(normal, along)), inverse);
    return [dx, reduceSum(mul(g, normal), leading(x)), reduceSum(g, leading(x))];
  },
  batchNorm: ({ epsilon }, x, gain, bias) => {
    const mean = reduceMean(x, leading(x));
    const centred = sub(x, mean);
    const variance = reduceMean(square(centred), leading(x));
    return [add(mul(centred, mul(rsqrt(add(variance, epsilon)), gain)), bias), mean, variance];
  },
  batchNormGrad: ({ epsilon }, x, mean, variance, g) => {
    const inverse = rsqrt(add(variance, epsilon));
    const normal = mul(sub(x, mean), inverse);
    const [dgain, dbias] = [reduceSum(mul(g, normal), leading(x)), reduceSum(g, leading(x))];
    const count = 1 / rows(x);
    return [sub(sub(g, mul(dbias, count)), mul(normal, mul(dgain, count))), dgain, dbias];
  },
  linearBatchNorm: ({ epsilon }, x, weight, gain, bias) => {
    const y = node("batchNorm", { epsilon }, [linear(x, weight), gain, bias]);
    return [y, output(y, 1), output(y, 2)];
  },
  linearBatchNormGrad: ({ epsilon }, x, weight, gain, mean, variance, g) => {
    const dy = node("batchNormGrad", { epsilon }, [linear(x, weight), mean, variance, g]);
    const scale = reshape(mul(gain, rsqrt(add(variance, epsilon))), [-1, 1]);
    const dx = dot(dy, mul(weight, scale), { batch: [[], []], contract: [[last(dy)], [0]] });
    const dweight = mul(dot(dy, x, { batch: [[], []], contract: [leading(x), leading(x)] }), scale);
    return [dx, dweight, output(dy, 1), output(dy, 2)];
  },
  attention: ({ heads, causal }, q, k, v) => {
    const [queries, keys, values] = [splitHeads(q, heads), splitHeads(k, heads), splitHeads(v, heads)];
    const scale = 1 / Math.sqrt(queries.shape[3] ?? 1);
    let scores = dot(mul(queries, scale), keys, {
      batch: [
        [0, 1],
        [0, 1],
      ],
      contract: [[3], [3]],
    });
    if (causal) scores = add(scores, causalMask(scores.shape[2] ?? 0, scores.shape[3] ?? 0, q));
    const probabilities = softmax(scores);
    const mixed = dot(probabilities, values, {
      batch: [
        [0, 1],
        [0, 1],
      ],
      contract: [[3], [2]],
    });
    return [mergeHeads(mixed), probabilities];
  },
  avgPool: ({ window }, x) => {
    const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
    return [reduceMean(reshape(x, [batch, height / window, window, width / window, window, channels]), [2, 4])];
  },
  upsample: ({ window }, x) => {
    const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
    const tiled = broadcastTo(reshape(x, [batch, height, 1, width, 1, channels]), [
      batch,
      height,
      window,
      width,
      window,
      channels,
    ]);
    return [reshape(tiled, [batch, height * window, width * window, channels])];
  },
  // dW[o,i,kh,kw] = sum over positions of g[.., o] x[shifted by (kh, kw), i]: one large matmul a tap.
  convolutionKernelGrad: ({ stride, padding, kernel }, x, g) => {
    const padded = padOrCrop(x, padding);
    const taps: Tensor[] = [];
    for (let i = 0; i < kernel[0]; i++)
      for (let j = 0; j < kernel[1]; j++) {
        const seen = tap(padded, i, j, g.shape, stride);
        taps.push(
          dot(g, seen, {
            batch: [[], []],
            contract: [
              [0, 1, 2],
              [0, 1, 2],
            ],
          }),
        );
      }
    const [out = 0, into = 0] = taps[0]?.shape ?? [];
    const stacked = concat(
      taps.map((t) => reshape(t, [out, into, 1])),
      2,
    );
    return [reshape(stacked, [out, into, ...kernel])];
  },
  crossEntropy: (_, logits, targets) => {
    const [count = 1, classes = 1] = logits.shape;
    const chosen = convert(compare(iota("i32", [count, classes], 1), "eq", reshape(targets, [count, 1])), logits.dtype);
    const logProbabilities = sub(logits, logSumExp(logits));
    return [mul(reduceSum(mul(logProbabilities, chosen)), -1 / count)];
  },
  l2Normalize: (_, x) => [div(x, sqrt(reduceSum(square(x), [last(x)], true)))],
  gatherEach: (_, tables, indices) => {
    const { table, rows } = asOneTable(tables, indices);
    return [gather(table, rows)];
  },
  scatterAddEach: (_, tables, indices, updates) => {
    const { table, rows } = asOneTable(tables, indices);
    return [reshape(scatterAdd(table, rows, updates), tables.shape)];
  },
  placed: (_, x) => [x],
};

/** Tables [n, rows, ...row] below each other, and where in that the rows stand that indices [n, k] name. */
function asOneTable(tables: Tensor, indices: Tensor): { readonly table: Tensor; readonly rows: Tensor } {
  const [count = 0, height = 0, ...row] = tables.shape;
  const first = mul(iota("i32", indices.shape, 0), height);
  return { table: reshape(tables, [count * height, ...row]), rows: add(indices, first) };
}

function logSumExp(x: Tensor): Tensor {
  const highest = reduceMax(x, [last(x)], true);
  return add(log(reduceSum(exp(sub(x, highest)), [last(x)], true)), highest);
}

/** 0 where a query may look, a very negative number where the key lies in its future: [queries, keys]. */
export function causalMask(queries: number, keys: number, like: Tensor): Tensor {
  const future = compare(iota("i32", [queries, keys], 1), "gt", iota("i32", [queries, keys], 0));
  return select(future, constant(-1e9, like.dtype), constant(0, like.dtype));
}

export function isComposite(op: OpName): op is CompositeName {
  return Object.hasOwn(DECOMPOSITIONS, op);
}

/** All outputs of a composite as tensors made of simpler ops. */
export function decompose<K extends CompositeName>(
  composite: Node<K>,
  inputs: readonly Tensor[] = composite.inputs,
): readonly Tensor[] {
  const rule: Decomposition<K> = DECOMPOSITIONS[composite.op];
  return rule(composite.attrs, ...inputs);
}
