/** State updated where it stands: only where no reader can see it half written, and then with the results of two buffers. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { updatedInPlace } from "../../src/engine/onnx/in-place.ts";
import { lower } from "../../src/engine/onnx/lower.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import * as g from "../../src/graph/index.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, CONFIGS, initialise } from "../../src/model/index.ts";
import { forAnyTexts, type StatefulGraph, stateOf, stepGraph } from "../../src/train/graphs.ts";
import { initialMoments, updateScalars } from "../../src/train/optimizer.ts";
import { packTexts, ROW_BLOCK } from "../../src/train/text-packing.ts";
import { MICRO_RESNET, MICRO_VIT } from "../train/micro.ts";

function inPlace(graph: g.Graph, state: readonly string[]): string[] {
  const constants = {};
  const place = (): string => "";
  const updated = graph.outputs.map(({ name }) => name).filter((name) => state.includes(name));
  return updatedInPlace(lower(graph, "cpu", { constants, place, arithmetic: "float32" }).parts(), updated).sort();
}

const matrix = { dtype: "f32", shape: [4, 4] } as const;
type Outputs = Readonly<Record<string, g.Tensor>>;

describe("what is updated in place", () => {
  const of = (fn: (p: g.Tensor, x: g.Tensor, q: g.Tensor) => Outputs): string[] =>
    inPlace(
      g.trace({ p: matrix, x: matrix, q: matrix }, ({ p, x, q }) => fn(p, x, q)),
      ["p", "q"],
    );

  it("moments, sums, and a parameter whose gradient every use of it precedes", () => {
    expect(of((p, x) => ({ p: g.add(g.mul(p, 0.9), x) }))).toEqual(["p"]);
    expect(of((p, x) => ({ p: g.add(p, x) }))).toEqual(["p"]);
    expect(of((p, x) => ({ p: g.mul(p, p), y: g.neg(x) }))).toEqual(["p"]);
    expect(
      of((p, x) => {
        const loss = g.reduceSum(g.square(g.matmul(x, p)));
        const [slope] = g.gradients(loss, [p]) as [g.Tensor];
        return { p: g.sub(p, g.mul(slope, g.rsqrt(g.reduceSum(g.square(slope))))), loss };
      }),
    ).toEqual(["p"]);
  });

  it("an entry that is not read, but for one that gives its old value away", () => {
    expect(of((_, x) => ({ p: g.matmul(x, x) }))).toEqual(["p"]);
    expect(of((p, _, q) => ({ p: q, q: p }))).toEqual([]);
    expect(of((p, x) => ({ p: x, q: p }))).toEqual(["q"]);
    expect(of((p, x) => ({ p: g.add(p, x), was: p }))).toEqual([]);
    expect(of((p, x) => ({ p: g.add(p, x), was: g.reshape(p, [16]) }))).toEqual([]);
  });

  it("none that is read after its update may be there, also through views, also by another entry's update", () => {
    expect(of((p, x) => ({ p: g.add(p, x), y: g.matmul(p, x) }))).toEqual([]);
    expect(of((p, x) => ({ p: g.add(p, x), y: g.reduceSum(g.reshape(p, [16])) }))).toEqual([]);
    expect(of((p, x) => ({ p: g.add(p, x), y: g.neg(g.mul(g.reshape(p, [2, 8]), 1)) }))).toEqual([]);
    expect(of((p, x) => ({ p: g.add(p, x), y: g.exp(g.transpose(g.reshape(p, [16, 1]), [1, 0])) }))).toEqual([]);
    expect(of((p, x, q) => ({ p: g.add(p, x), q: g.add(q, p) }))).toEqual(["q"]);
    // Both read both.
    expect(of((p, _, q) => ({ p: g.add(p, q), q: g.sub(p, q) }))).toEqual([]);
    // The old q's last reader is p's update, which precedes q's.
    expect(
      of((p, _, q) => {
        const next = g.add(p, q);
        return { p: next, q: g.mul(next, q) };
      }),
    ).toEqual(["p", "q"]);
  });

  it("none whose update is not element by element", () => {
    expect(of((p, x) => ({ p: g.matmul(p, x), y: g.neg(x) }))).toEqual([]);
    expect(of((p) => ({ p: g.transpose(p, [1, 0]) }))).toEqual([]);
    expect(of((p) => ({ p: g.softmax(p) }))).toEqual([]);
    expect(of((p) => ({ p: g.concat([g.sliceAxis(p, 0, 2, 4), g.sliceAxis(p, 0, 0, 2)], 0) }))).toEqual([]);
  });

  it("none whose reader could become one kernel with the update", () => {
    // x * sigmoid(x) is QuickGelu to onnxruntime, whose kernel writes the sigmoid first.
    expect(of((p) => ({ p: g.mul(p, g.sigmoid(p)) }))).toEqual([]);
    expect(of((p, x) => ({ p: g.add(g.matmul(x, p), p) }))).toEqual([]);
    expect(of((p) => ({ p: g.mul(g.mul(p, 0.5), g.add(g.erf(g.mul(p, Math.SQRT1_2)), 1)) }))).toEqual([]);
  });
});

const ADAM = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1, maxNorm: 1 };
const BATCH = 6;

/** The same program, kept from updating in place: it returns what every entry was. */
function withOldValues({ graph, state }: StatefulGraph): StatefulGraph {
  const kept = new Set(state);
  const widened = (outputs: g.Graph["outputs"], inputs: g.Graph["inputs"]): g.Graph["outputs"] => [
    ...outputs,
    ...inputs.flatMap((tensor) => (kept.has(tensor.attrs.name) ? [{ name: `was ${tensor.attrs.name}`, tensor }] : [])),
  ];
  const { outputs, inputs } = graph;
  const here = { ...graph, outputs: widened(outputs, inputs) };
  if (!g.isResizable(graph)) return { graph: here, state };
  const { twin, sizes } = graph;
  const wider: g.ResizableGraph = { ...here, sizes, twin: { ...twin, outputs: widened(twin.outputs, twin.inputs) } };
  return { graph: wider, state };
}

