/** Reverse-mode differentiation: one table, a rule an op. A missing rule does not compile. */
import {
  add,
  broadcast,
  broadcastTo,
  compare,
  constant,
  convert,
  div,
  dot,
  erf,
  exp,
  gather,
  log,
  mul,
  neg,
  output,
  pad,
  pow,
  reduceSum,
  reshape,
  reverse,
  rsqrt,
  scatterAdd,
  select,
  sign,
  slice,
  sliceAxis,
  softmax,
  square,
  sub,
  transpose,
} from "./build.ts";
import { decompose, isComposite, mergeHeads, splitHeads } from "./composites.ts";
import { elements, isFloat } from "./dtype.ts";
import { node } from "./node.ts";
import { inOrder } from "./order.ts";
import { recomputation } from "./recompute.ts";
import { made, type Node, type OpName, show, type Tensor } from "./tensor.ts";

/**
 * Gradients to the node's inputs, given the gradient `g` to its first output; `undefined` where none flows.
 * `"decompose"`: the gradient of the decomposition is used.
 */
type Gradient<K extends OpName> = Rule<Node<K>> | "decompose";
type Rule<Y extends Tensor> = (y: Y, g: Tensor, ...inputs: Tensor[]) => readonly (Tensor | undefined)[];

const nothing = () => [];
/** How a reduction's result is laid over its operand again. */
const restored = (reduced: Tensor, x: Tensor, axes: readonly number[]): Tensor =>
  broadcast(
    reduced,
    x.shape,
    x.shape.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis])),
  );

/** The highest (lowest) element takes the gradient; equal ones share it. */
const toExtreme: Rule<Node<"reduceMax" | "reduceMin">> = (y, g, x) => {
  const { axes } = y.attrs;
  const hit = convert(compare(x, "eq", restored(y, x, axes)), x.dtype);
  const share = div(hit, restored(reduceSum(hit, axes), x, axes));
  return [mul(share, restored(g, x, axes))];
};

/** Of max (min): equal operands share the gradient. */
const toLarger =
  (direction: "gt" | "lt"): Rule<Tensor> =>
  (_, g, a, b) => {
    const half = mul(convert(compare(a, "eq", b), g.dtype), 0.5);
    const won = (x: Tensor, y: Tensor) => mul(g, add(convert(compare(x, direction, y), g.dtype), half));
    return [won(a, b), won(b, a)];
  };

const permuted = (permutation: readonly number[]): number[] => permutation.map((_, axis) => permutation.indexOf(axis));

const dotGradient: Gradient<"dot"> = (y, g, a, b) => {
  const { batch, contract, ...kept } = y.attrs;
  const free = (x: Tensor, side: 0 | 1) =>
    x.shape.flatMap((_, axis) => (batch[side].includes(axis) || contract[side].includes(axis) ? [] : [axis]));
  const [freeA, freeB] = [free(a, 0), free(b, 1)];
  const lead = batch[0].map((_, i) => i);
  // g's axes: batch, free of a, free of b.
  const firstB = lead.length + freeA.length;
  const axesOfB = freeB.map((_, i) => firstB + i);
  const axesOfA = freeA.map((_, i) => lead.length + i);
  const inOrderOf = (kept: readonly number[], mates: readonly number[]): number[] =>
    [...mates.keys()].sort((i, j) => (kept[i] ?? 0) - (kept[j] ?? 0)).map((i) => mates[i] ?? 0);
  /** To the operand on a side, from g and the other one; taken the way round that leaves least to transpose. */
  const toSide = (side: 0 | 1, free: readonly number[], other: Tensor, freeOther: number[], axes: number[]): Tensor => {
    const mate = side === 0 ? 1 : 0;
    // The contracted axes come in the other operand's order.
    const contracted = inOrderOf(contract[mate], contract[side]);
    const isFreeFirst = Math.min(...free) < Math.min(...contracted);
    const d = isFreeFirst
      ? dot(g, other, { batch: [lead, batch[mate]], contract: [axes, freeOther], ...kept })
      : dot(other, g, { batch: [batch[mate], lead], contract: [freeOther, axes], ...kept });
    return transpose(d, permuted([...batch[side], ...(isFreeFirst ? [free, contracted] : [contracted, free]).flat()]));
  };
  return [toSide(0, freeA, b, freeB, axesOfB), toSide(1, freeB, a, freeA, axesOfA)];
};

/** g as `plain` times a factor of each channel, which the gradients of a linear map take up where they are small. */
function withoutFactor(g: Tensor): { readonly plain: Tensor; readonly factor?: Tensor } {
  const [plain, stretched] = g.inputs;
  if (!made(g, "mul") || !plain || !stretched || !made(stretched, "broadcast")) return { plain: g };
  const [factor] = stretched.inputs;
  const isOfChannels =
    factor?.shape[0] === g.shape.at(-1) && `${stretched.attrs.dimensions}` === `${g.shape.length - 1}`;
  return factor && isOfChannels ? { plain, factor } : { plain: g };
}

