import type { CompositeName, OpAttrs, Tensor } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { node } from "../../../src/graph/node.ts";
import { type Case, each, named, real, whole } from "./case.ts";

type Convolution = OpAttrs["convolution"];
type Window = readonly [name: string, x: number[], out: number, kernel: [number, number], attrs: Convolution];
const square = (stride: number, padding: number): Convolution => ({
  stride: [stride, stride],
  padding: [
    [padding, padding],
    [padding, padding],
  ],
});
const WINDOWS: readonly Window[] = [
  ["3x3, same size", [2, 5, 4, 3], 4, [3, 3], square(1, 1)],
  ["3x3, half size", [2, 6, 6, 3], 4, [3, 3], square(2, 1)],
  ["3x3, half of an odd size", [1, 7, 5, 2], 3, [3, 3], square(2, 1)],
  ["1x1", [2, 3, 4, 5], 6, [1, 1], square(1, 0)],
  ["1x1, every second", [1, 5, 4, 3], 2, [1, 1], square(2, 0)],
  ["1x1, padded", [1, 3, 3, 2], 2, [1, 1], square(1, 1)],
  ["patches", [2, 8, 8, 3], 6, [4, 4], square(4, 0)],
  ["patches, with a remainder", [1, 9, 7, 3], 6, [4, 4], square(4, 0)],
  ["one position", [1, 3, 3, 2], 3, [3, 3], square(1, 0)],
  [
    "not square",
    [1, 6, 5, 2],
    3,
    [2, 3],
    {
      stride: [2, 1],
      padding: [
        [0, 1],
        [2, 0],
      ],
    },
  ],
  ["one row", [1, 1, 6, 1], 1, [1, 3], square(1, 0)],
  ["two positions a block", [2, 8, 16, 3], 8, [3, 3], square(1, 1)],
  ["two positions a block, half size", [2, 16, 32, 3], 8, [3, 3], square(2, 1)],
  ["two blocks", [2, 8, 8, 5], 32, [3, 3], square(1, 1)],
  ["two neighbours together", [2, 5, 6, 4], 8, [3, 3], square(1, 1)],
  ["four neighbours together, half size", [1, 7, 16, 5], 3, [3, 3], square(2, 1)],
  [
    "one block, not square",
    [2, 17, 9, 2],
    16,
    [2, 3],
    {
      stride: [2, 1],
      padding: [
        [0, 1],
        [2, 0],
      ],
    },
  ],
  [
    "more padding than kernel",
    [1, 3, 3, 1],
    2,
    [2, 2],
    {
      stride: [1, 2],
      padding: [
        [3, 0],
        [2, 3],
      ],
    },
  ],
  [
    "padding that crops",
    [1, 6, 6, 2],
    2,
    [2, 2],
    {
      stride: [1, 1],
      padding: [
        [-1, 0],
        [0, -2],
      ],
    },
  ],
  ["a stride wider than the kernel", [1, 7, 7, 2], 2, [2, 2], square(3, 0)],
  ["many channels", [1, 4, 4, 40], 33, [3, 3], square(1, 1)],
  // Processors hold 8 or 16 channels in a block.
  ["channels of one block", [2, 5, 7, 16], 16, [3, 3], square(1, 1)],
  ["channels of two blocks", [2, 4, 5, 32], 48, [3, 3], square(1, 1)],
  ["one block of channels into two, half size", [1, 6, 7, 16], 32, [3, 3], square(2, 1)],
  ["1x1 between blocks", [1, 3, 5, 32], 16, [1, 1], square(1, 0)],
  ["two pixels are a block of channels", [2, 5, 6, 8], 8, [3, 3], square(1, 1)],
  [
    "two pixels are one block, then two",
    [1, 3, 4, 8],
    16,
    [3, 5],
    {
      ...square(1, 1),
      padding: [
        [1, 1],
        [2, 2],
      ],
    },
  ],
  [
    "two pixels are three blocks",
    [1, 4, 6, 24],
    8,
    [3, 2],
    {
      stride: [2, 1],
      padding: [
        [1, 0],
        [0, 1],
      ],
    },
  ],
  [
    "two pixels are a block, padded on the left",
    [1, 3, 4, 8],
    8,
    [1, 4],
    {
      stride: [1, 1],
      padding: [
        [0, 0],
        [3, 0],
      ],
    },
  ],
  ["two pixels would be a block, the width odd", [1, 3, 5, 8], 8, [3, 3], square(1, 1)],
];

