/** Linear layers with baked-in weights, which onnxruntime's direct convolutions compute where the processor has AVX-512. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { lower } from "../../src/engine/onnx/lower.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import * as g from "../../src/graph/index.ts";
import { fill, type Operand } from "../graph/random.ts";
import { expectSame } from "./conformance/case.ts";

const real = (...shape: number[]): Operand => ({ dtype: "f32", shape, elements: "any" });

interface Layers {
  readonly x: Operand;
  readonly weights: Readonly<Record<string, Operand>>;
  build(x: g.Tensor, w: Readonly<Record<string, g.Tensor>>): Readonly<Record<string, g.Tensor>>;
}

const signature = ({ x, weights }: Layers): Record<string, g.TensorType> => ({ x, ...weights });
const graphOf = (layers: Layers): g.Graph =>
  g.trace(signature(layers), ({ x, ...w }) => layers.build(x as g.Tensor, w));

function constantsOf({ weights }: Layers): HostTensors {
  const values = fill(Object.values(weights), 5);
  return Object.fromEntries(Object.keys(weights).map((name, i) => [name, values[i] as g.HostTensor]));
}

/** Two layers around each activation, the second without a bias, and what is between them is asked for as well. */
const mlp = (inner: number, rows: readonly number[]): Layers => ({
  x: real(...rows, 48),
  weights: { up: real(inner, 48), bias: real(inner), down: real(32, inner) },
  build: (x, { up, bias, down }) => {
    const wide = g.linear(x, up as g.Tensor, bias as g.Tensor);
    const outputs = [g.relu, g.gelu, g.geluTanh, g.quickGelu].map((activation, i) => {
      const active = activation(wide);
      return { [`active ${i}`]: active, [`out ${i}`]: g.linear(active, down as g.Tensor) };
    });
    return { wide, ...Object.assign({}, ...outputs) };
  },
});

/** Projections of one tensor by rows of one matrix, their attention and what the residual stream adds. */
const heads: Layers = {
  x: real(3, 5, 32),
  weights: { maps: real(96, 32), biases: real(96), out: real(32, 32), bias: real(32) },
  build: (x, w) => {
    const [q, k, v] = [0, 32, 64].map((from) => {
      const part = (whole: g.Tensor | undefined): g.Tensor => g.sliceAxis(whole as g.Tensor, 0, from, from + 32);
      return g.linear(x, part(w.maps), part(w.biases));
    }) as [g.Tensor, g.Tensor, g.Tensor];
    const mixed = g.attention(q, k, v, { heads: 2, causal: false });
    return { y: g.add(x, g.linear(mixed, w.out as g.Tensor, w.bias as g.Tensor)) };
  },
};

const LAYERS: Readonly<Record<string, Layers>> = {
  "of one row": mlp(64, [1]),
  "of several rows": mlp(64, [7]),
  "of rows in several axes": mlp(128, [2, 3, 5]),
  "of channels that make no whole blocks": mlp(40, [7]),
  "that share what they read": heads,
  // Beyond 16 MiB weights stand in a file.
  "of large weights": {
    x: real(2, 1024),
    weights: { up: real(4096 + 512, 1024) },
    build: (x, { up }) => ({ y: g.linear(x, up as g.Tensor) }),
  },
};

describe("linear layers with baked-in weights", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOnnxEngine({ threads: 2 });
  });
  afterAll(() => engine.close());

  for (const [name, layers] of Object.entries(LAYERS))
    it(name, async () => {
      const graph = graphOf(layers);
      const constants = constantsOf(layers);
      const program = await engine.compile(graph, { constants });
      const [x] = fill([layers.x], 6) as [g.HostTensor];
      const found = await program.run({ x });
      const wide = Object.fromEntries(
        Object.entries({ x, ...constants }).map(([key, { shape, data }]) => [
          key,
          g.hostTensor("f64", shape, Array.from(data)),
        ]),
      );
      const exact = interpret(
        g.trace(
          Object.fromEntries(Object.entries(wide).map(([key, { shape }]) => [key, { dtype: "f64", shape }])),
          ({ x: given, ...w }) => layers.build(given as g.Tensor, w),
        ),
        wide,
      );
      for (const [output, value] of Object.entries(exact))
        expectSame(output, found[output], { ...value, dtype: "f32" });
    });
});

describe("blocks of channels", () => {
  const opsOf = (layers: Layers, channelBlock?: number): Record<string, number> => {
    const counts: Record<string, number> = {};
    const place = (): string => "baked";
    const emit = lower(graphOf(layers), "cpu", {
      ...{ constants: constantsOf(layers), place, arithmetic: "float32" },
      channelBlock,
    });
    for (const { opType } of emit.parts().nodes) counts[opType] = (counts[opType] ?? 0) + 1;
    return counts;
  };
  const plain: Layers = {
    ...mlp(64, [7]),
    build: (x, { up, bias, down }) => ({
      y: g.linear(g.quickGelu(g.linear(x, up as g.Tensor, bias as g.Tensor)), down as g.Tensor),
    }),
  };

  it("stay so between two layers, and are made once for all that read them", () => {
    expect(opsOf(plain, 16)).toMatchObject({ ReorderInput: 1, Conv: 2, QuickGelu: 1, ReorderOutput: 1 });
    expect(opsOf(heads, 16)).toMatchObject({ ReorderInput: 2, Conv: 4, ReorderOutput: 4 });
    expect(opsOf(heads, 16)).not.toHaveProperty("Gemm");
  });

  it("are for processors with AVX-512 and for channels that fill them", () => {
    for (const counts of [opsOf(plain), opsOf(plain, 8), opsOf(mlp(40, [7]), 16)])
      expect(counts).not.toHaveProperty("Conv");
  });
});