describe("a whole training", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOnnxEngine({ threads: 2 });
  });
  afterAll(() => engine.close());

  async function trained(made: StatefulGraph, config: ClipConfig, first: HostTensors): Promise<HostTensors> {
    const program = await engine.compile(made.graph, { state: made.state });
    const state = await engine.createState(first);
    const { contextLength, vocabSize } = config.text;
    for (let step = 0; step < 3; step++) {
      const size = config.imageSize;
      const images = new Uint8Array(BATCH * size * size * 3).map((_, i) => (i * (7 + step) + (i >> 5) * 31) % 251);
      const tokens = new Int32Array(BATCH * contextLength);
      for (let text = 0; text < BATCH; text++) {
        const end = 2 + ((text * 3 + step * 5) % (contextLength - 3));
        for (let t = 0; t < end; t++) tokens[text * contextLength + t] = 1 + ((text * 17 + t * 5 + step) % 97);
        tokens[text * contextLength + end] = vocabSize - 1;
      }
      const texts = packTexts(tokens, BATCH, contextLength);
      const scalars = Object.entries(updateScalars(ADAM, 1e-2, step));
      await program.run(
        {
          images: hostTensor("u8", [BATCH, size, size, 3], images),
          tokens: hostTensor("i32", [BATCH, texts.length], texts.tokens),
          rows: hostTensor("i32", [1, texts.rows.length / ROW_BLOCK, ROW_BLOCK], texts.rows),
          places: hostTensor("i32", [BATCH, texts.length], texts.places),
          ...Object.fromEntries(scalars.map(([name, value]) => [name, hostTensor("f32", [], [value])])),
        },
        state,
      );
    }
    const last = await state.read();
    await program.close();
    await state.close();
    return last;
  }

  it.each([
    ["vision transformer", MICRO_VIT],
    ["ResNet", MICRO_RESNET],
    ["emoji-rn", { ...CONFIGS["emoji-rn"], text: MICRO_VIT.text }],
  ] as const)("of a %s is bit for bit that with two buffers an entry", async (_, config) => {
    for (const adam of [ADAM, { ...ADAM, maxNorm: undefined }].map(({ maxNorm, ...rest }) =>
      maxNorm === undefined ? rest : { ...rest, maxNorm },
    )) {
      const shape = { config, adam, batch: BATCH, length: config.text.contextLength };
      const made = forAnyTexts(stepGraph, shape);
      const { groups } = stateOf(shape);
      const names = inPlace(made.graph, made.state);
      const moments = Object.keys(initialMoments(groups));
      expect(names).toEqual(expect.arrayContaining(moments));
      if ("maxNorm" in adam) expect(names.length).toBeGreaterThan(0.9 * made.state.length);
      expect(inPlace(withOldValues(made).graph, made.state)).toEqual([]);
      const first = { ...initialise(config, 1), ...initialMoments(groups) };
      const [one, other] = [await trained(made, config, first), await trained(withOldValues(made), config, first)];
      expect(Object.keys(one)).toEqual(Object.keys(first));
      for (const [name, value] of Object.entries(one)) expect(sameBits(value, other[name]), name).toBe(true);
      const changed = Object.entries(one).filter(([name, value]) => !sameBits(value, first[name]));
      expect(changed.length).toBeGreaterThan(0.9 * Object.keys(first).length);
    }
  });
});

function sameBits({ data }: HostTensor, other: HostTensor | undefined): boolean {
  return (
    other !== undefined &&
    Buffer.compare(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      new Uint8Array(other.data.buffer, other.data.byteOffset, other.data.byteLength),
    ) === 0
  );
}
