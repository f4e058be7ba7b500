/** The shape-and-dtype rules of the composites. */
import { convolved, floating, must, operands, type Rule, type RuleOf } from "./rule-checks.ts";
import { type CompositeName, type OpName, sameShape, show, type Tensor, type TensorType } from "./tensor.ts";

const sameAs =
  (op: OpName, count: number): RuleOf<unknown> =>
  (_, inputs) => {
    must(inputs.length === count, () => `${op}: expected ${count} operands, got ${inputs.length}`);
    const [x, ...rest] = inputs;
    must(x !== undefined, () => `${op}: no operand`);
    floating(op, x);
    for (const other of rest)
      must(
        sameShape(x.shape, other.shape) && x.dtype === other.dtype,
        () => `${op}: operands differ: ${show(x)} and ${show(other)}`,
      );
    return { shape: x.shape, dtype: x.dtype };
  };

const normalised = (op: OpName, x: Tensor, ...channelwise: readonly Tensor[]): number => {
  floating(op, x);
  const width = x.shape.at(-1) ?? 0;
  for (const p of channelwise)
    must(sameShape(p.shape, [width]), () => `${op}: expected [${width}] beside ${show(x)}, got ${show(p)}`);
  return width;
};

/** Type of x [..., in] times weight [out, in] transposed. */
function linearType(op: OpName, x: Tensor, weight: Tensor): TensorType {
  const [out = 0, into = 0] = weight.shape;
  must(
    weight.shape.length === 2 && x.shape.at(-1) === into,
    () => `${op}: inner sizes differ: ${show(x)} x ${show(weight)} transposed`,
  );
  return { shape: [...x.shape.slice(0, -1), out], dtype: x.dtype };
}

export const COMPOSITE_RULES: { readonly [K in CompositeName]: Rule<K> } = {
  relu: sameAs("relu", 1),
  reluGrad: sameAs("reluGrad", 2),
  quickGelu: sameAs("quickGelu", 1),
  quickGeluGrad: sameAs("quickGeluGrad", 2),
  gelu: sameAs("gelu", 1),
  softmax: sameAs("softmax", 1),
  softmaxGrad: sameAs("softmaxGrad", 2),
  logSoftmax: sameAs("logSoftmax", 1),
  linear: (_, inputs) => {
    const [x, weight, bias] = inputs;
    must(
      x !== undefined && weight !== undefined && inputs.length <= 3,
      () => `linear: expected 2 or 3 operands, got ${inputs.length}`,
    );
    const type = linearType("linear", x, weight);
    must(
      bias === undefined || sameShape(bias.shape, type.shape.slice(-1)),
      () => `linear: expected a bias [${type.shape.slice(-1)}], got ${bias && show(bias)}`,
    );
    return type;
  },
  layerNorm: (_, inputs) => {
    const [x, gain, bias] = operands("layerNorm", inputs, 3);
    normalised("layerNorm", x, gain, bias);
    const row = { shape: [...x.shape.slice(0, -1), 1], dtype: x.dtype };
    return [{ shape: x.shape, dtype: x.dtype }, row, row];
  },
  layerNormGrad: (_, inputs) => {
    const [x, gain, , , gradient] = operands("layerNormGrad", inputs, 5);
    const width = normalised("layerNormGrad", x, gain);
    must(sameShape(x.shape, gradient.shape), () => `layerNormGrad: ${show(x)} and ${show(gradient)}`);
    const vector = { shape: [width], dtype: x.dtype };
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  batchNorm: (_, inputs) => {
    const [x, gain, bias] = operands("batchNorm", inputs, 3);
    const vector = { shape: [normalised("batchNorm", x, gain, bias)], dtype: x.dtype };
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  batchNormGrad: (_, inputs) => {
    const [x, gain, mean, variance, gradient] = operands("batchNormGrad", inputs, 5);
    const vector = { shape: [normalised("batchNormGrad", x, gain, mean, variance)], dtype: x.dtype };
    must(sameShape(x.shape, gradient.shape), () => `batchNormGrad: ${show(x)} and ${show(gradient)}`);
    return [{ shape: x.shape, dtype: x.dtype }, vector, vector];
  },
  linearBatchNorm: (_, inputs) => {
    const [x, weight, gain, bias] = operands("linearBatchNorm", inputs, 4);
    const { shape, dtype } = linearType("linearBatchNorm", x, weight);
    const vector = { shape: shape.slice(-1), dtype };
    for (const p of [gain, bias])
      must(sameShape(p.shape, vector.shape), () => `linearBatchNorm: expected [${vector.shape}], got ${show(p)}`);
    return [{ shape, dtype }, vector, vector];
  },
  linearBatchNormGrad: (_, inputs) => {
    const [x, weight, gain, , , gradient] = operands("linearBatchNormGrad", inputs, 6);
    const { shape } = linearType("linearBatchNormGrad", x, weight);
    must(
      sameShape(gradient.shape, shape),
      () => `linearBatchNormGrad: expected a gradient [${shape}], got ${show(gradient)}`,
    );
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
    must(width % heads === 0, () => `attention: width ${width} is no multiple of ${heads} heads`);
    return [
      { shape: q.shape, dtype: q.dtype },
      { shape: [batch, heads, queries, keys], dtype: q.dtype },
    ];
  },
  avgPool: ({ window }, inputs) => {
    const [x] = operands("avgPool", inputs, 1);
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
    must(x.shape.length === 4, () => `upsample: expected [batch,height,width,channels], got ${show(x)}`);
    return { shape: [batch, height * window, width * window, channels], dtype: x.dtype };
  },
  convolutionKernelGrad: (attrs, inputs) => {
    const [x, gradient] = operands("convolutionKernelGrad", inputs, 2);
    const out = gradient.shape[3] ?? 0;
    const expected = convolved("convolutionKernelGrad", x, attrs.kernel, out, attrs);
    must(
      sameShape(gradient.shape, expected),
      () => `convolutionKernelGrad: expected a gradient [${expected}], got ${show(gradient)}`,
    );
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
  l2Normalize: sameAs("l2Normalize", 1),
};
