/** Graph -> ONNX: one total table. What onnxruntime has a kernel for is lowered whole, the rest by its decomposition. */
import {
  type DType,
  elements,
  filledWith,
  made,
  type Node,
  type OpName,
  sameShape,
  type Tensor,
} from "../../graph/index.ts";
import { lowerBarrier } from "./barrier.ts";
import type { Context, Kernels } from "./context.ts";
import { lowerConvolution, lowerConvolutionKernelGrad } from "./convolution.ts";
import type { Attributes, Emitter, Name } from "./emitter.ts";
import { lowerDot, lowerLinear } from "./matmul.ts";
import {
  byCovariance,
  lowerBatchNorm,
  lowerBatchNormGrad,
  lowerLinearBatchNorm,
  lowerLinearBatchNormGrad,
  lowerRelu,
  lowerSumOfLinearBatchNorms,
} from "./normalization.ts";
import { lowerQuantizedGather } from "./quantized.ts";
import { columnSum, lowerAvgPool, lowerUpsample, sumsRows, withUpsampled, withVector } from "./rows.ts";

/** Gives the names of the node's outputs (of as many as it computes), or leaves the composite to its decomposition. */
type Lowering<K extends OpName> = ((context: Context, node: Node<K>) => Name | readonly Name[]) | "decompose";
type Direct<K extends OpName> = Exclude<Lowering<K>, "decompose">;

const named =
  (op: string, attributes: Attributes = {}): Direct<OpName> =>
  (context, node) =>
    context.emit.node(op, operands(context, node), attributes);

const operands = (context: Context, node: Node): Name[] => node.inputs.map((x) => context.value(x));

/** On WebGPU (onnxruntime 1.30) Pow fails where both operands are stretched, And and Or read the wrong elements of either. */
const STRETCHED_WRONGLY: ReadonlySet<string> = new Set(["Pow", "And", "Or"]);

/** Element-wise kernels broadcast themselves: a broadcast operand is passed unstretched where the result is the same. */
const elementwise =
  (op: string): Direct<OpName> =>
  ({ emit, value, provider }, node) => {
    const small = node.inputs.map((x) => unstretched(x));
    const covered = node.shape.every(
      (size, axis) =>
        size === 1 || small.some((x) => (x.shape[x.shape.length - node.shape.length + axis] ?? 1) === size),
    );
    const names = node.inputs.map((x, i) => {
      const part = small[i];
      if (part && part.shape.length > 0 && provider === "webgpu" && STRETCHED_WRONGLY.has(op)) return value(x);
      return part && (covered || i > 0) ? part.name(emit, value) : value(x);
    });
    const vector = small.findIndex((part) => part.shape.length === 1 && part.shape[0] === node.shape.at(-1));
    const [whole, side] = vector === 0 && (op === "Add" || op === "Mul") ? [1, 0] : [0, 1];
    if (
      node.dtype === "f32" &&
      names.length === 2 &&
      vector === side &&
      sameShape(small[whole]?.shape ?? [], node.shape)
    )
      return withVector(emit, op, names[whole] ?? "", node.shape, names[side] ?? "");
    // onnxruntime's arithmetic has no 8-bit kernels.
    const narrow = node.inputs.map((x) => x.dtype).find((dtype) => dtype === "u8" || dtype === "bool");
    if (narrow === undefined || op === "Where" || op === "And" || op === "Or") return emit.node(op, names);
    const wide = names.map((name) => cast(emit, name, "i32"));
    const result = emit.node(op, wide);
    return node.dtype === "bool" ? result : cast(emit, result, node.dtype);
  };

interface Unstretched {
  readonly shape: readonly number[];
  name(emit: Emitter, value: (x: Tensor) => Name): Name;
}

/** The operand of a broadcast, shaped so that numpy's rule stretches it the same way. */
function unstretched(x: Tensor): Unstretched {
  const filled = filledWith(x);
  if (filled !== undefined) return { shape: [], name: (emit) => emit.scalar(filled, x.dtype) };
  const [source] = x.inputs;
  if (!made(x, "broadcast") || !source) return { shape: x.shape, name: (_, value) => value(x) };
  const { dimensions, shape } = x.attrs;
  const first = dimensions[0] ?? shape.length;
  const inner = shape.slice(first).map((_, i) => source.shape[dimensions.indexOf(first + i)] ?? 1);
  return {
    shape: inner,
    name: (emit, value) =>
      sameShape(inner, source.shape) ? value(source) : emit.node("Reshape", [value(source), emit.ints(inner)]),
  };
}