const convolutionGradient: Gradient<"convolution"> = (y, g, x, kernel) => {
  const { stride, padding } = y.attrs;
  const [, , kh = 1, kw = 1] = kernel.shape;
  const [, height = 0, width = 0] = x.shape;
  const [, outHeight = 0, outWidth = 0] = g.shape;
  const { plain, factor } = withoutFactor(g);
  const ofChannels = (whole: Tensor): Tensor => (factor ? mul(whole, reshape(factor, [-1, 1, 1, 1])) : whole);
  // dX: the gradient, spread by the stride and padded to full overlap, convolved with the flipped kernel, its channels swapped.
  const spread = (axis: 0 | 1, size: number, out: number, window: number): readonly [number, number] => {
    const low = window - 1 - padding[axis][0];
    return [low, size + window - 1 - low - ((out - 1) * stride[axis] + 1)];
  };
  const [rows, columns] = [spread(0, height, outHeight, kh), spread(1, width, outWidth, kw)];
  const interior = [0, stride[0] - 1, stride[1] - 1, 0];
  const spreadOut = pad(plain, [0, 0, 0, 0], [0, 0, 0, 0], interior);
  const scaled = ofChannels(kernel);
  const flipped = kh * kw === 1 ? scaled : reverse(scaled, [2, 3]);
  const dx = node("convolution", { stride: [1, 1], padding: [rows, columns] }, [
    spreadOut,
    transpose(flipped, [1, 0, 2, 3]),
  ]);
  return [dx, ofChannels(node("convolutionKernelGrad", { stride, padding, kernel: [kh, kw] }, [x, plain]))];
};

