/** The shape-and-dtype rules of the composites. */
import { beside, convolved, floating, must, operands, type Rule, type RuleOf } from "./rule-checks.ts";
import { type CompositeName, type OpName, sameShape, show, type Tensor, type TensorType } from "./tensor.ts";

const sameAs =
  (op: OpName, count: number): RuleOf<unknown> =>
  (_, inputs) => {
    must(inputs.length === count, () => `${op}: expected ${count} operands, got ${inputs.length}`);
    const [x, ...rest] = inputs;
    must(x !== undefined, () => `${op}: no operand`);
    floating(op, x);
    beside(op, x, x.shape, ...rest);
    return { shape: x.shape, dtype: x.dtype };
  };

/** As sameAs, of tensors that have a last axis. */
const alongLast =
  (op: OpName, count: number): RuleOf<unknown> =>
  (attrs, inputs) => {
    must(inputs[0]?.shape.length !== 0, () => `${op}: expected at least one axis, got ${inputs[0] && show(inputs[0])}`);
    return sameAs(op, count)(attrs, inputs);
  };

/** Type of the vectors beside x, one number a channel. */
function channelwise(op: OpName, x: Tensor, ...vectors: readonly Tensor[]): TensorType {
  floating(op, x);
  const shape = x.shape.slice(-1);
  beside(op, x, shape, ...vectors);
  return { shape, dtype: x.dtype };
}

/** Type of x [..., in] times weight [out, in] transposed. */
function linearType(op: OpName, x: Tensor, weight: Tensor): TensorType {
  floating(op, x);
  const [out = 0, into = 0] = weight.shape;
  must(
    weight.shape.length === 2 && x.shape.at(-1) === into,
    () => `${op}: inner sizes differ: ${show(x)} x ${show(weight)} transposed`,
  );
  must(x.dtype === weight.dtype, () => `${op}: dtypes do not fit: ${show(x)} and ${show(weight)}`);
  return { shape: [...x.shape.slice(0, -1), out], dtype: x.dtype };
}

/** Shape of the rows of tables [n, rows, ...row] that indices [n, k] name: [n, k, ...row]. */
function rowsOfEach(op: OpName, tables: Tensor, indices: Tensor): number[] {
  const [count, , ...row] = tables.shape;
  must(
    tables.shape.length >= 2 && indices.shape.length === 2 && indices.shape[0] === count && indices.dtype === "i32",
    () => `${op}: expected tables [n,rows,...] and i32 indices [n,k], got ${show(tables)} and ${show(indices)}`,
  );
  return [...indices.shape, ...row];
}

