/** A whole training step of a small network, five times: every engine arrives where the reference does. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../../src/engine/engine.ts";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import type { HostTensor, Tensor, TensorType } from "../../../src/graph/index.ts";
import * as g from "../../../src/graph/index.ts";
import { fill, type Operand } from "../../graph/random.ts";
import { expectSame } from "./case.ts";
import { ENGINES } from "./engines.ts";

const [BATCH, SIDE, WIDTH, TOKENS, WORDS] = [6, 8, 8, 5, 11];
const STEPS = 5;

const PARAMETERS = {
  kernel: [WIDTH, 3, 3, 3],
  channelGain: [WIDTH],
  channelBias: [WIDTH],
  qkv: [3 * WIDTH, WIDTH],
  out: [WIDTH, WIDTH],
  normGain: [WIDTH],
  normBias: [WIDTH],
  words: [WORDS, WIDTH],
  places: [TOKENS, WIDTH],
  widen: [4 * WIDTH, WIDTH],
  widenBias: [4 * WIDTH],
  narrow: [WIDTH, 4 * WIDTH],
  scale: [],
} as const satisfies Record<string, readonly number[]>;
type Name = keyof typeof PARAMETERS;
const NAMES = Object.keys(PARAMETERS) as Name[];

/** Attention and a wide layer, each added to its input, as in a transformer. */
function block(p: Readonly<Record<Name, Tensor>>, x: Tensor, causal: boolean): Tensor {
  const joined = g.linear(g.layerNorm(x, p.normGain, p.normBias), p.qkv);
  const [q, k, v] = [0, 1, 2].map((i) => g.sliceAxis(joined, 2, i * WIDTH, (i + 1) * WIDTH)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const y = g.add(x, g.linear(g.attention(q, k, v, { heads: 2, causal }), p.out));
  return g.add(y, g.linear(g.quickGelu(g.linear(y, p.widen, p.widenBias)), p.narrow));
}

const entries = (prefix: string): Record<string, TensorType> =>
  Object.fromEntries(NAMES.map((name) => [`${prefix}${name}`, { dtype: "f32", shape: PARAMETERS[name] }]));

const STATE: Record<string, TensorType> = {
  ...entries(""),
  ...entries("first."),
  ...entries("second."),
  step: { dtype: "i32", shape: [] },
  runningMean: { dtype: "f32", shape: [WIDTH] },
};

/** Loss, gradients, clipping, AdamW with bias correction, running statistics: one graph. */
const STEP = g.trace(
  { ...STATE, images: { dtype: "u8", shape: [BATCH, SIDE, SIDE, 3] }, texts: { dtype: "i32", shape: [BATCH, TOKENS] } },
  (inputs) => {
    const of = (name: string): Tensor => {
      const tensor = (inputs as Readonly<Record<string, Tensor>>)[name];
      if (!tensor) throw new Error(`no input ${name}`);
      return tensor;
    };
    const p = Object.fromEntries(NAMES.map((name) => [name, of(name)])) as Record<Name, Tensor>;
    const pixels = g.sub(g.mul(g.convert(of("images"), "f32"), 2 / 255), 1);
    const { y, mean } = g.batchNorm(g.convolution(pixels, p.kernel, { padding: 1 }), p.channelGain, p.channelBias);
    const patches = g.reshape(g.avgPool(g.relu(y), 4), [BATCH, 4, WIDTH]);
    const seen = g.l2Normalize(g.reduceMean(block(p, patches, false), [1]));
    const tokens = g.add(g.gather(p.words, of("texts")), p.places);
    const last = g.reshape(g.sliceAxis(block(p, tokens, true), 1, TOKENS - 1, TOKENS), [BATCH, WIDTH]);
    const logits = g.mul(g.matmul(seen, g.transpose(g.l2Normalize(last), [1, 0])), g.exp(p.scale));
    const pairs = g.iota("i32", [BATCH], 0);
    const loss = g.mul(g.add(g.crossEntropy(logits, pairs), g.crossEntropy(g.transpose(logits, [1, 0]), pairs)), 0.5);

    const step = g.add(of("step"), 1);
    const t = g.convert(step, "f32");
    const [rate, b1, b2] = [1e-2, 0.9, 0.95];
    const updated: Record<string, Tensor> = {};
    const gradients = g.gradients(
      loss,
      NAMES.map((name) => p[name]),
    );
    for (const [i, name] of NAMES.entries()) {
      const d = gradients[i] as Tensor;
      const first = g.add(g.mul(of(`first.${name}`), b1), g.mul(d, 1 - b1));
      const second = g.add(g.mul(of(`second.${name}`), b2), g.mul(g.square(d), 1 - b2));
      const corrected = g.div(first, g.sub(1, g.pow(g.constant(b1, "f32"), t)));
      const spread = g.sqrt(g.div(second, g.sub(1, g.pow(g.constant(b2, "f32"), t))));
      const direction = g.add(g.div(corrected, g.add(spread, 1e-3)), g.mul(p[name], 0.1));
      const moved = g.sub(p[name], g.mul(direction, rate));
      Object.assign(updated, { [name]: moved, [`first.${name}`]: first, [`second.${name}`]: second });
    }
    updated.scale = g.min(updated.scale as Tensor, Math.log(100));
    const hits = g.reduceSum(g.convert(g.compare(g.argmax(logits), "eq", pairs), "i32"));
    return { ...updated, step, runningMean: g.add(g.mul(of("runningMean"), 0.9), g.mul(mean, 0.1)), loss, hits };
  },
);

function initial(): HostTensors {
  const values = fill(
    NAMES.map((name): Operand => ({ dtype: "f32", shape: PARAMETERS[name], elements: "any" })),
    11,
  );
  const state: Record<string, HostTensor> = {};
  for (const [name, { dtype, shape }] of Object.entries(STATE)) {
    const start = values[NAMES.indexOf(name as Name)];
    const data = start ? Array.from(start.data, (x) => 0.3 * x) : new Array<number>(g.elements(shape)).fill(0);
    state[name] = g.hostTensor(dtype, shape, data);
  }
  return state;
}

const batch = (step: number): HostTensors => {
  const [images, texts] = fill(
    [
      { dtype: "u8", shape: [BATCH, SIDE, SIDE, 3], elements: { below: 256 } },
      { dtype: "i32", shape: [BATCH, TOKENS], elements: { below: WORDS } },
    ],
    100 + step,
  ) as [HostTensor, HostTensor];
  return { images, texts };
};

async function train(engine: Engine): Promise<{ losses: number[]; hits: number[]; state: HostTensors }> {
  const program = await engine.compile(STEP, { state: Object.keys(STATE) });
  const state = await engine.createState(initial());
  const [losses, hits]: [number[], number[]] = [[], []];
  for (let step = 0; step < STEPS; step++) {
    const found = await program.run(batch(step % 2), state);
    losses.push(found.loss?.data[0] ?? Number.NaN);
    hits.push(found.hits?.data[0] ?? Number.NaN);
  }
  return { losses, hits, state: await state.read() };
}

describe("five steps of training", () => {
  let expected: Awaited<ReturnType<typeof train>>;
  beforeAll(async () => {
    expected = await train(createReferenceEngine());
  });

  it("learn", () => {
    const [first = 0, , third = 0, , fifth = 0] = expected.losses;
    expect(third).toBeLessThan(first);
    expect(fifth).toBeLessThan(third);
  });

  for (const { name, create } of ENGINES)
    describe(name, () => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await create();
      });
      afterAll(() => engine.close());

      it("arrive where the reference does", async () => {
        const { losses, hits, state } = await train(engine);
        for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(expected.losses[i] ?? Number.NaN, 4);
        expect(hits).toEqual(expected.hits);
        expect(Object.keys(state).sort()).toEqual(Object.keys(STATE).sort());
        for (const [entry, value] of Object.entries(expected.state)) expectSame(entry, state[entry], value, 1e-4);
      });
    });
});