const TYPE_NUMBER = { f64: 11, f32: 1, i32: 6, u8: 2, bool: 9 } as const satisfies Record<DType, number>;

function cast(emit: Emitter, name: Name, dtype: DType): Name {
  return emit.node("Cast", [name], { to: TYPE_NUMBER[dtype] });
}

const reduction =
  (op: string): ((context: Context, node: Node<"reduceSum" | "reduceMax" | "reduceMin">) => Name) =>
  ({ emit, value }, node) => {
    const [x] = node.inputs as [Tensor];
    // To ONNX, no axes are all axes.
    if (node.attrs.axes.length === 0) return value(x);
    return emit.node(op, [value(x), emit.ints(node.attrs.axes)], { keepdims: 0 });
  };

const COMPARISON = {
  eq: "Equal",
  ne: "Equal",
  lt: "Less",
  le: "LessOrEqual",
  gt: "Greater",
  ge: "GreaterOrEqual",
} as const;

const LOWERINGS: { readonly [K in OpName]: Lowering<K> } = {
  input: () => {
    throw new Error("onnx: inputs are named before lowering");
  },
  constant: ({ emit }, { attrs, shape, dtype }) => {
    const { value } = attrs;
    if (typeof value !== "number") return emit.initializer(emit.fresh(), { dtype, shape, data: value });
    if (elements(shape) <= 1024) return emit.filled(value, dtype, shape);
    return emit.node("Expand", [emit.scalar(value, dtype), emit.ints(shape)]);
  },
  iota: ({ emit }, { attrs, shape, dtype }) => {
    const line = shape.map((size, axis) => (axis === attrs.axis ? size : 1));
    return emit.node("Expand", [emit.counting(dtype, line), emit.ints(shape)]);
  },
  neg: named("Neg"),
  exp: named("Exp"),
  log: named("Log"),
  sqrt: named("Sqrt"),
  rsqrt: ({ emit, value }, { inputs: [x] }) => emit.node("Reciprocal", [emit.node("Sqrt", [value(x as Tensor)])]),
  tanh: named("Tanh"),
  sigmoid: named("Sigmoid"),
  erf: named("Erf"),
  abs: named("Abs"),
  sign: named("Sign"),
  not: named("Not"),
  add: (context, node) => {
    const [a, b] = node.inputs as [Tensor, Tensor];
    if (made(a, "upsample")) return withUpsampled(context, "Add", context.value(b), a);
    if (made(b, "upsample")) return withUpsampled(context, "Add", context.value(a), b);
    return lowerSumOfLinearBatchNorms(context, node) ?? elementwise("Add")(context, node);
  },
  sub: elementwise("Sub"),
  mul: elementwise("Mul"),
  div: elementwise("Div"),
  pow: elementwise("Pow"),
  max: elementwise("Max"),
  min: elementwise("Min"),
  and: elementwise("And"),
  or: elementwise("Or"),
  compare: (context, node) => {
    const { direction } = node.attrs;
    const result = elementwise(COMPARISON[direction])(context, node) as Name;
    return direction === "ne" ? context.emit.node("Not", [result]) : result;
  },
  select: (context, node) => {
    if (node.dtype !== "bool") return elementwise("Where")(context, node);
    const { emit, value } = context;
    const [condition = "", ...branches] = node.inputs.map((x) => value(x));
    return cast(emit, emit.node("Where", [condition, ...branches.map((name) => cast(emit, name, "u8"))]), "bool");
  },
  convert: ({ emit, value }, { inputs: [x], dtype }) => cast(emit, value(x as Tensor), dtype),
  reshape: ({ emit, value }, { inputs: [x], shape }) =>
    emit.node("Reshape", [value(x as Tensor), emit.ints(shape)], { allowzero: 1 }),
  transpose: ({ emit, value }, { inputs: [x], attrs }) =>
    emit.node("Transpose", [value(x as Tensor)], { perm: attrs.permutation }),
  broadcast: ({ emit, value, provider }, node) => {
    const small = unstretched(node);
    const name = small.name(emit, value);
    // WebGPU's Expand fails on a scalar of 8 bits.
    const scalar = provider === "webgpu" && node.dtype === "u8" && small.shape.length === 0;
    return emit.node("Expand", [scalar ? emit.node("Reshape", [name, emit.ints([1])]) : name, emit.ints(node.shape)]);
  },
  slice: ({ emit, value }, { inputs: [x], attrs: { start, limit, stride } }) => {
    const source = x as Tensor;
    // Only the axes that are cut: onnxruntime copies whole inner blocks then.
    const axes = source.shape.flatMap((size, axis) =>
      start[axis] === 0 && limit[axis] === size && stride[axis] === 1 ? [] : [axis],
    );
    const of = (bounds: readonly number[]): Name => emit.ints(axes.map((axis) => bounds[axis] ?? 0));
    return axes.length === 0
      ? value(source)
      : emit.node("Slice", [value(source), of(start), of(limit), emit.ints(axes), of(stride)]);
  },
  pad: ({ emit, value }, { inputs: [x], attrs: { low, high, interior }, dtype }) => {
    let name = value(x as Tensor);
    let { shape } = x as Tensor;
    const wide: DType = dtype === "bool" ? "u8" : dtype;
    if (dtype === "bool") name = cast(emit, name, wide);
    const padded = (before: readonly number[], after: readonly number[]): void => {
      if ([...before, ...after].some((amount) => amount > 0))
        name = emit.node("Pad", [name, emit.ints([...before, ...after]), emit.scalar(0, wide)]);
    };
    for (const [axis, between] of interior.entries()) {
      const size = shape[axis] ?? 0;
      if (between === 0 || size < 2) continue;
      // Zeros between: a new axis behind this one, padded, merged, and the last zeros cut off.
      const spread = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
      name = emit.node("Reshape", [name, emit.ints(spread)]);
      padded(
        spread.map(() => 0),
        spread.map((_, i) => (i === axis + 1 ? between : 0)),
      );
      name = emit.node("Reshape", [name, emit.ints(shape.map((s, i) => (i === axis ? s * (between + 1) : s)))]);
      const end = size + (size - 1) * between;
      name = emit.node("Slice", [name, emit.ints([0]), emit.ints([end]), emit.ints([axis])]);
      shape = shape.map((s, i) => (i === axis ? end : s));
    }
    padded(low, high);
    return dtype === "bool" ? cast(emit, name, dtype) : name;
  },
  concat: (context, node) => context.emit.node("Concat", operands(context, node), { axis: node.attrs.axis }),
  reverse: ({ emit, value }, { inputs: [x], attrs: { axes } }) => {
    const to = (bound: number): Name => emit.ints(axes.map(() => bound));
    // A limit far below 0 means "to the first element" for a negative step.
    return emit.node("Slice", [value(x as Tensor), to(-1), to(-(2 ** 31)), emit.ints(axes), to(-1)]);
  },
  reduceSum: (context, node) => {
    const [source] = node.inputs as [Tensor];
    if (sumsRows(source, node.attrs.axes)) {
      const [channels = 1] = node.shape;
      return columnSum(context.emit, context.value(source), elements(source.shape) / channels, channels);
    }
    if (node.dtype !== "u8") return reduction("ReduceSum")(context, node);
    const wide = cast(context.emit, context.value(node.inputs[0] as Tensor), "i32");
    return cast(
      context.emit,
      context.emit.node("ReduceSum", [wide, context.emit.ints(node.attrs.axes)], { keepdims: 0 }),
      "u8",
    );
  },
  reduceMax: reduction("ReduceMax"),
  reduceMin: reduction("ReduceMin"),
  argmax: (context, node) => {
    const { emit, value, provider } = context;
    if (provider === "webgpu") return argmaxOf32Bits(context, node);
    const [x] = node.inputs as [Tensor];
    const index = emit.node("ArgMax", [value(x)], { axis: node.attrs.axis, keepdims: 0, select_last_index: 0 });
    return cast(emit, index, "i32");
  },
  dot: lowerDot,
  gather: (context, node) =>
    (context.arithmetic === "int8" ? lowerQuantizedGather(context, node) : undefined) ??
    named("Gather", { axis: 0 })(context, node),
  scatterAdd: ({ emit, value, provider }, { inputs: [table, indices, updates] }) => {
    const unsqueezed = (name: Name): Name => emit.node("Unsqueeze", [name, emit.ints([-1])]);
    const index = value(indices as Tensor);
    // WebGPU has no Unsqueeze of 64 bits.
    const rows = provider === "webgpu" ? cast64(emit, unsqueezed(index)) : unsqueezed(cast64(emit, index));
    return emit.node("ScatterND", [value(table as Tensor), rows, value(updates as Tensor)], { reduction: "add" });
  },
  convolution: lowerConvolution,
  barrier: lowerBarrier,
  output: () => {
    throw new Error("onnx: further outputs are named with their composite");
  },
  relu: lowerRelu,
  // 1 where the output is positive: a hard sigmoid that steep is five times faster than Sign or Greater.
  reluGrad: (context, { inputs }) => {
    const { emit, value } = context;
    const [y, g] = inputs as [Tensor, Tensor];
    const step = emit.node("HardSigmoid", [value(y)], { alpha: { float: 1e30 }, beta: { float: 0 } });
    return made(g, "upsample") ? withUpsampled(context, "Mul", step, g) : emit.node("Mul", [value(g), step]);
  },
  quickGelu: ({ emit, value }, { inputs: [x] }) =>
    emit.contrib("QuickGelu", [value(x as Tensor)], { alpha: { float: 1.702 } }),
  quickGeluGrad: "decompose",
  gelu: named("Gelu"),
  geluTanh: named("Gelu", { approximate: "tanh" }),
  geluTanhGrad: "decompose",
  softmax: named("Softmax", { axis: -1 }),
  softmaxGrad: "decompose",
  logSoftmax: named("LogSoftmax", { axis: -1 }),
  linear: lowerLinear,
  layerNorm: ({ emit, value, further }, node) => {
    const outputs = further(node) ? 3 : 1;
    const names = node.inputs.map((x) => value(x));
    return emit.nodes("LayerNormalization", names, outputs, { axis: -1, epsilon: { float: node.attrs.epsilon } });
  },
  layerNormGrad: "decompose",
  linearBatchNorm: lowerLinearBatchNorm,
  linearBatchNormGrad: lowerLinearBatchNormGrad,
  batchNorm: lowerBatchNorm,
  batchNormGrad: lowerBatchNormGrad,
  attention: ({ emit, value }, node) =>
    emit.contrib(
      "MultiHeadAttention",
      node.inputs.map((x) => value(x)),
      { num_heads: node.attrs.heads, unidirectional: node.attrs.causal ? 1 : 0 },
    ),
  avgPool: (context, { inputs: [x], attrs, shape }) => lowerAvgPool(context, x as Tensor, attrs.window, shape),
  upsample: (context, { inputs: [x], attrs, shape }) => lowerUpsample(context, x as Tensor, attrs.window, shape),
  convolutionKernelGrad: lowerConvolutionKernelGrad,
  crossEntropy: "decompose",
  l2Normalize: "decompose",
  gatherEach: "decompose",
  scatterAddEach: "decompose",
  placed: "decompose",
};