export const COMPOSITE_RULES: { readonly [K in CompositeName]: Rule<K> } = {
  relu: sameAs("relu", 1),
  reluGrad: sameAs("reluGrad", 2),
  quickGelu: sameAs("quickGelu", 1),
  quickGeluGrad: sameAs("quickGeluGrad", 2),
  gelu: sameAs("gelu", 1),
  geluTanh: sameAs("geluTanh", 1),
  geluTanhGrad: sameAs("geluTanhGrad", 2),
  softmax: alongLast("softmax", 1),
  softmaxGrad: alongLast("softmaxGrad", 2),
  logSoftmax: alongLast("logSoftmax", 1),
  linear: (_, inputs) => {
    const [x, weight, bias] = inputs;
    must(
      x !== undefined && weight !== undefined && inputs.length <= 3,
      () => `linear: expected 2 or 3 operands, got ${inputs.length}`,
    );
    const type = linearType("linear", x, weight);
    if (bias) beside("linear", x, type.shape.slice(-1), bias);
    return type;
  },
  layerNorm: (_, inputs) => {
    const [x, gain, bias] = operands("layerNorm", inputs, 3);
    const { dtype } = channelwise("layerNorm", x, gain, bias);
    const row = { shape: [...x.shape.slice(0, -1), 1], dtype };
    return [{ shape: x.shape, dtype }, row, row];
  },
  layerNormGrad: (_, inputs) => {
    const [x, gain, mean, inverse, gradient] = operands("layerNormGrad", inputs, 5);
    const vector = channelwise("layerNormGrad", x, gain);
    beside("layerNormGrad", x, [...x.shape.slice(0, -1), 1], mean, inverse);
    beside("layerNormGrad", x, x.shape, gradient);
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  batchNorm: (_, inputs) => {
    const [x, gain, bias] = operands("batchNorm", inputs, 3);
    const vector = channelwise("batchNorm", x, gain, bias);
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  batchNormGrad: (_, inputs) => {
    const [x, mean, variance, gradient] = operands("batchNormGrad", inputs, 4);
    const vector = channelwise("batchNormGrad", x, mean, variance);
    beside("batchNormGrad", x, x.shape, gradient);
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  linearBatchNorm: (_, inputs) => {
    const [x, weight, gain, bias] = operands("linearBatchNorm", inputs, 4);
    const { shape, dtype } = linearType("linearBatchNorm", x, weight);
    const vector = { shape: shape.slice(-1), dtype };
    beside("linearBatchNorm", weight, vector.shape, gain, bias);
    return [{ shape, dtype }, vector, vector];
  },
  linearBatchNormGrad: (_, inputs) => {
    const [x, weight, gain, mean, variance, gradient] = operands("linearBatchNormGrad", inputs, 6);
    const { shape } = linearType("linearBatchNormGrad", x, weight);
    beside("linearBatchNormGrad", weight, shape.slice(-1), gain, mean, variance);
    beside("linearBatchNormGrad", x, shape, gradient);
    return [x, weight, gain, gain].map(({ shape, dtype }) => ({ shape, dtype }));
  },
  attention: ({ heads }, inputs) => {
    const [q, k, v] = operands("attention", inputs, 3);
    const [batch = 0, queries = 0, width = 0] = q.shape;
    const keys = k.shape[1] ?? 0;
    must(
      q.shape.length === 3 && sameShape(k.shape, [batch, keys, width]) && sameShape(v.shape, k.shape),
      () => `attention: expected [batch,tokens,width], got ${show(q)}, ${show(k)}, ${show(v)}`,
    );
    must(q.dtype === k.dtype && q.dtype === v.dtype, () => `attention: dtypes differ: ${[q, k, v].map(show)}`);
    floating("attention", q);
    must(heads >= 1 && width % heads === 0, () => `attention: width ${width} is no multiple of ${heads} heads`);
    return [
      { shape: q.shape, dtype: q.dtype },
      { shape: [batch, heads, queries, keys], dtype: q.dtype },
    ];
  },
  avgPool: ({ window }, inputs) => {
    const [x] = operands("avgPool", inputs, 1);
    floating("avgPool", x);
    const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
    must(
      x.shape.length === 4 && height % window === 0 && width % window === 0,
      () => `avgPool: tiles of ${window} do not fill ${show(x)}`,
    );
    return { shape: [batch, height / window, width / window, channels], dtype: x.dtype };
  },
  upsample: ({ window }, inputs) => {
    const [x] = operands("upsample", inputs, 1);
    const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
    floating("upsample", x);
    must(x.shape.length === 4, () => `upsample: expected [batch,height,width,channels], got ${show(x)}`);
    must(Number.isInteger(window) && window >= 1, () => `upsample: expected a window of at least 1, got ${window}`);
    return { shape: [batch, height * window, width * window, channels], dtype: x.dtype };
  },
  convolutionKernelGrad: (attrs, inputs) => {
    const [x, gradient] = operands("convolutionKernelGrad", inputs, 2);
    floating("convolutionKernelGrad", x);
    must(
      x.shape.length === 4,
      () => `convolutionKernelGrad: expected [batch,height,width,in] and a gradient, got ${show(x)}`,
    );
    const out = gradient.shape[3] ?? 0;
    beside("convolutionKernelGrad", x, convolved("convolutionKernelGrad", x, attrs.kernel, out, attrs), gradient);
    return { shape: [out, x.shape[3] ?? 0, ...attrs.kernel], dtype: x.dtype };
  },
  crossEntropy: (_, inputs) => {
    const [logits, targets] = operands("crossEntropy", inputs, 2);
    floating("crossEntropy", logits);
    must(
      logits.shape.length === 2 && sameShape(targets.shape, [logits.shape[0] ?? 0]) && targets.dtype === "i32",
      () =>
        `crossEntropy: expected logits [rows,classes] and i32 targets [rows], got ${show(logits)} and ${show(targets)}`,
    );
    return { shape: [], dtype: logits.dtype };
  },
  l2Normalize: alongLast("l2Normalize", 1),
  gatherEach: (_, inputs) => {
    const [tables, indices] = operands("gatherEach", inputs, 2);
    return { shape: rowsOfEach("gatherEach", tables, indices), dtype: tables.dtype };
  },
  scatterAddEach: (_, inputs) => {
    const [tables, indices, updates] = operands("scatterAddEach", inputs, 3);
    must(tables.dtype !== "bool", () => `scatterAddEach: expected numbers, got ${show(tables)}`);
    beside("scatterAddEach", tables, rowsOfEach("scatterAddEach", tables, indices), updates);
    return { shape: tables.shape, dtype: tables.dtype };
  },
  placed: ({ sharding }, inputs) => {
    const [x] = operands("placed", inputs, 1);
    must(sharding.length <= x.shape.length, () => `placed: a sharding of ${sharding.length} axes for ${show(x)}`);
    const axes = sharding.flat();
    must(new Set(axes).size === axes.length, () => `placed: an axis of the mesh stands twice: ${axes}`);
    return { shape: x.shape, dtype: x.dtype };
  },
};