const GRADIENTS: { readonly [K in OpName]: Gradient<K> } = {
  input: nothing,
  constant: nothing,
  iota: nothing,
  neg: (_, g) => [neg(g)],
  exp: (y, g) => [mul(g, y)],
  log: (_, g, x) => [div(g, x)],
  sqrt: (y, g) => [div(mul(g, 0.5), y)],
  rsqrt: (y, g) => [mul(mul(g, -0.5), mul(y, square(y)))],
  tanh: (y, g) => [mul(g, sub(1, square(y)))],
  sigmoid: (y, g) => [mul(g, mul(y, sub(1, y)))],
  erf: (_, g, x) => [mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))],
  abs: (_, g, x) => [mul(g, sign(x))],
  sign: nothing,
  not: nothing,
  add: (_, g) => [g, g],
  sub: (_, g) => [g, neg(g)],
  mul: (_, g, a, b) => [mul(g, b), mul(g, a)],
  div: (y, g, _a, b) => [div(g, b), neg(mul(g, div(y, b)))],
  pow: (y, g, a, b) => [mul(g, mul(b, pow(a, sub(b, 1)))), mul(g, mul(y, log(a)))],
  max: toLarger("gt"),
  min: toLarger("lt"),
  and: nothing,
  or: nothing,
  compare: nothing,
  select: (_, g, condition) => [undefined, select(condition, g, 0), select(condition, 0, g)],
  convert: (_, g, x) => [isFloat(x.dtype) ? convert(g, x.dtype) : undefined],
  reshape: (_, g, x) => [reshape(g, x.shape)],
  transpose: (y, g) => [transpose(g, permuted(y.attrs.permutation))],
  broadcast: (y, g, x) => {
    const { dimensions, shape } = y.attrs;
    const stretched = shape.flatMap((size, axis) =>
      dimensions.includes(axis) && x.shape[dimensions.indexOf(axis)] === size ? [] : [axis],
    );
    return [reshape(reduceSum(g, stretched), x.shape)];
  },
  slice: (y, g, x) => {
    const { start, stride } = y.attrs;
    const end = x.shape.map((size, axis) => {
      const covered = Math.max(0, ((g.shape[axis] ?? 0) - 1) * (stride[axis] ?? 1) + 1);
      return size - (start[axis] ?? 0) - covered;
    });
    return [
      pad(
        g,
        start,
        end,
        stride.map((step) => step - 1),
      ),
    ];
  },
  pad: (y, g, x) => {
    const { low, interior } = y.attrs;
    const step = interior.map((between) => between + 1);
    const limit = x.shape.map((size, axis) => (low[axis] ?? 0) + Math.max(0, (size - 1) * (step[axis] ?? 1) + 1));
    return [slice(g, low, limit, step)];
  },
  concat: (y, g, ...parts) => {
    let from = 0;
    return parts.map((part) => {
      const to = from + (part.shape[y.attrs.axis] ?? 0);
      const share = sliceAxis(g, y.attrs.axis, from, to);
      from = to;
      return share;
    });
  },
  reverse: (y, g) => [reverse(g, y.attrs.axes)],
  reduceSum: (y, g, x) => [restored(g, x, y.attrs.axes)],
  reduceMax: toExtreme,
  reduceMin: toExtreme,
  argmax: nothing,
  dot: dotGradient,
  gather: (_, g, table, indices) => [scatterAdd(constant(0, table.dtype, table.shape), indices, g)],
  scatterAdd: (_, g, _table, indices) => [g, undefined, gather(g, indices)],
  convolution: convolutionGradient,
  barrier: (_, g) => [g],
  output: (y) => {
    throw new Error(`gradient: none is defined through further output ${y.attrs.index} of ${y.inputs[0]?.op}`);
  },
  relu: (y, g) => [node("reluGrad", {}, [y, g])],
  reluGrad: (_, g, y) => [undefined, node("reluGrad", {}, [y, g])],
  quickGelu: (_, g, x) => [node("quickGeluGrad", {}, [x, g])],
  quickGeluGrad: "decompose",
  gelu: (_, g, x) => {
    const cumulative = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [mul(g, add(cumulative, mul(x, density)))];
  },
  geluTanh: (_, g, x) => [node("geluTanhGrad", {}, [x, g])],
  geluTanhGrad: "decompose",
  softmax: (y, g) => [node("softmaxGrad", {}, [y, g])],
  softmaxGrad: "decompose",
  logSoftmax: (y, g) => [sub(g, mul(exp(y), reduceSum(g, [g.shape.length - 1], true)))],
  linear: (_, g, x, weight, bias) => {
    const rows = x.shape.slice(0, -1).map((_, axis) => axis);
    const { plain, factor } = withoutFactor(g);
    const ofRows = (matrix: Tensor): Tensor => (factor ? mul(matrix, reshape(factor, [-1, 1])) : matrix);
    const dx = dot(plain, ofRows(weight), { batch: [[], []], contract: [[rows.length], [0]] });
    const dweight = ofRows(dot(plain, x, { batch: [[], []], contract: [rows, rows] }));
    return bias ? [dx, dweight, reduceSum(g, rows)] : [dx, dweight];
  },
  layerNorm: (y, g, x, gain) => {
    const dx = node("layerNormGrad", {}, [x, gain, output(y, 1), output(y, 2), g]);
    return [dx, output(dx, 1), output(dx, 2)];
  },
  layerNormGrad: "decompose",
  batchNorm: (y, g, x, gain) => {
    const variance = output(y, 2);
    const dx = node("batchNormGrad", y.attrs, [x, output(y, 1), variance, g]);
    return [mul(dx, mul(gain, rsqrt(add(variance, y.attrs.epsilon)))), output(dx, 1), output(dx, 2)];
  },
  batchNormGrad: "decompose",
  linearBatchNorm: (y, g, x, weight, gain) => {
    const dx = node("linearBatchNormGrad", y.attrs, [x, weight, gain, output(y, 1), output(y, 2), g]);
    return [dx, output(dx, 1), output(dx, 2), output(dx, 3)];
  },
  linearBatchNormGrad: "decompose",
  attention: (y, g, q, k, v) => {
    const { heads } = y.attrs;
    const [dy, queries, keys, values] = [
      splitHeads(g, heads),
      splitHeads(q, heads),
      splitHeads(k, heads),
      splitHeads(v, heads),
    ];
    const batch: [number[], number[]] = [
      [0, 1],
      [0, 1],
    ];
    const probabilities = output(y, 1);
    const dprobabilities = dot(dy, values, { batch, contract: [[3], [3]] });
    const dscores = mul(node("softmaxGrad", {}, [probabilities, dprobabilities]), 1 / Math.sqrt(queries.shape[3] ?? 1));
    const dqueries = dot(dscores, keys, { batch, contract: [[3], [2]] });
    const dkeys = dot(dscores, queries, { batch, contract: [[2], [2]] });
    const dvalues = dot(probabilities, dy, { batch, contract: [[2], [2]] });
    return [mergeHeads(dqueries), mergeHeads(dkeys), mergeHeads(dvalues)];
  },
  avgPool: (y, g) => [node("upsample", y.attrs, [mul(g, 1 / y.attrs.window ** 2)])],
  upsample: (y, g) => [mul(node("avgPool", y.attrs, [g]), y.attrs.window ** 2)],
  convolutionKernelGrad: "decompose",
  crossEntropy: (_, g, logits, targets) => {
    const [count = 1, classes = 1] = logits.shape;
    const row = reshape(targets, [count, 1]);
    const chosen = convert(
      compare(node("iota", { axis: 1, dtype: "i32", shape: [count, classes] }, []), "eq", row),
      logits.dtype,
    );
    return [mul(sub(softmax(logits), chosen), mul(g, 1 / count))];
  },
  // y = x / n: dx = (g - y (y . g)) / n
  l2Normalize: (y, g, x) => {
    const along = reduceSum(mul(g, y), [g.shape.length - 1], true);
    const inverse = node("rsqrt", {}, [reduceSum(square(x), [x.shape.length - 1], true)]);
    return [mul(sub(g, mul(y, along)), inverse)];
  },
  gatherEach: (_, g, tables, indices) => [
    node("scatterAddEach", {}, [constant(0, tables.dtype, tables.shape), indices, g]),
  ],
  scatterAddEach: (_, g, _tables, indices) => [g, undefined, node("gatherEach", {}, [g, indices])],
  placed: (y, g) => [node("placed", y.attrs, [g])],
};

