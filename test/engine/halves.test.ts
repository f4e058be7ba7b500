/**
 * Programs for WebGPU in float16, run by onnxruntime on the CPU, which has the same operators: their numbers beside those of float32, and
 * what is stored in halves. `test/webgpu/halves.webgpu.ts` runs them on a device.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema, TensorProto_DataType } from "onnx-buf";
import ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors, Program } from "../../src/engine/engine.ts";
import type { Arithmetic } from "../../src/engine/onnx/context.ts";
import { lower } from "../../src/engine/onnx/lower.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import * as g from "../../src/graph/index.ts";
import { type HostTensor, hostTensor, trace } from "../../src/graph/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";
import { createTowers, type Towers } from "../../src/towers.ts";
import { cosine, picture } from "../clip/structured.ts";
import { GOLDEN_CONFIGS, golden } from "../model/goldens.ts";

const statistics = { mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };

function modelOf(graph: g.Graph, constants: HostTensors, arithmetic: Arithmetic): Uint8Array<ArrayBuffer> {
  return lower(graph, "webgpu", {
    constants,
    place: (emit, value) => emit.initializer(emit.fresh(), value),
    arithmetic,
  }).write();
}

const ORT_TYPE = { f32: "float32", i32: "int32", u8: "uint8" } as const;

/**
 * Where the CPU has no kernel for halves, onnxruntime converts to float32 and back, and takes out conversions that meet, and with them the
 * rounding: behind everything in halves comes an Identity, of which it has a kernel.
 */
function rounding(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, bytes);
  const { node = [], initializer = [] } = model.graph ?? {};
  const isHalf = ({ dataType }: { readonly dataType: number }): boolean => dataType === TensorProto_DataType.FLOAT16;
  const halves = new Set(initializer.filter(isHalf).map(({ name }) => name));
  for (const one of node.splice(0)) {
    node.push(one);
    const to = one.opType === "Cast" ? Number(one.attribute[0]?.i) : undefined;
    if (to === undefined ? !one.input.some((name) => halves.has(name)) : to !== TensorProto_DataType.FLOAT16) continue;
    for (const [i, name] of one.output.entries()) {
      one.output[i] = `${name} before rounding`;
      node.push(create(NodeProtoSchema, { opType: "Identity", input: [`${name} before rounding`], output: [name] }));
      halves.add(name);
    }
  }
  return toBinary(ModelProtoSchema, model);
}

async function runOnCpu(model: Uint8Array, inputs: HostTensors): Promise<HostTensors> {
  const settings = { logSeverityLevel: 3, graphOptimizationLevel: "disabled" } as const;
  const session = await ort.InferenceSession.create(rounding(model), settings);
  const feeds = Object.entries(inputs).map(([name, { dtype, shape, data }]) => [
    `in:${name}`,
    new ort.Tensor(ORT_TYPE[dtype as keyof typeof ORT_TYPE], data as Float32Array, shape),
  ]);
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, { dims, data }]) => {
      if (!(data instanceof Float32Array)) throw new Error(`${name} is no float32`);
      return [name.slice("out:".length), hostTensor("f32", dims, data)];
    }),
  );
}

/** The towers' programs, lowered for WebGPU and run here. */
const asOnWebGpu = (graph: g.Graph, constants: HostTensors): Program => ({
  graph,
  compileSeconds: 0,
  run: (inputs) => {
    const sized = g.isResizable(graph)
      ? g.resize(
          graph,
          g.sizesOf(graph, (name) => inputs[name]?.shape),
        )
      : graph;
    return runOnCpu(modelOf(sized, constants, "float16"), inputs);
  },
  close: async () => {},
});

let engine: Engine;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1 });
});
afterAll(() => engine.close());

describe.each(["tiny-vit", "tiny-rn"] as const)("%s in float16", (name) => {
  const config = GOLDEN_CONFIGS[name];
  let floats: Towers;
  let halves: Towers;
  beforeAll(async () => {
    const { get, names } = await golden(`models/${name}/model_f16.safetensors`);
    const weights: HostTensors = Object.fromEntries(names.map((tensor) => [tensor, get(tensor)]));
    floats = createTowers(engine, config, weights, statistics);
    const stub = { ...engine, compile: async (graph: g.Graph) => asOnWebGpu(graph, weights) };
    halves = createTowers(stub, config, weights, statistics, { precision: "float16" });
  });

  it("has nearly the features of float32, and not the same", async () => {
    const size = config.imageSize;
    const pictures = ["a", "b", "c"].flatMap((picked) => Array.from(picture(picked, size)));
    const pixels = Uint8Array.from(pictures);
    const [found, wanted] = [await halves.encodeImages(pixels, 3), await floats.encodeImages(pixels, 3)];
    for (const kind of ["features", "pooled"] as const) {
      expect(cosine(found[kind], wanted[kind])).toBeGreaterThan(0.9999);
      expect(found[kind]).not.toEqual(wanted[kind]);
    }
    const tokens = Int32Array.from([998, 17, 320, 5, 999, 998, 3, 999, 0, 0]);
    const [texts, exact] = [await halves.encodeTexts(tokens, 2, 5), await floats.encodeTexts(tokens, 2, 5)];
    expect(cosine(texts, exact)).toBeGreaterThan(0.9999);
    expect(texts).not.toEqual(exact);
  });
});

