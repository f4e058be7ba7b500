import type { Tensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { node } from "../../../src/graph/node.ts";
import type { Elements, Operand } from "../../graph/random.ts";
import { bytes, type Case, each, named, real, truths, whole } from "./case.ts";

type Pair = readonly [left: readonly number[], right: readonly number[]];

/** Both ways around: scalars, rows, columns, middle axes, outer products, ones. */
const PAIRS: readonly Pair[] = [
  [[], []],
  [[4], [4]],
  [[], [2, 3]],
  [[2, 3], []],
  [[3], [2, 3]],
  [[2, 3], [3]],
  [
    [2, 1],
    [2, 3],
  ],
  [
    [2, 3],
    [2, 1],
  ],
  [
    [2, 1, 4],
    [2, 3, 4],
  ],
  [
    [2, 3, 4],
    [2, 1, 4],
  ],
  [
    [1, 4],
    [3, 1],
  ],
  [
    [3, 1],
    [1, 4],
  ],
  [[1], [4]],
  [
    [1, 1],
    [2, 3],
  ],
  [[2, 3], [1]],
  [
    [5, 1, 1],
    [1, 2, 3],
  ],
  [
    [3, 1],
    [2, 3, 4],
  ],
  [
    [1, 2, 1, 3],
    [2, 1, 4, 1],
  ],
];

const SHAPES: readonly (readonly number[])[] = [[], [1], [7], [1, 1], [2, 3], [2, 1, 4], [2, 3, 2, 2]];

/** Sizes at which vector kernels have full and partial blocks. */
const LONG = [67, 33];

const unary = (fn: (x: Tensor) => Tensor, elements: Elements = "any"): Case[] =>
  each([...SHAPES, LONG], (shape) => ({ name: named(shape), operands: [real(shape, elements)], build: fn }));

const zeros = (fn: (x: Tensor) => Tensor): Case => ({
  name: "zeros and whole numbers",
  operands: [real([5, 5], { within: 2 })],
  build: fn,
});

const far = (fn: (x: Tensor) => Tensor): Case => ({
  name: "far from 0",
  operands: [real([40], { within: 100 })],
  build: fn,
});

type Binary = (a: Tensor | number, b: Tensor | number) => Tensor;

const binary = (fn: Binary, left: Elements = "any", right = left): Case[] => [
  ...each(PAIRS, ([a, b]) => ({ name: named(a, b), operands: [real(a, left), real(b, right)], build: fn })),
  { name: "a number on the right", operands: [real([2, 3], left)], build: (x) => fn(x, 2) },
  { name: "a number on the left", operands: [real([2, 3], right)], build: (x) => fn(2, x) },
  { name: "a number and a scalar", operands: [real([], left)], build: (x) => fn(x, 2) },
  {
    name: "both operands stretched the same way",
    operands: [real([4], left), real([4], right)],
    build: (a, b) => fn(g.broadcastTo(a, [3, 4]), g.broadcastTo(b, [3, 4])),
  },
  {
    name: "both operands stretched, along leading axes",
    operands: [real([2], left), real([2, 3], right)],
    build: (a, b) => fn(g.broadcast(a, [2, 3, 4], [0]), g.broadcast(b, [2, 3, 4], [0, 1])),
  },
  {
    name: "an operand with an axis put in the middle",
    operands: [real([2, 4], left), real([2, 3, 4], right)],
    build: (a, b) => fn(g.broadcast(a, [2, 3, 4], [0, 2]), b),
  },
  {
    name: "two constants, stretched",
    operands: [real([])],
    build: (like) => fn(g.broadcastTo(g.constant(3, like.dtype), [2, 2]), g.constant(2, like.dtype)),
  },
  { name: "the same operand twice", operands: [real([2, 3], "positive")], build: (x) => fn(x, x) },
];

const wholes = (fn: Binary, left: Elements = { within: 9 }, right = left): Case[] =>
  each(PAIRS.slice(1, 9), ([a, b]) => ({
    name: `i32 ${named(a, b)}`,
    operands: [whole(a, left), whole(b, right)],
    build: fn,
  }));

const byteCases = (fn: Binary, right: (shape: readonly number[]) => Operand = bytes): Case[] =>
  each(PAIRS.slice(1, 9), ([a, b]) => ({ name: `u8 ${named(a, b)}`, operands: [bytes(a), right(b)], build: fn }));

const logic = (fn: (a: Tensor, b: Tensor) => Tensor): Case[] => [
  ...each(PAIRS, ([a, b]) => ({ name: named(a, b), operands: [truths(a), truths(b)], build: fn })),
  { name: "the same operand twice", operands: [truths([6])], build: (x) => fn(x, x) },
];

const DIRECTIONS = ["eq", "ne", "lt", "le", "gt", "ge"] as const;

const comparisons: Case[] = DIRECTIONS.flatMap((direction) => [
  ...each(PAIRS, ([a, b]) => ({
    name: `${direction} ${named(a, b)}`,
    operands: [real(a, { within: 2 }), real(b, { within: 2 })],
    build: (x: Tensor, y: Tensor) => g.compare(x, direction, y),
  })),
  {
    name: `${direction} i32 and u8`,
    operands: [whole([5, 4], { within: 2 }), whole([4], { within: 2 }), bytes([5, 4], 3), bytes([5, 1], 3)],
    build: (a, b, c, d) => [g.compare(a, direction, b), g.compare(c, direction, d)],
  },
  {
    name: `${direction} with a number on either side`,
    operands: [real([9], { within: 2 }), whole([9], { within: 2 })],
    build: (x, i) => [g.compare(x, direction, 1), g.compare(0, direction, i)],
  },
]);

const selections: Case[] = [
  ...each(PAIRS, ([a, b]) => ({
    name: `condition ${named(a)} of ${named(b)}`,
    operands: [truths(a), real(b), real(b)],
    build: (c: Tensor, x: Tensor, y: Tensor) => g.select(c, x, y),
  })),
  ...each(PAIRS, ([a, b]) => ({
    name: `branches ${named(a, b)}`,
    operands: [truths(b), real(a), real(b)],
    build: (c: Tensor, x: Tensor, y: Tensor) => g.select(c, x, y),
  })),
  {
    name: "every operand of another shape",
    operands: [truths([2, 1, 1]), real([3, 1]), real([4])],
    build: (c, x, y) => g.select(c, x, y),
  },
  {
    name: "numbers",
    operands: [truths([2, 3]), real([2, 3])],
    build: (c, x) => [g.select(c, x, 0), g.select(c, -1, x)],
  },
  {
    name: "i32, u8 and bool branches",
    operands: [truths([6]), whole([6]), whole([6]), bytes([6]), bytes([6]), truths([6]), truths([6])],
    build: (c, a, b, d, e, x, y) => [g.select(c, a, b), g.select(c, d, e), node("select", {}, [c, x, y])],
  },
  {
    name: "only the condition is of the full shape",
    operands: [truths([2, 3]), real([]), real([3])],
    build: (c, x, y) => g.select(c, x, y),
  },
  {
    name: "a condition of constants",
    operands: [real([2, 3])],
    build: (x) => g.select(g.constant(new Uint8Array([1, 0, 1]), "bool", [3]), x, 0),
  },
];

const conversions: Case[] = [
  {
    name: "floats to all",
    operands: [real([20], { within: 3 }), real([3, 7])],
    build: (a, b) => [a, b].flatMap((x) => [g.convert(x, "i32"), g.convert(x, "bool")]),
  },
  { name: "positive floats to u8", operands: [real([9], "positive")], build: (x) => g.convert(g.mul(x, 100), "u8") },
  {
    name: "i32 to all",
    operands: [whole([20], { within: 3 }), whole([20], { below: 256 }), real([])],
    build: (i, small, like) => [g.convert(i, like.dtype), g.convert(i, "bool"), g.convert(small, "u8")],
  },
  {
    name: "u8 to all",
    operands: [bytes([20]), bytes([20], 2), real([])],
    build: (x, few, like) => [g.convert(x, like.dtype), g.convert(x, "i32"), g.convert(few, "bool")],
  },
  {
    name: "bool to all",
    operands: [truths([20]), real([])],
    build: (x, like) => [g.convert(x, like.dtype), g.convert(x, "i32"), g.convert(x, "u8")],
  },
  {
    name: "pixels to numbers around 0",
    operands: [bytes([2, 3, 3, 3]), real([3]), real([3], "positive")],
    build: (x, mean, deviation) => g.div(g.sub(g.mul(g.convert(x, mean.dtype), 1 / 255), mean), deviation),
  },
];

export const ELEMENTWISE = {
  neg: [...unary(g.neg), zeros(g.neg)],
  exp: unary(g.exp),
  log: unary(g.log, "positive"),
  sqrt: [...unary(g.sqrt, "positive"), { name: "0", operands: [real([4], { below: 2 })], build: (x) => g.sqrt(x) }],
  rsqrt: unary(g.rsqrt, "positive"),
  tanh: [...unary(g.tanh), far(g.tanh)],
  sigmoid: [...unary(g.sigmoid), far(g.sigmoid)],
  erf: [...unary(g.erf), far(g.erf)],
  abs: [...unary(g.abs), zeros(g.abs)],
  sign: [...unary(g.sign), zeros(g.sign)],
  not: each(SHAPES, (shape) => ({ name: named(shape), operands: [truths(shape)], build: g.not })),
  add: [...binary(g.add), ...wholes(g.add), ...byteCases(g.add)],
  sub: [...binary(g.sub), ...wholes(g.sub), ...byteCases(g.sub)],
  mul: [...binary(g.mul), ...wholes(g.mul), ...byteCases(g.mul)],
  div: [
    ...binary(g.div, "any", "positive"),
    ...wholes((a, b) => g.div(a, g.add(b, 1)), { within: 99 }, { below: 9 }),
    ...wholes((a, b) => g.div(a, g.sub(-1, b)), { within: 99 }, { below: 9 }),
    ...byteCases(
      (a, b) => g.div(a, g.add(b, 1)),
      (shape) => bytes(shape, 9),
    ),
  ],
  pow: [
    ...binary(g.pow, "positive", "any"),
    { name: "whole powers of negative numbers", operands: [real([9])], build: (x) => [g.pow(x, 2), g.pow(x, 3)] },
    { name: "0 and 1", operands: [real([3, 3], { below: 2 })], build: (x) => [g.pow(x, 2), g.pow(x, 0.5)] },
  ],
  max: [...binary(g.max), ...wholes(g.max), ...byteCases(g.max)],
  min: [...binary(g.min), ...wholes(g.min), ...byteCases(g.min)],
  and: logic(g.and),
  or: logic(g.or),
  compare: comparisons,
  select: selections,
  convert: conversions,
} satisfies Record<string, readonly Case[]>;
