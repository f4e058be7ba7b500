/** Every primitive as the plainest loop that is right: the oracle of the tests. Composites are decomposed. */
import {
  type Direction,
  elements,
  type HostArray,
  type HostTensor,
  hostArray,
  type Node,
  type OpAttrs,
  type PrimitiveName,
  strides,
  type TensorType,
} from "../../graph/index.ts";

type Kernel<K extends PrimitiveName> = (attrs: OpAttrs[K], out: TensorType, ...inputs: HostTensor[]) => HostArray;

const at = (array: HostArray, index: number): number => array[index] as number;

const unary =
  (fn: (x: number) => number) =>
  (_: unknown, out: TensorType, x: HostTensor): HostArray => {
    const result = hostArray(out.dtype, elements(out.shape));
    for (let i = 0; i < result.length; i++) result[i] = fn(at(x.data, i));
    return result;
  };

const binary =
  (fn: (a: number, b: number) => number) =>
  (_: unknown, out: TensorType, a: HostTensor, b: HostTensor): HostArray => {
    const result = hostArray(out.dtype, elements(out.shape));
    for (let i = 0; i < result.length; i++) result[i] = fn(at(a.data, i), at(b.data, i));
    return result;
  };

/** Copies with a map from an output's coordinates to the operand's flat index (or -1 for zero). */
function rearrange(out: TensorType, x: HostTensor, source: (coordinates: readonly number[]) => number): HostArray {
  const result = hostArray(out.dtype, elements(out.shape));
  forEachIndex(out.shape, (coordinates, i) => {
    const from = source(coordinates);
    if (from >= 0) result[i] = at(x.data, from);
  });
  return result;
}

/** Calls back for every coordinate of a shape in row-major order; the array is reused. */
function forEachIndex(shape: readonly number[], visit: (coordinates: readonly number[], flat: number) => void): void {
  const coordinates = new Array<number>(shape.length).fill(0);
  const total = elements(shape);
  for (let flat = 0; flat < total; flat++) {
    visit(coordinates, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = (coordinates[axis] ?? 0) + 1;
      coordinates[axis] = next === shape[axis] ? 0 : next;
      if (coordinates[axis] !== 0) break;
    }
  }
}

const inner = (coordinates: readonly number[], steps: readonly number[]): number => {
  let sum = 0;
  for (let axis = 0; axis < steps.length; axis++) sum += (coordinates[axis] ?? 0) * (steps[axis] ?? 0);
  return sum;
};

const reduction =
  (initial: number, fn: (sum: number, x: number) => number) =>
  ({ axes }: OpAttrs["reduceSum"], out: TensorType, x: HostTensor): HostArray => {
    // Sums run in double precision, so that the oracle's rounding does not hide an engine's.
    const sums = new Float64Array(elements(out.shape)).fill(initial);
    const kept = strides(out.shape);
    let next = 0;
    const steps = x.shape.map((_, axis) => (axes.includes(axis) ? 0 : (kept[next++] ?? 0)));
    forEachIndex(x.shape, (coordinates, flat) => {
      const to = inner(coordinates, steps);
      sums[to] = fn(sums[to] ?? 0, at(x.data, flat));
    });
    const result = hostArray(out.dtype, sums.length);
    result.set(sums);
    return result;
  };

const COMPARE = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
} as const satisfies Record<Direction, (a: number, b: number) => boolean>;

/**
 * Error function to double precision: the Maclaurin series near 0, the continued fraction of erfc beyond
 * (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (2 * z * z) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}

/** Rows that gather and scatterAdd address; throws where an index points outside. */
function row(op: string, index: number, rows: number): number {
  if (index < 0 || index >= rows) throw new Error(`${op}: index ${index} of a table of ${rows} rows`);
  return index;
}