/**
 * Gradients of a scalar to some tensors, as new tensors of the same shapes; zeros where the scalar does not depend on one.
 * The tensors of `to` count as independent variables, also where one is computed from another, unless `total` derivatives are
 * wanted: then what one changes in another counts too. Throws if `of` is no floating scalar.
 */
export function gradients(of: Tensor, to: readonly Tensor[], options: PullbackOptions = {}): Tensor[] {
  if (elements(of.shape) !== 1) throw new Error(`gradients: expected a scalar, got ${show(of)}`);
  if (!isFloat(of.dtype)) throw new Error(`gradients: expected a floating dtype, got ${show(of)}`);
  return pullback([of], [constant(1, of.dtype, of.shape)], to, options);
}

export interface PullbackOptions {
  /** @default false */
  readonly total?: boolean;
  /**
   * Activation checkpointing: forward values between two of these are not kept for the gradients but computed again from the first of
   * them, once all gradients behind the second are done. @default every forward value is kept
   */
  readonly keep?: readonly Tensor[];
}

/** Vector-Jacobian products: gradients to `to` of the sum of `of[i] * cotangents[i]`. */
export function pullback(
  of: readonly Tensor[],
  cotangents: readonly Tensor[],
  to: readonly Tensor[],
  { total = false, keep = [] }: PullbackOptions = {},
): Tensor[] {
  if (of.length !== cotangents.length)
    throw new Error(`pullback: expected a cotangent for each of ${of.length} results, got ${cotangents.length}`);
  const order = inOrder(of, total ? [] : to);
  const wanted = new Set(to);
  const depends = new Set<Tensor>(to);
  for (const y of order) if (y.inputs.some((x) => depends.has(x))) depends.add(y);
  const arrived = new Map<Tensor, Tensor>();
  const arrive = (x: Tensor, g: Tensor): void => {
    const before = arrived.get(x);
    arrived.set(x, before ? add(before, g) : g);
  };
  for (const [i, y] of of.entries()) {
    const g = cotangents[i];
    if (g && depends.has(y)) arrive(y, broadcastTo(g, y.shape));
  }
  const forward = recomputation(order, keep);
  const done = new Set<Tensor>();
  for (const y of order.reverse()) {
    const g = arrived.get(y);
    if (!g || (wanted.has(y) && !total)) continue;
    // Nothing is computed again before the results so far are there: else its values wait for those who read them last.
    const standIn = forward.standIn(y, () => [g, ...[...done].flatMap((x) => arrived.get(x) ?? [])]);
    if (standIn.begins) done.clear();
    const moves = (i: number): boolean => depends.has(y.inputs[i] as Tensor);
    for (const [i, d] of inputGradients(standIn.y, standIn.inputs, g, moves).entries()) {
      const x = y.inputs[i];
      if (!d || !x || !moves(i)) continue;
      arrive(x, d);
      if (wanted.has(x)) done.add(x);
    }
  }
  return to.map((x) => arrived.get(x) ?? constant(0, x.dtype, x.shape));
}

/** @param inputs the operands' values, @param moves whether a gradient to the operand at a place is wanted */
function inputGradients<K extends OpName>(
  y: Node<K>,
  inputs: readonly Tensor[],
  g: Tensor,
  moves: (place: number) => boolean,
): readonly (Tensor | undefined)[] {
  const rule: Gradient<K> = GRADIENTS[y.op];
  if (rule !== "decompose") return rule(y, g, ...inputs);
  if (!isComposite(y.op)) throw new Error(`gradient: ${y.op} is no composite`);
  const [whole] = decompose(y as Node as Node<typeof y.op>, inputs);
  if (!whole) throw new Error(`gradient: ${y.op} decomposes into nothing`);
  const moving = [...new Set(inputs.filter((_, place) => moves(place)))];
  const pulled = pullback([whole], [g], moving);
  // An operand that stands in several places gets its whole gradient at the first.
  return inputs.map((x, place) => (inputs.indexOf(x) === place ? pulled[moving.indexOf(x)] : undefined));
}