const covered = ([, [batch = 0, height = 0, width = 0], out, kernel, { stride, padding }]: Window): number[] => {
  const along = (size: number, axis: 0 | 1): number =>
    Math.floor((size + padding[axis][0] + padding[axis][1] - kernel[axis]) / stride[axis]) + 1;
  return [batch, along(height, 0), along(width, 1), out];
};

/** A result and its gradients, with a cotangent that is no constant. */
const withGradients =
  (fn: (...operands: Tensor[]) => Tensor) =>
  (...operands: Tensor[]): Tensor[] => {
    const y = fn(...operands);
    return [y, ...g.gradients(g.reduceSum(g.mul(y, g.tanh(y))), operands)];
  };

const forward = (name: string, operands: Case["operands"], build: (...x: Tensor[]) => Tensor): Case[] => [
  { name, operands, build },
  { name: `${name}, with gradients`, operands, build: withGradients(build), tolerance: 2e-5 },
];

const SHAPES: readonly (readonly number[])[] = [[], [7], [2, 3], [2, 1, 4], [2, 3, 2, 2], [65, 33]];
const activation = (fn: (x: Tensor) => Tensor): Case[] => [
  ...SHAPES.flatMap((shape) => forward(named(shape), [real(shape)], fn)),
  { name: "far from 0", operands: [real([40], { within: 50 })], build: fn },
];

const grad = (op: "reluGrad" | "quickGeluGrad" | "geluTanhGrad" | "softmaxGrad"): Case[] =>
  each(SHAPES.slice(1), (shape) => ({
    name: named(shape),
    operands: [real(shape), real(shape)],
    build: (y: Tensor, d: Tensor) => node(op, {}, [y, d]),
  }));

const along: readonly (readonly number[])[] = [[5], [2, 3], [3, 1], [2, 3, 4], [2, 2, 3, 5], [7, 129]];
const alongLast = (fn: (x: Tensor) => Tensor): Case[] =>
  along.flatMap((shape) => forward(named(shape), [real(shape)], fn));

/** All outputs of a composite, and each alone: an engine may compute only those that are read. */
const allOutputs = <K extends CompositeName>(
  name: string,
  op: K,
  attrs: OpAttrs[K],
  operands: Case["operands"],
  tolerance = 2e-5,
): Case[] => {
  const parts = (inputs: readonly Tensor[]): Tensor[] => {
    const y = node(op, attrs, inputs);
    return g.inferAll(op, attrs, inputs).map((_, index) => g.output(y, index));
  };
  const count = parts(operands.map(({ dtype, shape }) => g.input("x", dtype, shape))).length;
  return [
    { name: `${name}, all outputs`, operands, build: (...inputs) => parts(inputs), tolerance },
    ...Array.from({ length: count }, (_, index) => ({
      name: `${name}, output ${index} alone`,
      operands,
      build: (...inputs: Tensor[]) => parts(inputs)[index] as Tensor,
      tolerance,
    })),
  ];
};

/** Enough rows of few channels that an engine may take several as one. */
const MANY_ROWS: readonly (readonly number[])[] = [
  [2, 16, 16, 8],
  [2, 16, 16, 16],
  [2, 48, 48, 4],
];
const NORMALISED: readonly (readonly number[])[] = [[4], [2, 3], [2, 3, 5], [1, 4], [2, 3, 2, 4], [64, 96]];
const normalised = (op: "layerNorm" | "batchNorm", shapes: readonly (readonly number[])[]): Case[] =>
  shapes.flatMap((shape) => {
    const vector = real(shape.slice(-1));
    const operands = [real(shape), vector, vector];
    const [, gradients] = forward(named(shape), operands, (...inputs) => node(op, { epsilon: 1e-3 }, inputs));
    const outputs = allOutputs(named(shape), op, { epsilon: 1e-3 }, operands);
    return gradients ? [...outputs, { ...gradients, tolerance: 1e-4 }] : outputs;
  });