export const KERNELS: { readonly [K in Exclude<PrimitiveName, "input" | "output">]: Kernel<K> } = {
  constant: ({ value }, out) =>
    typeof value === "number" ? hostArray(out.dtype, elements(out.shape)).fill(value) : value,
  iota: ({ axis }, out) => {
    const result = hostArray(out.dtype, elements(out.shape));
    forEachIndex(out.shape, (coordinates, flat) => {
      result[flat] = coordinates[axis] ?? 0;
    });
    return result;
  },
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))),
  erf: unary(erf),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  not: unary((x) => (x ? 0 : 1)),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: (_, out, a, b) => {
    const integer = out.dtype === "i32" || out.dtype === "u8";
    return binary(integer ? (x, y) => Math.trunc(x / y) : (x, y) => x / y)(_, out, a, b);
  },
  pow: binary((a, b) => a ** b),
  max: binary(Math.max),
  min: binary(Math.min),
  and: binary((a, b) => a & b),
  or: binary((a, b) => a | b),
  compare: ({ direction }, out, a, b) => binary((x, y) => (COMPARE[direction](x, y) ? 1 : 0))(direction, out, a, b),
  select: (_, out, condition, yes, no) => {
    const result = hostArray(out.dtype, elements(out.shape));
    for (let i = 0; i < result.length; i++) result[i] = at(at(condition.data, i) ? yes.data : no.data, i);
    return result;
  },
  convert: (_, out, x) =>
    unary(
      out.dtype === "bool" ? (v) => (v ? 1 : 0) : out.dtype === "i32" || out.dtype === "u8" ? Math.trunc : (v) => v,
    )(_, out, x),
  reshape: (_, _out, x) => x.data,
  barrier: (_, _out, x) => x.data,
  transpose: ({ permutation }, out, x) => {
    const steps = strides(x.shape);
    const moved = permutation.map((axis) => steps[axis] ?? 0);
    return rearrange(out, x, (coordinates) => inner(coordinates, moved));
  },
  broadcast: ({ dimensions }, out, x) => {
    const steps = new Array<number>(out.shape.length).fill(0);
    for (const [i, step] of strides(x.shape).entries()) steps[dimensions[i] ?? 0] = x.shape[i] === 1 ? 0 : step;
    return rearrange(out, x, (coordinates) => inner(coordinates, steps));
  },
  slice: ({ start, stride }, out, x) => {
    const steps = strides(x.shape);
    const origin = inner(start, steps);
    const scaled = steps.map((step, axis) => step * (stride[axis] ?? 1));
    return rearrange(out, x, (coordinates) => origin + inner(coordinates, scaled));
  },
  pad: ({ low, interior }, out, x) => {
    const steps = strides(x.shape);
    return rearrange(out, x, (coordinates) => {
      let from = 0;
      for (const [axis, step] of steps.entries()) {
        const offset = (coordinates[axis] ?? 0) - (low[axis] ?? 0);
        const spacing = (interior[axis] ?? 0) + 1;
        if (offset < 0 || offset % spacing !== 0 || offset / spacing >= (x.shape[axis] ?? 0)) return -1;
        from += (offset / spacing) * step;
      }
      return from;
    });
  },
  concat: ({ axis }, out, ...parts) => {
    const result = hostArray(out.dtype, elements(out.shape));
    const block = elements(out.shape.slice(axis + 1));
    const rowSize = (out.shape[axis] ?? 0) * block;
    let offset = 0;
    for (const part of parts) {
      const size = (part.shape[axis] ?? 0) * block;
      for (let i = 0; size > 0 && i * size < part.data.length; i++)
        result.set(part.data.subarray(i * size, (i + 1) * size), i * rowSize + offset);
      offset += size;
    }
    return result;
  },
  reverse: ({ axes }, out, x) => {
    const steps = strides(x.shape);
    const end = axes.reduce((sum, axis) => sum + ((x.shape[axis] ?? 1) - 1) * (steps[axis] ?? 0), 0);
    const turned = steps.map((step, axis) => (axes.includes(axis) ? -step : step));
    return rearrange(out, x, (coordinates) => end + inner(coordinates, turned));
  },
  reduceSum: reduction(0, (sum, x) => sum + x),
  reduceMax: reduction(Number.NEGATIVE_INFINITY, Math.max),
  reduceMin: reduction(Number.POSITIVE_INFINITY, Math.min),
  argmax: ({ axis }, out, x) => {
    const result = new Int32Array(elements(out.shape));
    const block = elements(x.shape.slice(axis + 1));
    const size = x.shape[axis] ?? 0;
    for (let i = 0; i < result.length; i++) {
      const base = Math.floor(i / block) * size * block + (i % block);
      let best = 0;
      for (let k = 1; k < size; k++) if (at(x.data, base + k * block) > at(x.data, base + best * block)) best = k;
      result[i] = best;
    }
    return result;
  },
  dot: ({ batch, contract }, out, a, b) => {
    const result = hostArray(out.dtype, elements(out.shape));
    const [stepsA, stepsB] = [strides(a.shape), strides(b.shape)];
    const freeA = a.shape.flatMap((_, axis) => (batch[0].includes(axis) || contract[0].includes(axis) ? [] : [axis]));
    const freeB = b.shape.flatMap((_, axis) => (batch[1].includes(axis) || contract[1].includes(axis) ? [] : [axis]));
    const pick = (steps: readonly number[], axes: readonly number[]): number[] => axes.map((axis) => steps[axis] ?? 0);
    const outA = [...pick(stepsA, batch[0]), ...pick(stepsA, freeA), ...freeB.map(() => 0)];
    const outB = [...pick(stepsB, batch[1]), ...freeA.map(() => 0), ...pick(stepsB, freeB)];
    const inside = contract[0].map((axis) => a.shape[axis] ?? 0);
    const [offsetsA, offsetsB] = [new Int32Array(elements(inside)), new Int32Array(elements(inside))];
    forEachIndex(inside, (coordinates, k) => {
      offsetsA[k] = inner(coordinates, pick(stepsA, contract[0]));
      offsetsB[k] = inner(coordinates, pick(stepsB, contract[1]));
    });
    forEachIndex(out.shape, (coordinates, flat) => {
      const [baseA, baseB] = [inner(coordinates, outA), inner(coordinates, outB)];
      let sum = 0;
      for (let k = 0; k < offsetsA.length; k++)
        sum += at(a.data, baseA + at(offsetsA, k)) * at(b.data, baseB + at(offsetsB, k));
      result[flat] = sum;
    });
    return result;
  },
  gather: (_, out, table, indices) => {
    const result = hostArray(out.dtype, elements(out.shape));
    const [rows = 0, ...rest] = table.shape;
    const width = elements(rest);
    for (let i = 0; i < indices.data.length; i++) {
      const from = row("gather", at(indices.data, i), rows) * width;
      result.set(table.data.subarray(from, from + width), i * width);
    }
    return result;
  },
  scatterAdd: (_, _out, table, indices, updates) => {
    const result = table.data.slice();
    const [rows = 0, ...rest] = table.shape;
    const width = elements(rest);
    for (let i = 0; i < indices.data.length; i++) {
      const to = row("scatterAdd", at(indices.data, i), rows) * width;
      for (let k = 0; k < width; k++) result[to + k] = at(result, to + k) + at(updates.data, i * width + k);
    }
    return result;
  },
  convolution: ({ stride, padding }, out, x, kernel) => {
    const result = hostArray(out.dtype, elements(out.shape));
    const [, height = 0, width = 0, into = 0] = x.shape;
    const [, , kh = 0, kw = 0] = kernel.shape;
    const steps = strides(x.shape);
    forEachIndex(out.shape, ([n = 0, y = 0, xx = 0, o = 0], flat) => {
      let sum = 0;
      for (let i = 0; i < kh; i++) {
        const row = y * stride[0] - padding[0][0] + i;
        if (row < 0 || row >= height) continue;
        for (let j = 0; j < kw; j++) {
          const column = xx * stride[1] - padding[1][0] + j;
          if (column < 0 || column >= width) continue;
          const from = inner([n, row, column], steps);
          for (let c = 0; c < into; c++)
            sum += at(x.data, from + c) * at(kernel.data, ((o * into + c) * kh + i) * kw + j);
        }
      }
      result[flat] = sum;
    });
    return result;
  },
};

/** Runs one primitive. */
export function runKernel<K extends keyof typeof KERNELS>(node: Node<K>, inputs: readonly HostTensor[]): HostTensor {
  const kernel: Kernel<K> = KERNELS[node.op] as Kernel<K>;
  return { shape: node.shape, dtype: node.dtype, data: kernel(node.attrs, node, ...inputs) };
}