const random = (shape: readonly number[], seed: number, scale = 1): HostTensor =>
  hostTensor(
    "f32",
    shape,
    Float32Array.from({ length: g.elements(shape) }, (_, i) => scale * Math.sin(i * i * 0.7 + seed)),
  );

it("stores the weights of products as halves alone, and those of float32 as they are", () => {
  const constants = { w: random([48, 32], 1), gain: random([32], 2), bias: random([32], 3) };
  const graph = trace({ ...constants, x: { dtype: "f32", shape: [4, 32] } }, ({ x, w, gain, bias }) => ({
    y: g.linear(
      g.layerNorm(x as g.Tensor, gain as g.Tensor, bias as g.Tensor, 1e-5),
      g.sliceAxis(w as g.Tensor, 0, 0, 16),
    ),
  }));
  const { initializer = [] } = fromBinary(ModelProtoSchema, modelOf(graph, constants, "float16")).graph ?? {};
  const bytes = (type: TensorProto_DataType): number =>
    initializer.reduce((sum, { dataType, rawData }) => sum + (dataType === type ? rawData.length : 0), 0);
  expect(bytes(TensorProto_DataType.FLOAT16)).toBe(2 * 48 * 32);
  expect(bytes(TensorProto_DataType.FLOAT)).toBe(4 * (32 + 32));
});

it("sums two results in float32: what is small beside the other is not lost", async () => {
  const constants = { w: hostTensor("f32", [1, 1], [1]), v: hostTensor("f32", [1, 1], [1]) };
  const graph = trace(
    { ...constants, x: { dtype: "f32", shape: [1, 1] }, z: { dtype: "f32", shape: [1, 1] } },
    ({ x, z, w, v }) => ({
      y: g.add(g.linear(x as g.Tensor, w as g.Tensor), g.linear(z as g.Tensor, v as g.Tensor)),
    }),
  );
  const one = (value: number): HostTensor => hostTensor("f32", [1, 1], [value]);
  const { y } = await runOnCpu(modelOf(graph, constants, "float16"), { x: one(4096), z: one(0.5) });
  expect(y?.data[0]).toBe(4096.5); // halves of that size are 4 apart
});

it("leaves a product that has to be exact in float32", async () => {
  const graph = trace({ x: { dtype: "f32", shape: [2, 3] }, y: { dtype: "f32", shape: [2, 3] } }, ({ x, y }) => {
    const attrs = { batch: [[], []], contract: [[1], [1]] } as const;
    const [a, b] = [x as g.Tensor, y as g.Tensor];
    return { exact: g.dot(a, b, { ...attrs, exact: true }), rounded: g.dot(a, b, attrs) };
  });
  const inputs = { x: random([2, 3], 4), y: random([2, 3], 5) };
  const { exact, rounded } = await runOnCpu(modelOf(graph, {}, "float16"), inputs);
  const { exact: wanted } = await (await engine.compile(graph)).run(inputs);
  const differences = (found: HostTensor | undefined): number[] =>
    Array.from(found?.data ?? [], (value, i) => Math.abs(value - (wanted?.data[i] ?? Number.NaN)));
  expect(Math.max(...differences(exact))).toBeLessThan(1e-6);
  expect(Math.max(...differences(rounded))).toBeLessThan(5e-3);
  expect(Math.max(...differences(rounded))).toBeGreaterThan(1e-5);
});

it("names a weight that halves cannot hold", () => {
  const w = hostTensor("f32", [1, 2], [1, 70_000]);
  const graph = trace({ w, x: { dtype: "f32", shape: [1, 2] } }, ({ x, w }) => ({
    y: g.linear(x as g.Tensor, w as g.Tensor),
  }));
  expect(() => modelOf(graph, { w }, "float16")).toThrow("w: element 1 is 70000, 16-bit floats end at 65504");
});

it("is refused on the CPU", async () => {
  const graph = trace({ x: { dtype: "f32", shape: [1] } }, ({ x }) => ({ y: g.neg(x as g.Tensor) }));
  await expect(engine.compile(graph, { precision: "float16" })).rejects.toThrow(
    "onnx cpu: computes in float32 only, float16 was asked for: onnxruntime on WebGPU has it",
  );
});