/** Values whose mean is many deviations from 0. */
const farFromZero = (shape: readonly number[], mean: number, tolerance: number): Case => ({
  name: `${named(shape)} around ${mean}`,
  operands: [real(shape, { within: 1 }), real(shape.slice(-1)), real(shape.slice(-1))],
  build: (x, gain, bias) => {
    const { y, variance } = g.batchNorm(g.add(x as Tensor, mean), gain as Tensor, bias as Tensor);
    return [y, variance];
  },
  tolerance,
});

const LINEAR: readonly (readonly [x: number[], out: number])[] = [
  [[4], 3],
  [[2, 4], 3],
  [[2, 3, 4], 5],
  [[2, 3, 2, 4], 1],
  [[1, 1], 1],
  [[65, 70], 33],
];

const LINEAR_NORMALISED: readonly (readonly [x: number[], out: number])[] = [
  [[3, 2], 4],
  [[2, 3, 4], 2],
  [[2, 3, 3, 2], 5],
  [[40, 8], 32],
];

type Attention = readonly [batch: number, queries: number, keys: number, width: number, heads: number];
const ATTENTION: readonly Attention[] = [
  [1, 1, 1, 1, 1],
  [2, 3, 3, 4, 1],
  [2, 3, 3, 4, 2],
  [2, 5, 5, 6, 3],
  [2, 1, 4, 4, 2],
  [1, 4, 2, 4, 2],
  [3, 17, 17, 64, 4],
];

const attentions: Case[] = ATTENTION.flatMap(([batch, queries, keys, width, heads]) =>
  [false, true].flatMap((causal) => {
    const operands = [real([batch, queries, width]), real([batch, keys, width]), real([batch, keys, width])];
    const name = `${causal ? "causal " : ""}${named([batch, queries, keys, width])} ${heads} heads`;
    return [
      ...allOutputs(name, "attention", { heads, causal }, operands),
      ...forward(name, operands, (q, k, v) =>
        g.attention(q as Tensor, k as Tensor, v as Tensor, { heads, causal }),
      ).slice(1),
    ];
  }),
);

