/** The shape-and-dtype rule of every op: what goes in, what comes out, and a clear refusal otherwise. */
import { COMPOSITE_RULES } from "./composite-rules.ts";
import { type DType, elements, fits, isFloat } from "./dtype.ts";
import {
  amounts,
  axisOf,
  beside,
  convolved,
  distinct,
  floating,
  must,
  operands,
  type Rule,
  type RuleOf,
  sizes,
} from "./rule-checks.ts";
import { type OpAttrs, type OpName, sameShape, show, type Tensor, type TensorType } from "./tensor.ts";

const unary =
  (op: OpName): RuleOf<unknown> =>
  (_, inputs) => {
    const [x] = operands(op, inputs, 1);
    floating(op, x);
    return x;
  };

const binary =
  (op: OpName, accepts: (dtype: DType) => boolean = (dtype) => dtype !== "bool"): RuleOf<unknown> =>
  (_, inputs) => {
    const [a, b] = operands(op, inputs, 2);
    must(sameShape(a.shape, b.shape), () => `${op}: shapes differ: ${show(a)} and ${show(b)}`);
    must(a.dtype === b.dtype && accepts(a.dtype), () => `${op}: dtypes do not fit: ${show(a)} and ${show(b)}`);
    return { shape: a.shape, dtype: a.dtype };
  };

const reduce =
  (op: OpName): RuleOf<{ readonly axes: readonly number[] }> =>
  ({ axes }, inputs) => {
    const [x] = operands(op, inputs, 1);
    for (const axis of axes) axisOf(op, axis, x.shape.length);
    distinct(op, axes);
    must(x.dtype !== "bool", () => `${op}: expected numbers, got ${show(x)}`);
    return { shape: x.shape.filter((_, axis) => !axes.includes(axis)), dtype: x.dtype };
  };

const literal = (op: string, { shape, dtype }: TensorType): TensorType => ({ shape: sizes(op, shape), dtype });

/** Least and highest whole numbers of the dtypes that hold no others. */
const RANGES = { i32: [-(2 ** 31), 2 ** 31 - 1], u8: [0, 255], bool: [0, 1] } as const;

const holds = (dtype: DType, value: number): boolean =>
  dtype === "f32" ||
  dtype === "f64" ||
  (Number.isInteger(value) && value >= RANGES[dtype][0] && value <= RANGES[dtype][1]);