/** WebGPU converts no 64-bit integers back, so that what ArgMax gives would travel to the CPU: the first place of the highest instead. */
function argmaxOf32Bits({ emit, value }: Context, { inputs, attrs: { axis } }: Node<"argmax">): Name {
  const [x] = inputs as [Tensor];
  const size = x.shape[axis] ?? 1;
  const line = x.shape.map((_, i) => (i === axis ? size : 1));
  const places = emit.counting("i32", line);
  const along = emit.ints([axis]);
  const wide = x.dtype === "u8" ? cast(emit, value(x), "i32") : value(x);
  const highest = emit.node("Equal", [wide, emit.node("ReduceMax", [wide, along], { keepdims: 1 })]);
  const found = emit.node("Where", [highest, places, emit.scalar(size - 1, "i32")]);
  return emit.node("ReduceMin", [found, along], { keepdims: 0 });
}

function cast64(emit: Emitter, name: Name): Name {
  return emit.node("Cast", [name], { to: 7 });
}

/** Whether a composite is lowered whole. */
export function whole(composite: Node, further: boolean, kernels: Kernels): boolean {
  if (kernels === "any" && (made(composite, "attention") || made(composite, "quickGelu"))) return false;
  // The fused attention does not give its probabilities, which the gradient reads.
  if (made(composite, "attention")) {
    // It also counts a causal mask from the last key, not from the first.
    const [q, k] = composite.inputs;
    return !further && (!composite.attrs.causal || q?.shape[1] === k?.shape[1]);
  }
  if (composite.op === "linearBatchNorm" || composite.op === "linearBatchNormGrad")
    return byCovariance(composite.inputs);
  return LOWERINGS[composite.op] !== "decompose";
}

/** The ONNX values of a node's outputs. */
export function lowerNode<K extends OpName>(context: Context, node: Node<K>): readonly Name[] {
  const rule: Lowering<K> = LOWERINGS[node.op];
  if (rule === "decompose") throw new Error(`onnx: ${node.op} was not expanded`);
  const result = rule(context, node);
  return typeof result === "string" ? [result] : result;
}