export const NETWORK = {
  convolution: [
    ...WINDOWS.flatMap(([name, x, out, kernel, attrs]) =>
      forward(name, [real(x), real([out, x[3] ?? 0, ...kernel])], (...inputs) => node("convolution", attrs, inputs)),
    ),
    // Engines may treat what stands beside a convolution otherwise.
    ...[8, 16, 32].flatMap((channels) => {
      const vector = real([channels]);
      const operands = [real([2, 16, 16, 3]), real([channels, 3, 3, 3]), vector, vector, real([16, channels])];
      return forward(`before a batch normalisation of ${channels} channels`, operands, (...inputs) => {
        const [x, kernel, gain, bias, weight] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
        const y = g.relu(g.batchNorm(g.convolution(x, kernel, { padding: 1 }), gain, bias).y);
        return g.linear(y, weight);
      }).map((one) => ({ ...one, tolerance: 1e-4 }));
    }),
  ],
  convolutionKernelGrad: each(WINDOWS, (window) => ({
    name: window[0],
    operands: [real(window[1]), real(covered(window))],
    build: (x: Tensor, d: Tensor) => node("convolutionKernelGrad", { ...window[4], kernel: window[3] }, [x, d]),
  })),
  output: [
    {
      name: "further outputs of two equal composites",
      operands: [real([4, 3]), real([3]), real([3])],
      build: (x, gain, bias) => {
        const [a, b] = [g.batchNorm(x, gain, bias), g.batchNorm(x, gain, bias)];
        return [a.mean, b.mean, a.variance, g.add(a.y, b.y)];
      },
    },
    {
      name: "further outputs that further nodes read",
      operands: [real([4, 3]), real([3]), real([3])],
      build: (x, gain, bias) => {
        const { y, mean, variance } = g.batchNorm(x, gain, bias);
        return [g.mul(y, variance), g.add(g.mul(mean, 0.1), variance)];
      },
    },
  ],
  relu: [
    ...activation(g.relu),
    ...forward("whole numbers", [real([9], { within: 2 })], (x) => g.relu(x as Tensor)),
    ...MANY_ROWS.flatMap((shape) => {
      const operands = [real(shape), real(shape.slice(-1)), real(shape.slice(-1))];
      const behind = (x: Tensor, gain: Tensor, bias: Tensor) => g.batchNorm(x, gain, bias).y;
      return [
        ...forward(`behind a batch normalisation ${named(shape)}`, operands, (x, gain, bias) =>
          g.relu(behind(x as Tensor, gain as Tensor, bias as Tensor)),
        ).map((one) => ({ ...one, tolerance: 1e-4 })),
        {
          name: `behind a batch normalisation that is read itself ${named(shape)}`,
          operands,
          build: (x: Tensor, gain: Tensor, bias: Tensor) => {
            const y = behind(x, gain, bias);
            return [g.relu(y), y];
          },
        },
      ];
    }),
  ],
  reluGrad: [
    ...grad("reluGrad"),
    { name: "zeros", operands: [real([30], { within: 2 }), real([30])], build: (y, d) => node("reluGrad", {}, [y, d]) },
  ],
  quickGelu: activation(g.quickGelu),
  quickGeluGrad: grad("quickGeluGrad"),
  gelu: activation(g.gelu),
  geluTanh: activation(g.geluTanh),
  geluTanhGrad: grad("geluTanhGrad"),
  softmax: [
    ...alongLast(g.softmax),
    { name: "of large logits", operands: [real([3, 5], { within: 1000 })], build: (x) => g.softmax(x) },
  ],
  softmaxGrad: grad("softmaxGrad"),
  logSoftmax: [
    ...alongLast(g.logSoftmax),
    { name: "of large logits", operands: [real([3, 5], { within: 1000 })], build: (x) => g.logSoftmax(x) },
  ],
  linear: LINEAR.flatMap(([x, out]) => {
    const weight = real([out, x.at(-1) ?? 0]);
    const fn = (...inputs: Tensor[]): Tensor => node("linear", {}, inputs);
    return [
      ...forward(`${named(x)} to ${out}`, [real(x), weight], fn),
      ...forward(`${named(x)} to ${out}, with a bias`, [real(x), weight, real([out])], fn),
    ];
  }),
  layerNorm: normalised("layerNorm", NORMALISED),
  layerNormGrad: NORMALISED.flatMap((shape) => {
    const row = [...shape.slice(0, -1), 1];
    const operands = [real(shape), real(shape.slice(-1)), real(row), real(row, "positive"), real(shape)];
    return allOutputs(named(shape), "layerNormGrad", {}, operands);
  }),
  batchNorm: [
    ...normalised("batchNorm", [...NORMALISED.slice(1), ...MANY_ROWS]),
    // Rounding x + 50 alone costs 1e-5 of the deviation; squares of it, a hundred times that.
    farFromZero([5, 3], 50, 1e-4),
    farFromZero([2, 40, 60, 3], 3, 1e-5),
  ],
  batchNormGrad: [...NORMALISED.slice(1), ...MANY_ROWS].flatMap((shape) => {
    const vector = shape.slice(-1);
    const operands = [real(shape), real(vector), real(vector, "positive"), real(shape)];
    return allOutputs(named(shape), "batchNormGrad", { epsilon: 1e-3 }, operands);
  }),
  linearBatchNorm: [
    ...LINEAR_NORMALISED.flatMap(([x, out]) => {
      const operands = [real(x), real([out, x.at(-1) ?? 0]), real([out]), real([out])];
      const [, gradients] = forward(`${named(x)} to ${out}`, operands, (...inputs) =>
        node("linearBatchNorm", { epsilon: 1e-2 }, inputs),
      );
      const outputs = allOutputs(`${named(x)} to ${out}`, "linearBatchNorm", { epsilon: 1e-2 }, operands, 1e-4);
      return gradients ? [...outputs, { ...gradients, tolerance: 1e-4 }] : outputs;
    }),
    {
      name: "the sum of two",
      operands: [real([40, 8]), real([32, 8]), real([40, 16]), real([32, 16]), real([32]), real([32])],
      build: (a, left, b, right, gain, bias) => {
        const of = (x: Tensor | undefined, weight: Tensor | undefined) =>
          g.linearBatchNorm(x as Tensor, weight as Tensor, gain as Tensor, bias as Tensor, 1e-2);
        const [one, other] = [of(a, left), of(b, right)];
        return [g.add(one.y, other.y), one.variance, other.mean];
      },
      tolerance: 1e-4,
    } satisfies Case,
  ],
  // The mean and the variance are the batch's own: an engine may rely on that.
  linearBatchNormGrad: LINEAR_NORMALISED.map(([x, out]) => ({
    name: `${named(x)} to ${out}, all outputs`,
    operands: [...[x, [out, x.at(-1) ?? 0], [out], [out]].map((shape) => real(shape)), real([...x.slice(0, -1), out])],
    build: (input: Tensor, weight: Tensor, gain: Tensor, bias: Tensor, gradient: Tensor) => {
      const { mean, variance } = g.linearBatchNorm(input, weight, gain, bias, 1e-2);
      const dx = node("linearBatchNormGrad", { epsilon: 1e-2 }, [input, weight, gain, mean, variance, gradient]);
      return [dx, ...[1, 2, 3].map((index) => g.output(dx, index))];
    },
    tolerance: 1e-4,
  })),
  attention: [
    ...attentions,
    ...forward("of a tensor to itself", [real([2, 4, 6])], (x) =>
      g.attention(x as Tensor, x as Tensor, x as Tensor, { heads: 2, causal: true }),
    ),
    {
      name: "of slices of one projection",
      operands: [real([2, 4, 18])],
      build: (x) => {
        const [q, k, v] = [0, 1, 2].map((i) => g.sliceAxis(x, 2, 6 * i, 6 * i + 6)) as [Tensor, Tensor, Tensor];
        return g.attention(q, k, v, { heads: 3, causal: false });
      },
    },
  ],
  avgPool: [2, 3, 1].flatMap((window) =>
    forward(`by ${window}`, [real([2, 2 * window, window, 3])], (x) => node("avgPool", { window }, [x as Tensor])),
  ),
  upsample: [2, 3, 1].flatMap((window) => [
    ...forward(`by ${window}`, [real([2, 2, 1, 3])], (x) => node("upsample", { window }, [x as Tensor])),
    {
      name: `by ${window}, beside others`,
      operands: [real([2, 2, 3, 4]), ...[0, 1, 2].map(() => real([2, 2 * window, 3 * window, 4]))],
      build: (x: Tensor, left: Tensor, right: Tensor, y: Tensor) => {
        const wide = node("upsample", { window }, [x]);
        return g.mul(g.add(g.add(left, wide), g.add(wide, right)), node("reluGrad", {}, [y, wide]));
      },
    },
  ]),
  crossEntropy: [
    [3, 5],
    [1, 2],
    [4, 1],
    [33, 65],
  ].map(([rows = 0, classes = 0]) => ({
    name: named([rows, classes]),
    operands: [real([rows, classes]), whole([rows], { below: classes })],
    build: (logits: Tensor, targets: Tensor) => {
      const loss = g.crossEntropy(logits, targets);
      return [loss, ...g.gradients(loss, [logits])];
    },
  })),
  l2Normalize: alongLast(g.l2Normalize),
  placed: [
    {
      name: "in the middle, as a result and twice",
      operands: [real([4, 6]), real([6, 4])],
      build: (x, y) => {
        const z = g.placed(g.matmul(x, g.placed(y, [[], ["model"]])), [["data", "model"]]);
        return [z, g.placed(g.mul(z, z), g.WHOLE), g.placed(x, [["data"]])];
      },
    },
  ],
} satisfies Record<string, readonly Case[]>;