const RULES: { readonly [K in OpName]: Rule<K> } = {
  ...COMPOSITE_RULES,
  input: (type) => literal("input", type),
  constant: (type) => {
    const { value } = type;
    if (typeof value === "number") must(holds(type.dtype, value), () => `constant: ${value} is no ${type.dtype}`);
    else {
      must(
        value.length === elements(type.shape),
        () => `constant: [${type.shape}] does not hold ${value.length} values`,
      );
      must(fits(type.dtype, value), () => `constant: ${value.constructor.name} does not hold ${type.dtype}`);
    }
    return literal("constant", type);
  },
  iota: (type) => {
    axisOf("iota", type.axis, type.shape.length);
    return literal("iota", type);
  },
  neg: unary("neg"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  rsqrt: unary("rsqrt"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  erf: unary("erf"),
  abs: unary("abs"),
  sign: unary("sign"),
  not: (_, inputs) => {
    const [x] = operands("not", inputs, 1);
    must(x.dtype === "bool", () => `not: expected bool, got ${show(x)}`);
    return x;
  },
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  pow: binary("pow", isFloat),
  max: binary("max"),
  min: binary("min"),
  and: binary("and", (dtype) => dtype === "bool"),
  or: binary("or", (dtype) => dtype === "bool"),
  compare: (_, inputs) => ({ ...binary("compare")({}, inputs), dtype: "bool" }) as TensorType,
  select: (_, inputs) => {
    const [condition, yes, no] = operands("select", inputs, 3);
    must(condition.dtype === "bool", () => `select: the condition is ${show(condition)}, expected bool`);
    must(
      sameShape(condition.shape, yes.shape) && sameShape(yes.shape, no.shape) && yes.dtype === no.dtype,
      () => `select: operands differ: ${show(condition)}, ${show(yes)}, ${show(no)}`,
    );
    return { shape: yes.shape, dtype: yes.dtype };
  },
  convert: ({ dtype }, inputs) => ({ shape: operands("convert", inputs, 1)[0].shape, dtype }),
  reshape: ({ shape }, inputs) => {
    const [x] = operands("reshape", inputs, 1);
    must(elements(shape) === elements(x.shape), () => `reshape: ${show(x)} does not fill [${shape}]`);
    return { shape: sizes("reshape", shape), dtype: x.dtype };
  },
  transpose: ({ permutation }, inputs) => {
    const [x] = operands("transpose", inputs, 1);
    const sorted = [...permutation].sort((a, b) => a - b);
    must(
      sorted.length === x.shape.length && sorted.every((axis, i) => axis === i),
      () => `transpose: [${permutation}] is no permutation of the axes of ${show(x)}`,
    );
    return { shape: permutation.map((axis) => x.shape[axis] ?? 0), dtype: x.dtype };
  },
  broadcast: ({ shape, dimensions }, inputs) => {
    const [x] = operands("broadcast", inputs, 1);
    sizes("broadcast", shape);
    must(dimensions.length === x.shape.length, () => `broadcast: ${dimensions.length} dimensions for ${show(x)}`);
    for (const [i, axis] of dimensions.entries()) {
      axisOf("broadcast", axis, shape.length);
      must(i === 0 || (dimensions[i - 1] ?? 0) < axis, () => `broadcast: dimensions [${dimensions}] do not ascend`);
      must(
        x.shape[i] === 1 || x.shape[i] === shape[axis],
        () => `broadcast: ${show(x)} does not stretch to [${shape}] over [${dimensions}]`,
      );
    }
    return { shape, dtype: x.dtype };
  },
  slice: ({ start, limit, stride }, inputs) => {
    const [x] = operands("slice", inputs, 1);
    amounts("slice", x, start, limit, stride);
    const shape = x.shape.map((size, axis) => {
      const [from = 0, to = 0, step = 1] = [start[axis], limit[axis], stride[axis]];
      must(from <= to && to <= size && step >= 1, () => `slice: ${from}:${to}:${step} of axis ${axis} of ${show(x)}`);
      return Math.ceil((to - from) / step);
    });
    return { shape, dtype: x.dtype };
  },
  pad: ({ low, high, interior }, inputs) => {
    const [x] = operands("pad", inputs, 1);
    amounts("pad", x, low, high, interior);
    const shape = x.shape.map((size, axis) => {
      const [before = 0, after = 0, between = 0] = [low[axis], high[axis], interior[axis]];
      return before + size + after + Math.max(0, size - 1) * between;
    });
    return { shape, dtype: x.dtype };
  },
  concat: ({ axis }, inputs) => {
    const [first] = inputs;
    must(first !== undefined, () => "concat: no operands");
    axisOf("concat", axis, first.shape.length);
    let size = 0;
    for (const x of inputs) {
      const fitting = x.dtype === first.dtype && x.shape.length === first.shape.length;
      must(
        fitting && x.shape.every((s, i) => i === axis || s === first.shape[i]),
        () => `concat: ${show(x)} beside ${show(first)} along axis ${axis}`,
      );
      size += x.shape[axis] ?? 0;
    }
    return { shape: first.shape.map((s, i) => (i === axis ? size : s)), dtype: first.dtype };
  },
  reverse: ({ axes }, inputs) => {
    const [x] = operands("reverse", inputs, 1);
    for (const axis of axes) axisOf("reverse", axis, x.shape.length);
    distinct("reverse", axes);
    return x;
  },
  reduceSum: reduce("reduceSum"),
  reduceMax: reduce("reduceMax"),
  reduceMin: reduce("reduceMin"),
  argmax: ({ axis }, inputs) => {
    const [x] = operands("argmax", inputs, 1);
    axisOf("argmax", axis, x.shape.length);
    must((x.shape[axis] ?? 0) > 0, () => `argmax: axis ${axis} of ${show(x)} is empty`);
    return { shape: x.shape.filter((_, i) => i !== axis), dtype: "i32" };
  },
  dot: ({ batch, contract }, inputs) => {
    const [a, b] = operands("dot", inputs, 2);
    const free = ({ shape }: Tensor, side: 0 | 1): number[] =>
      shape.filter((_, axis) => !batch[side].includes(axis) && !contract[side].includes(axis));
    for (const pairs of [batch, contract]) {
      must(pairs[0].length === pairs[1].length, () => `dot: axes do not pair up: [${pairs[0]}] and [${pairs[1]}]`);
      for (const [i, axis] of pairs[0].entries()) {
        axisOf("dot", axis, a.shape.length);
        axisOf("dot", pairs[1][i] ?? -1, b.shape.length);
        must(
          a.shape[axis] === b.shape[pairs[1][i] ?? -1],
          () => `dot: inner sizes differ: ${show(a)} axis ${axis}, ${show(b)} axis ${pairs[1][i]}`,
        );
      }
    }
    for (const side of [0, 1] as const) distinct("dot", [...batch[side], ...contract[side]]);
    must(a.dtype === b.dtype && isFloat(a.dtype), () => `dot: dtypes do not fit: ${show(a)} and ${show(b)}`);
    return { shape: [...batch[0].map((axis) => a.shape[axis] ?? 0), ...free(a, 0), ...free(b, 1)], dtype: a.dtype };
  },
  gather: (_, inputs) => {
    const [table, indices] = operands("gather", inputs, 2);
    must(
      table.shape.length >= 1 && indices.dtype === "i32",
      () => `gather: rows of ${show(table)} by ${show(indices)}, expected i32 indices`,
    );
    return { shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype };
  },
  scatterAdd: (_, inputs) => {
    const [table, indices, updates] = operands("scatterAdd", inputs, 3);
    must(
      table.shape.length >= 1 && indices.dtype === "i32",
      () => `scatterAdd: rows of ${show(table)} by ${show(indices)}, expected i32 indices`,
    );
    must(table.dtype !== "bool", () => `scatterAdd: expected numbers, got ${show(table)}`);
    beside("scatterAdd", table, [...indices.shape, ...table.shape.slice(1)], updates);
    return { shape: table.shape, dtype: table.dtype };
  },
  convolution: (attrs, inputs) => {
    const [x, kernel] = operands("convolution", inputs, 2);
    must(
      x.shape.length === 4 && kernel.shape.length === 4,
      () => `convolution: expected [batch,height,width,in] and [out,in,kh,kw], got ${show(x)} and ${show(kernel)}`,
    );
    const [out = 0, into = 0, height = 0, width = 0] = kernel.shape;
    must(x.shape[3] === into, () => `convolution: channels differ: ${show(x)} and kernel ${show(kernel)}`);
    must(
      x.dtype === kernel.dtype && isFloat(x.dtype),
      () => `convolution: dtypes do not fit: ${show(x)} and ${show(kernel)}`,
    );
    return { shape: convolved("convolution", x, [height, width], out, attrs), dtype: x.dtype };
  },
  barrier: (_, inputs) => {
    const [x] = inputs;
    must(x !== undefined, () => "barrier: no operand");
    return { shape: x.shape, dtype: x.dtype };
  },
  output: ({ index }, inputs) => {
    const [source] = operands("output", inputs, 1);
    const type = inferAll(source.op, source.attrs, source.inputs)[index];
    must(type !== undefined && index > 0, () => `output: ${source.op} has no further output ${index}`);
    return type;
  },
};

/** Types of all outputs of an op; the first is the node's own. */
export function inferAll<K extends OpName>(op: K, attrs: OpAttrs[K], inputs: readonly Tensor[]): readonly TensorType[] {
  const rule: Rule<K> = RULES[op];
  const types = rule(attrs, inputs);
  return "shape" in types ? [types] : types;
}

/** Type of the op's first output. */
export function infer<K extends OpName>(op: K, attrs: OpAttrs[K], inputs: readonly Tensor[]): TensorType {
  const [type] = inferAll(op, attrs, inputs);
  if (type === undefined) throw new Error(`${op}: the rule gives no output`);
  return type;
}
