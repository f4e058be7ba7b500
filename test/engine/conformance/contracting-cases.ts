import type { OpAttrs, Tensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { node } from "../../../src/graph/node.ts";
import { bytes, type Case, each, named, real, truths, whole } from "./case.ts";

const AXES: readonly (readonly [shape: number[], axes: number[]])[] = [
  [[5], [0]],
  [[2, 3], [0]],
  [[2, 3], [1]],
  [
    [2, 3],
    [0, 1],
  ],
  [[2, 3, 4], [1]],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [
    [2, 3, 4],
    [1, 2],
  ],
  [
    [2, 3, 4],
    [0, 1, 2],
  ],
  [[2, 1, 4], [1]],
  [[1, 1], [0]],
  [[33, 65], [0]],
  [[33, 65], [1]],
];

const REDUCE = { reduceSum: g.reduceSum, reduceMax: g.reduceMax, reduceMin: g.reduceMin };
const reductions = (op: keyof typeof REDUCE): Case[] => [
  ...each(AXES, ([shape, axes]) => ({
    name: `${named(shape)} over ${axes}`,
    operands: [real(shape)],
    build: (x: Tensor) => REDUCE[op](x, axes),
  })),
  { name: "no axes", operands: [real([2, 3])], build: (x) => node(op, { axes: [] }, [x]) },
  { name: "a scalar over no axes", operands: [real([])], build: (x) => node(op, { axes: [] }, [x]) },
  {
    name: "axes kept",
    operands: [real([2, 3, 4])],
    build: (x) => [REDUCE[op](x, [0, 2], true), REDUCE[op](x, [1], true)],
  },
  { name: "i32", operands: [whole([3, 4])], build: (x) => [REDUCE[op](x), REDUCE[op](x, [0]), REDUCE[op](x, [1])] },
  { name: "u8", operands: [bytes([3, 4])], build: (x) => [REDUCE[op](x), REDUCE[op](x, [0]), REDUCE[op](x, [1])] },
  { name: "a broadcast", operands: [real([3])], build: (x) => REDUCE[op](g.broadcastTo(x, [4, 3]), [0]) },
  { name: "a constant", operands: [real([])], build: (x) => REDUCE[op](g.constant(3, x.dtype, [4, 3]), [0]) },
];

const SIZES: Readonly<Record<string, number>> = {
  i: 3,
  j: 4,
  k: 5,
  l: 2,
  m: 6,
  o: 1,
  B: 2,
  C: 3,
  x: 70,
  y: 130,
  z: 40,
};

/** Axes of a product by letters: `Bij,Bjk` is a matrix product (j is in both) for each B (a capital in both). */
function product(letters: string): { a: number[]; b: number[]; axes: OpAttrs["dot"] } {
  const [left = "", right = ""] = letters.split(",");
  const pairs = (wanted: (letter: string) => boolean): [number[], number[]] => {
    const both = [...left].filter((letter) => right.includes(letter) && wanted(letter));
    return [both.map((letter) => left.indexOf(letter)), both.map((letter) => right.indexOf(letter))];
  };
  const capital = (letter: string): boolean => letter === letter.toUpperCase();
  const shape = (side: string): number[] => [...side].map((letter) => SIZES[letter] ?? 0);
  const axes = { batch: pairs(capital), contract: pairs((letter) => !capital(letter)) };
  return { a: shape(left), b: shape(right), axes };
}

const DOTS = {
  "matrices, each or both transposed": ["ij,jk", "ij,kj", "ji,jk", "ji,kj"],
  vectors: ["ij,j", "j,ji", "j,j", "o,o"],
  "scalars and outer products": [",", ",ij", "ij,", "i,j", "ij,kl", "Bi,Bj"],
  batches: ["Bij,Bjk", "Bij,Bkj", "Bji,Bjk", "Bji,Bkj", "BCij,BCjk", "BCij,CBkj"],
  "batch axes in other places": ["BiCj,BkCj", "ijB,jkB", "Bij,jBk", "iBj,kjB"],
  "batch axes without free or contracted ones": ["BC,CB", "B,B", "Bj,jB", "BCj,BjC"],
  "several contracted axes": ["lij,ijk", "lij,jik", "ilj,jki", "lij,jli", "lij,lik", "Bijk,Bkjl", "iBjk,kjlB"],
  "several free axes": ["Bijk,kmB", "ijl,kjm", "ijkl,lmB"],
  "axes of one": ["oij,ojo", "io,oj", "Boj,Bjo", "oi,oi", "ojo,jk"],
  "larger than a tile": ["xy,yz", "yx,yz", "Bxy,Bzy"],
} as const;

const ofTables = (table: readonly number[], rows: number, indices: readonly number[]) => {
  const shape = [rows, ...table];
  return {
    shape,
    operands: [real(shape), whole(indices, { below: rows })],
    name: `${named(shape)} by ${named(indices)}`,
  };
};
const TABLES = [
  ofTables([], 5, []),
  ofTables([], 5, [7]),
  ofTables([3], 4, []),
  ofTables([3], 4, [6]),
  ofTables([3], 4, [2, 5]),
  ofTables([2, 3], 4, [1, 3]),
  ofTables([1], 1, [3]),
  ofTables([16], 50, [4, 9]),
];

/** Tables, and indices of each. */
const TABLES_OF_EACH: readonly (readonly [tables: number[], indices: number[]])[] = [
  [
    [1, 4, 6],
    [1, 3],
  ],
  [
    [3, 5],
    [3, 7],
  ],
  [
    [2, 50, 9],
    [2, 64],
  ],
  [
    [4, 1, 2, 3],
    [4, 2],
  ],
];

export const CONTRACTING = {
  reduceSum: reductions("reduceSum"),
  reduceMax: reductions("reduceMax"),
  reduceMin: reductions("reduceMin"),
  argmax: [
    ...each(
      [
        [[5], 0],
        [[2, 3], 0],
        [[2, 3], 1],
        [[2, 3, 4], 1],
        [[1, 4], 0],
        [[9, 33], 1],
      ] as const,
      ([shape, axis]) => ({
        name: `${named(shape)} along ${axis}`,
        operands: [real(shape)],
        build: (x: Tensor) => g.argmax(x, axis),
      }),
    ),
    {
      name: "the first of equals",
      operands: [real([20, 6], { within: 1 })],
      build: (x) => [g.argmax(x), g.argmax(x, 0)],
    },
    { name: "i32", operands: [whole([9, 6], { within: 2 })], build: (x) => [g.argmax(x), g.argmax(x, 0)] },
    { name: "u8", operands: [bytes([9, 6], 4)], build: (x) => [g.argmax(x), g.argmax(x, 0)] },
    { name: "all the same", operands: [real([])], build: (x) => g.argmax(g.constant(-1, x.dtype, [2, 3])) },
  ],
  dot: [
    ...Object.entries<readonly string[]>(DOTS).flatMap(([kind, all]) =>
      each(all, (letters) => {
        const { a, b, axes } = product(letters);
        const build = (x: Tensor, y: Tensor): Tensor => g.dot(x, y, axes);
        return { name: `${kind}: ${letters}`, operands: [real(a), real(b)], build };
      }),
    ),
    {
      name: "a matrix and itself",
      operands: [real([4, 4])],
      build: (x) => [g.matmul(x, x), g.matmul(g.transpose(x, [1, 0]), x)],
    },
    {
      name: "a broadcast and a constant",
      operands: [real([4])],
      build: (x) => [
        g.matmul(g.broadcastTo(x, [3, 4]), g.constant(2, x.dtype, [4, 2])),
        g.matmul(g.constant(0.5, x.dtype, [2, 3]), g.broadcastTo(x, [3, 4])),
      ],
    },
  ],
  gather: [
    ...each(TABLES, ({ name, operands }) => ({ name, operands, build: (t: Tensor, i: Tensor) => g.gather(t, i) })),
    {
      name: "i32, u8 and bool tables",
      operands: [whole([4, 2]), bytes([4]), truths([4, 3]), whole([6], { below: 4 })],
      build: (a, b, c, i) => [a, b, c].map((table) => g.gather(table, i)),
    },
  ],
  scatterAdd: [
    ...each(TABLES, ({ name, operands, shape }) => ({
      name,
      operands: [...operands, real([...(operands[1]?.shape ?? []), ...shape.slice(1)])],
      build: (t: Tensor, i: Tensor, u: Tensor) => g.scatterAdd(t, i, u),
    })),
    {
      name: "many updates of few rows",
      operands: [real([3, 8]), whole([500], { below: 3 }), real([500, 8])],
      build: (t, i, u) => g.scatterAdd(t, i, u),
    },
    {
      name: "a table of zeros, constant updates",
      operands: [real([]), whole([7], { below: 3 })],
      build: ({ dtype }, i) => g.scatterAdd(g.constant(0, dtype, [4, 2]), i, g.constant(1, dtype, [7, 2])),
    },
    {
      name: "i32 and u8 tables",
      operands: [whole([4, 2]), whole([6], { below: 4 }), whole([6, 2]), bytes([4]), bytes([6])],
      build: (t, i, u, small, updates) => [g.scatterAdd(t, i, u), g.scatterAdd(small, i, updates)],
    },
  ],
  gatherEach: each(TABLES_OF_EACH, ([tables, indices]) => ({
    name: `${named(tables)} by ${named(indices)}`,
    operands: [real(tables), whole(indices, { below: tables[1] ?? 1 })],
    build: (t: Tensor, i: Tensor) => g.gatherEach(t, i),
  })),
  scatterAddEach: each(TABLES_OF_EACH, ([tables, indices]) => ({
    name: `${named(tables)} by ${named(indices)}`,
    operands: [real(tables), whole(indices, { below: tables[1] ?? 1 }), real([...indices, ...tables.slice(2)])],
    build: (t: Tensor, i: Tensor, u: Tensor) => node("scatterAddEach", {}, [t, i, u]),
  })),
} satisfies Record<string, readonly Case[]>;
