import type { DType, Tensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { node } from "../../../src/graph/node.ts";
import { bytes, type Case, each, named, real, truths, whole } from "./case.ts";

/** The same rearrangement of every dtype. */
const moves = (name: string, shape: readonly number[], fn: (x: Tensor) => Tensor): Case => ({
  name,
  operands: [real(shape), whole(shape), bytes(shape), truths(shape)],
  build: (...operands) => operands.map(fn),
});

const permutations = (rank: number): number[][] =>
  rank === 0
    ? [[]]
    : permutations(rank - 1).flatMap((rest) => Array.from({ length: rank }, (_, i) => rest.toSpliced(i, 0, rank - 1)));

const broadcasts: readonly (readonly [from: number[], to: number[], dimensions: number[]])[] = [
  [[], [2, 3], []],
  [[], [1], []],
  [[3], [2, 3], [1]],
  [[3], [3, 2], [0]],
  [[3], [2, 3, 4], [1]],
  [
    [2, 4],
    [2, 3, 4],
    [0, 2],
  ],
  [
    [2, 1],
    [2, 3],
    [0, 1],
  ],
  [
    [1, 3],
    [2, 3],
    [0, 1],
  ],
  [
    [1, 1],
    [2, 3],
    [0, 1],
  ],
  [[1], [4], [0]],
  [
    [2, 1],
    [3, 2, 4],
    [1, 2],
  ],
  [
    [2, 3],
    [1, 2, 3],
    [1, 2],
  ],
  [
    [2, 3],
    [2, 3, 1],
    [0, 1],
  ],
];

const slices: readonly (readonly [shape: number[], start: number[], limit: number[], stride: number[]])[] = [
  [[7], [2], [6], [1]],
  [[7], [1], [7], [3]],
  [[7], [6], [7], [2]],
  [
    [4, 5],
    [0, 2],
    [4, 3],
    [1, 1],
  ],
  [
    [4, 5],
    [1, 0],
    [4, 5],
    [2, 2],
  ],
  [
    [2, 6, 3],
    [0, 1, 0],
    [2, 6, 3],
    [1, 2, 1],
  ],
  [
    [1, 4],
    [0, 0],
    [1, 1],
    [1, 1],
  ],
  [
    [3, 3, 3, 3],
    [1, 0, 2, 1],
    [3, 2, 3, 3],
    [1, 1, 1, 2],
  ],
];

const pads: readonly (readonly [shape: number[], low: number[], high: number[], interior: number[]])[] = [
  [[3], [2], [0], [0]],
  [[3], [0], [0], [2]],
  [[3], [1], [2], [1]],
  [[1], [1], [1], [3]],
  [
    [2, 3],
    [0, 1],
    [2, 0],
    [0, 0],
  ],
  [
    [2, 3],
    [1, 1],
    [1, 1],
    [1, 2],
  ],
  [
    [2, 1, 3],
    [0, 0, 0],
    [0, 0, 0],
    [1, 1, 1],
  ],
  [
    [1, 2, 2, 1],
    [0, 0, 0, 0],
    [0, 1, 1, 0],
    [0, 1, 1, 0],
  ],
];

const LITERALS: readonly (readonly [DType, Parameters<typeof g.constant>[0], number[]])[] = [
  ["i32", new Int32Array([-1, 0, 2 ** 31 - 1]), [3]],
  ["u8", new Uint8Array([0, 128, 255, 1]), [2, 2]],
  ["bool", new Uint8Array([0, 1]), [1, 2]],
  ["i32", -7, [2]],
  ["u8", 255, []],
  ["bool", 1, [3]],
  ["bool", 0, []],
];

export const REARRANGING = {
  input: [
    moves("returned as they are", [2, 3], (x) => x),
    moves("scalars", [], (x) => x),
    { name: "one that nothing reads", operands: [real([2]), real([3])], build: (x) => g.neg(x) },
  ],
  constant: [
    ...each(LITERALS, ([dtype, value, shape]) => ({
      name: `${dtype} ${value} ${named(shape)}`,
      operands: [real([])],
      build: () => g.constant(value, dtype, shape),
    })),
    {
      name: "floats",
      operands: [real([])],
      build: ({ dtype }) => [
        g.constant(0.5, dtype),
        g.constant(-2, dtype, [2, 3]),
        g.constant(1.5, dtype, [40, 50]),
        g.constant(Number.POSITIVE_INFINITY, dtype, [2]),
        g.constant(Number.NEGATIVE_INFINITY, dtype, [2]),
        g.constant(Number.NaN, dtype, [1]),
      ],
    },
    {
      name: "read by several",
      operands: [real([2, 3])],
      build: (x) => {
        const c = g.constant(3, x.dtype, [2, 3]);
        return [g.add(x, c), g.reshape(c, [3, 2]), g.concat([c, x], 0), c];
      },
    },
  ],
  iota: each(
    [
      [[4], 0],
      [[2, 3], 0],
      [[2, 3], 1],
      [[2, 3, 4], 1],
      [[1, 5], 1],
    ] as const,
    ([shape, axis]) => ({
      name: `${named(shape)} along ${axis}`,
      operands: [real([])],
      build: ({ dtype }: Tensor) => [g.iota(dtype, shape, axis), g.iota("i32", shape, axis), g.iota("u8", shape, axis)],
    }),
  ),
  reshape: [
    moves("[2,3,4] to [6,4]", [2, 3, 4], (x) => g.reshape(x, [6, 4])),
    moves("[4,3] to [2,2,3,1]", [4, 3], (x) => g.reshape(x, [2, 2, 3, 1])),
    moves("[1,1] to a scalar", [1, 1], (x) => g.reshape(x, [])),
    moves("a scalar to [1,1]", [], (x) => g.reshape(x, [1, 1])),
    moves("a transpose", [2, 3], (x) => g.reshape(g.transpose(x, [1, 0]), [2, 3])),
  ],
  transpose: [
    ...each([...permutations(2), ...permutations(3), ...permutations(4)], (permutation) =>
      moves(`[${permutation}]`, [2, 3, 4, 5].slice(0, permutation.length), (x) =>
        node("transpose", { permutation }, [x]),
      ),
    ),
    moves("axes of one", [1, 3, 1], (x) => g.transpose(x, [2, 0, 1])),
  ],
  broadcast: [
    ...each(broadcasts, ([from, to, dimensions]) =>
      moves(`${named(from, to)} over ${named(dimensions)}`, from, (x) => g.broadcast(x, to, dimensions)),
    ),
    moves("of a broadcast", [3], (x) => g.broadcastTo(g.broadcast(x, [3, 2], [0]), [4, 3, 2])),
  ],
  slice: each(slices, ([shape, ...bounds]) =>
    moves(`${named(shape)} ${named(...bounds)}`, shape, (x) => g.slice(x, ...bounds)),
  ),
  pad: each(pads, ([shape, ...amounts]) =>
    moves(`${named(shape)} ${named(...amounts)}`, shape, (x) => g.pad(x, ...amounts)),
  ),
  concat: [
    moves("a tensor and itself", [2, 3], (x) => g.concat([x, x], 0)),
    moves("along the last axis", [2, 3], (x) => g.concat([x, g.reshape(x, [2, 3]), g.sliceAxis(x, 1, 0, 1)], 1)),
    { name: "vectors", operands: [real([2]), real([1]), real([4])], build: (...parts) => g.concat(parts, 0) },
    { name: "a middle axis", operands: [real([2, 1, 3]), real([2, 4, 3])], build: (...parts) => g.concat(parts, 1) },
    {
      name: "with a constant",
      operands: [real([2, 3])],
      build: (x) => g.concat([g.constant(0, x.dtype, [1, 3]), x], 0),
    },
    {
      name: "with a broadcast",
      operands: [real([3]), real([4, 2, 3])],
      build: (token, x) => g.concat([g.broadcastTo(token, [4, 1, 3]), x], 1),
    },
  ],
  reverse: [
    moves("a vector", [5], (x) => g.reverse(x, [0])),
    moves("the first axis", [3, 2], (x) => g.reverse(x, [0])),
    moves("two axes of four", [2, 1, 3, 2], (x) => g.reverse(x, [2, 3])),
    moves("an axis of one", [2, 1], (x) => g.reverse(x, [1])),
    moves("no axes", [2, 3], (x) => node("reverse", { axes: [] }, [x])),
  ],
  barrier: [
    moves("alone", [2, 3], (x) => g.barrier(x, [])),
    moves("a scalar", [], (x) => g.barrier(x, [])),
    moves("behind a result", [2, 3], (x) => g.barrier(x, [g.concat([x, x], 0), g.slice(x, [0, 0], [0, 0])])),
    {
      name: "behind every dtype",
      operands: [real([5]), real([2, 3]), whole([4]), bytes([]), truths([1, 2])],
      build: (x, ...others) => g.barrier(x, others),
    },
    {
      name: "behind what is not a number",
      operands: [real([4])],
      build: (x) => g.barrier(x, [g.log(g.sub(-1, g.mul(x, x))), g.div(1, g.mul(x, 0))]),
    },
    {
      name: "beside the same without it",
      operands: [real([4, 8]), real([8, 8])],
      build: (x, w) => [g.tanh(g.linear(x, w)), g.tanh(g.linear(g.barrier(x, [g.reduceSum(x)]), w))],
    },
    { name: "an empty tensor", operands: [real([0, 3]), real([2])], build: (x, y) => g.barrier(x, [y]) },
  ],
} satisfies Record<string, readonly Case[]>;
