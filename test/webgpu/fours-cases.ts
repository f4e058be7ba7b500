/** WebGPU kernels take another path, four elements at once, where sizes are multiples of four: cases of such sizes. */
import type { Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { node } from "../../src/graph/node.ts";
import { bytes, type Case, each, named, real, truths, whole } from "../engine/conformance/case.ts";

const PAIRS: readonly (readonly [left: readonly number[], right: readonly number[]])[] = [
  [[8], [8]],
  [[], [4, 8]],
  [[4, 8], []],
  [[4, 8], [8]],
  [[8], [4, 8]],
  [
    [4, 8],
    [4, 1],
  ],
  [
    [4, 1],
    [4, 8],
  ],
  [
    [4, 1],
    [1, 8],
  ],
  [
    [1, 8],
    [4, 1],
  ],
  [
    [4, 1, 8],
    [4, 12, 8],
  ],
  [
    [4, 12, 1],
    [12, 8],
  ],
  [
    [3, 1],
    [3, 4],
  ],
  [
    [4, 8],
    [1, 1],
  ],
];

const BINARY = { add: g.add, sub: g.sub, mul: g.mul, div: g.div, pow: g.pow, max: g.max, min: g.min };
const DIRECTIONS = ["eq", "ne", "lt", "le", "gt", "ge"] as const;

const stretched: Case[] = each(PAIRS, ([a, b]) => ({
  name: named(a, b),
  operands: [real(a, "positive"), real(b, "positive"), whole(a), whole(b), bytes(a), bytes(b), truths(a), truths(b)],
  build: (x, y, i, j, c, d, p, q) => [
    ...Object.values(BINARY).map((fn) => fn(x as Tensor, y as Tensor)),
    ...[g.add, g.mul, g.max].flatMap((fn) => [fn(i as Tensor, j as Tensor), fn(c as Tensor, d as Tensor)]),
    ...DIRECTIONS.flatMap((direction) => [
      g.compare(x as Tensor, direction, y as Tensor),
      g.compare(i as Tensor, direction, j as Tensor),
      g.compare(c as Tensor, direction, d as Tensor),
    ]),
    g.and(p as Tensor, q as Tensor),
    g.or(p as Tensor, q as Tensor),
    g.select(p as Tensor, y as Tensor, 0),
    g.select(q as Tensor, x as Tensor, 1),
    g.select(g.compare(x as Tensor, "lt", y as Tensor), x as Tensor, y as Tensor),
    g.select(p as Tensor, j as Tensor, i as Tensor),
  ],
}));

/** The same of every dtype. */
const moves = (name: string, shape: readonly number[], fn: (x: Tensor) => Tensor): Case => ({
  name,
  operands: [real(shape), whole(shape), bytes(shape), truths(shape)],
  build: (...operands) => operands.map(fn),
});

const rearranged: Case[] = [
  ...each(
    [
      [[], [8], []],
      [[4], [8, 4], [1]],
      [[8], [8, 4], [0]],
      [
        [4, 1],
        [4, 8],
        [0, 1],
      ],
      [
        [1, 8],
        [4, 8],
        [0, 1],
      ],
      [
        [4, 1, 8],
        [4, 4, 8],
        [0, 1, 2],
      ],
      [
        [1, 1],
        [4, 8],
        [0, 1],
      ],
    ] as const,
    ([from, to, dimensions]) =>
      moves(`${named(from)} broadcast to ${named(to)}`, from, (x) => g.broadcast(x, to, dimensions)),
  ),
  ...each(
    [
      [1, 0, 2, 3],
      [0, 2, 1, 3],
      [0, 1, 3, 2],
      [3, 2, 1, 0],
      [2, 3, 0, 1],
    ],
    (permutation) =>
      moves(`transposed by ${permutation}`, [4, 8, 4, 16], (x) => node("transpose", { permutation }, [x])),
  ),
  moves("sliced", [8, 12], (x) => g.slice(x, [0, 4], [8, 8])),
  moves("sliced by strides", [8, 16], (x) => g.slice(x, [0, 0], [8, 16], [2, 4])),
  moves("reversed", [8, 16], (x) => g.reverse(x, [1])),
  moves("padded", [4, 8], (x) => g.pad(x, [0, 4], [4, 0], [1, 1])),
  moves("joined", [4, 8], (x) => g.concat([x, g.reverse(x, [0]), x], 1)),
  {
    name: "sixty parts joined",
    operands: Array.from({ length: 60 }, (_, i) => real([1 + (i % 5), 4])),
    build: (...parts) => g.concat(parts, 0),
  },
  {
    name: "rows gathered and scattered",
    operands: [real([32, 16]), whole([8, 4], { below: 32 }), real([8, 4, 16])],
    build: (table, i, updates) => [g.gather(table, i), g.scatterAdd(table, i, updates)],
  },
  {
    name: "many rows scattered into one",
    operands: [real([4, 64]), whole([1000], { below: 2 }), real([1000, 64])],
    build: (table, i, updates) => g.scatterAdd(table, i, updates),
  },
];

const reduced: Case[] = each(
  [
    [[8, 16], [0]],
    [[8, 16], [1]],
    [
      [4, 8, 16],
      [0, 1],
    ],
    [
      [4, 8, 16],
      [0, 2],
    ],
    [
      [4, 8, 16],
      [1, 2],
    ],
    [[2048], [0]],
    [[300, 64], [0]],
    [[2, 4096], [1]],
    [[64, 512, 8], [1]],
  ] as const,
  ([shape, axes]) => ({
    name: `${named(shape)} reduced over ${axes}`,
    operands: [real(shape), whole(shape)],
    build: (x, i) => [g.reduceSum, g.reduceMax, g.reduceMin].flatMap((fn) => [fn(x, axes), fn(i, axes)]),
  }),
);

const rows: Case[] = each(
  [
    [4, 8],
    [3, 128],
    [2, 260],
    [2, 2, 768],
    [2, 5000],
  ],
  (shape) => ({
    name: `rows of ${named(shape)}`,
    operands: [real(shape), real(shape.slice(-1)), real(shape.slice(-1)), real(shape)],
    build: (x, gain, bias, d) => {
      const results = [
        g.softmax(x),
        g.logSoftmax(x),
        g.layerNorm(x, gain, bias),
        g.l2Normalize(x),
        g.batchNorm(x, gain, bias).y,
        g.quickGelu(x),
        g.gelu(x),
        g.relu(x),
      ];
      const loss = g.reduceSum(g.mul(g.softmax(g.layerNorm(g.quickGelu(x), gain, bias)), d));
      return [...results, g.argmax(x), ...g.gradients(loss, [x, gain, bias])];
    },
    tolerance: 1e-4,
  }),
);

const multiplied: Case[] = each(
  [
    [4, 8, 16],
    [64, 64, 64],
    [64, 256, 64],
    [1, 64, 512],
    [257, 33, 5],
  ] as const,
  ([m, k, n]) => ({
    name: `${m} x ${k} x ${n}`,
    operands: [real([m, k]), real([n, k]), real([n]), real([m, n]), real([3, m, k]), real([3, n, k])],
    build: (x, w, bias, d, many, others) => {
      const y = g.linear(x, w, bias);
      const batched = g.dot(many, others, { batch: [[0], [0]], contract: [[2], [2]] });
      const square = g.dot(many, many, { batch: [[0], [0]], contract: [[1], [1]] });
      return [y, batched, square, ...g.gradients(g.reduceSum(g.mul(y, d)), [x, w, bias])];
    },
    tolerance: 1e-5,
  }),
);

const attending: Case[] = each(
  [
    [2, 16, 64, 1],
    [2, 20, 128, 2],
    [1, 77, 64, 1],
  ] as const,
  ([batch, tokens, width, heads]) => ({
    name: `attention ${named([batch, tokens, width])}, ${heads} heads`,
    operands: [real([batch, tokens, width]), real([batch, tokens, width]), real([batch, tokens, width])],
    build: (q, k, v) =>
      [true, false].flatMap((causal) => {
        const y = g.attention(q, k, v, { heads, causal });
        return [y, ...g.gradients(g.reduceSum(g.mul(y, q)), [q, k, v])];
      }),
    tolerance: 2e-5,
  }),
);

const convolved: Case[] = each(
  [
    [8, 3, 16, 3, 2, 1],
    [8, 16, 32, 3, 1, 1],
    [16, 3, 64, 8, 8, 0],
    [8, 64, 16, 1, 1, 0],
  ] as const,
  ([side, into, out, kernel, stride, padding]) => ({
    name: `convolution of ${side}, ${into} to ${out}, kernel ${kernel}, stride ${stride}`,
    operands: [real([4, side, side, into]), real([out, into, kernel, kernel])],
    build: (x, w) => {
      const y = g.convolution(x, w, { stride, padding });
      return [y, ...g.gradients(g.reduceSum(g.mul(y, y)), [x, w])];
    },
    tolerance: 2e-5,
  }),
);

export const FOURS: readonly Case[] = [
  ...stretched,
  ...rearranged,
  ...reduced,
  ...rows,
  ...multiplied,
  ...attending,
  ...convolved,
];
