/** A tower as an ONNX model for any number of pictures or texts, called as Hugging Face's exporter calls things. */
import { create } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType, NodeProtoSchema, TensorProto_DataType } from "onnx-buf";
import type { OfficialSource } from "../checkpoint/index.ts";
import { bytesOf, type Emitter, type Placed } from "../engine/onnx/emitter.ts";
import { inputName, outputName } from "../engine/onnx/names.ts";
import { lowerResizable } from "../engine/onnx/resizable.ts";
import {
  elements,
  type Graph,
  type HostTensor,
  type ResizableGraph,
  toHalves,
  trace,
  traceResizable,
} from "../graph/index.ts";
import { type ClipConfig, encodeImage, encodeText, shortensTexts } from "../model/index.ts";

export type Tower = "vision" | "text";
/** "onnx": operators of the standard alone, for every runtime; "onnxruntime": its own fused kernels too. */
export type Kernels = "onnx" | "onnxruntime";

/** Names of inputs and outputs in `optimum`'s exports, which transformers.js asks for. */
const NAMES = {
  vision: { input: "pixel_values", output: "image_embeds" },
  text: { input: "input_ids", output: "text_embeds" },
} as const;

/** Primes that no model has among its sizes (see `traceResizable`). */
const BATCH = [11, 13] as const;
const LENGTH = [5, 7] as const;

/** A protobuf holds at most 2 GiB: weights beyond this stand in a file beside the model. */
const LARGEST_EMBEDDED = 2 ** 30;

export interface OnnxTower {
  /** The bytes of its file, in pieces. */
  readonly model: readonly Uint8Array[];
  /** Bytes of the weights file, a tensor at a time; undefined if the model holds its weights. */
  readonly weights?: () => AsyncGenerator<Uint8Array>;
}

/**
 * Lowers a tower; small ones hold their weights.
 * @param weightsFile what the weights file will be called, if there is one
 */
export async function exportTower(
  tower: Tower,
  config: ClipConfig,
  source: OfficialSource,
  {
    dtype,
    kernels,
    weightsFile,
  }: { readonly dtype: "F32" | "F16"; readonly kernels: Kernels; readonly weightsFile: string },
): Promise<OnnxTower> {
  const names = [...source.shapes.keys()].filter(
    (name) => !/^logit_(scale|bias)$/.test(name) && name.startsWith("visual.") === (tower === "vision"),
  );
  const shapes = Object.fromEntries(names.map((name) => [name, source.shapes.get(name) ?? []]));
  const graph = tracedTower(tower, config, shapes);
  const width = dtype === "F16" ? 2 : 4;
  const used = new Set(graph.inputs.flatMap((x) => (graph.nodes.includes(x) ? [x.attrs.name] : [])));
  const total = names.reduce((sum, name) => sum + elements(shapes[name] ?? []) * width, 0);
  const isExternal = total > LARGEST_EMBEDDED;
  // Weights for a file of their own are read when that is written; until then only their shapes count.
  const constants: Record<string, HostTensor> = {};
  for (const name of names)
    if (used.has(name))
      constants[name] = isExternal
        ? { dtype: "f32", shape: shapes[name] ?? [], data: new Float32Array() }
        : await source.read(name);
  const nameOf = new Map<Placed, string>(Object.entries(constants).map(([name, value]) => [value, name]));
  const written: string[] = [];
  const official = new Map<string, string>();
  let offset = 0;
  const place = (emitter: Emitter, value: Placed): string => {
    const [name, given] = [nameOf.get(value) ?? "", emitter.fresh()];
    official.set(given, name);
    if (!isExternal) return emitter.initializer(given, value);
    const length = elements(value.shape) * width;
    emitter.initializer(given, value, { file: weightsFile, offset, length });
    written.push(name);
    offset += length;
    return given;
  };
  const emit = lowerResizable(graph, kernels === "onnx" ? "any" : "cpu", { constants, place, arithmetic: "float32" });
  rename(emit, tower, official);
  if (dtype === "F16") halve(emit, new Set(names));
  const model = emit.pieces();
  if (!isExternal) return { model };
  return {
    model,
    weights: async function* () {
      for (const name of written) {
        const { data } = await source.read(name);
        yield dtype === "F16" ? new Uint8Array(toHalves(data).buffer) : bytesOf(data);
      }
    },
  };
}

function tracedTower(
  tower: Tower,
  config: ClipConfig,
  shapes: Readonly<Record<string, readonly number[]>>,
): ResizableGraph {
  const { imageSize: size, text } = config;
  const params = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, { dtype: "f32", shape } as const]),
  );
  const traced = (shape: readonly number[]): Graph =>
    trace({ ...params, input: { dtype: tower === "vision" ? "f32" : "i32", shape } }, ({ input, ...weights }) => {
      if (!input) throw new Error("no input");
      const encode = tower === "vision" ? encodeImage : encodeText;
      return { features: encode(weights, input, config).features };
    });
  if (tower === "vision") return traceResizable({ batch: BATCH }, ({ batch }) => traced([batch, 3, size, size]));
  if (!shortensTexts(config) || text.contextLength <= LENGTH[1])
    return traceResizable({ batch: BATCH }, ({ batch }) => traced([batch, text.contextLength]));
  return traceResizable({ batch: BATCH, length: LENGTH }, ({ batch, length }) => traced([batch, length]));
}

/** Public names for inputs, outputs and weights, and ids as 64-bit integers, which is what every tokenizer gives. */
function rename(emit: Emitter, tower: Tower, official: ReadonlyMap<string, string>): void {
  const { nodes, initializers, inputs, outputs } = emit.parts();
  const [input, output] = [inputs[0], outputs[0]];
  const [from, to] = [inputName("input"), outputName("features")];
  const names = NAMES[tower];
  if (!input || !output || input.name !== from || output.name !== to) throw new Error("onnx: unexpected inputs");
  const inner = tower === "text" ? "ids" : names.input;
  for (const node of nodes) {
    node.input = node.input.map((name) => (name === from ? inner : (official.get(name) ?? name)));

    node.output = node.output.map((name) => (name === to ? names.output : name));
  }
  for (const proto of initializers) proto.name = official.get(proto.name) ?? proto.name;
  input.name = names.input;
  output.name = names.output;
  if (tower === "vision") return;
  const { value } = input.type ?? {};
  if (value?.case !== "tensorType") throw new Error("onnx: unexpected input");
  value.value.elemType = TensorProto_DataType.INT64;
  nodes.unshift(castNode(names.input, inner, TensorProto_DataType.INT32));
}

/** Weights as halves in the file, widened when the model is loaded: half the size, the arithmetic of before. */
function halve(emit: Emitter, weights: ReadonlySet<string>): void {
  const { nodes, initializers } = emit.parts();
  for (const proto of initializers) {
    const wide = proto.name;
    if (!weights.has(wide)) continue;
    proto.name = `${wide}:f16`;
    proto.dataType = TensorProto_DataType.FLOAT16;
    if (proto.rawData.length > 0) {
      const raw = proto.rawData.slice();
      proto.rawData = new Uint8Array(toHalves(new Float32Array(raw.buffer)).buffer);
    }
    nodes.unshift(castNode(proto.name, wide, TensorProto_DataType.FLOAT));
  }
}

function castNode(from: string, to: string, type: TensorProto_DataType) {
  return create(NodeProtoSchema, {
    name: `Cast ${from}`,
    opType: "Cast",
    input: [from],
    output: [to],
    attribute: [{ name: "to", type: AttributeProto_AttributeType.INT, i: BigInt(type) }],
  });
}
