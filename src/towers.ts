/** The two encoders as programs with their weights baked in: one program each, for any number of pictures or texts. */
import {
  type Engine,
  type HostTensors,
  isStored,
  type Program,
  type Quantization,
  type StoredTensors,
} from "./engine/engine.ts";
import { type Graph, hostTensor, type Tensor, type TensorType, trace, traceResizable } from "./graph/index.ts";
import { type ClipConfig, encodeImage, encodeText, normalizePixels, shortensTexts } from "./model/index.ts";

export interface Towers {
  /** Whether texts may be cut behind the longest of them; if not, tokens have all positions of the context. */
  readonly shortens: boolean;
  /**
   * @param pixels u8 [count, size, size, 3]
   * @returns features [count, embedDim]
   */
  encodeImages(pixels: Uint8Array, count: number): Promise<Float32Array>;
  /**
   * @param tokens i32 [count, length], each row with its end-of-text
   * @returns features [count, embedDim]
   */
  encodeTexts(tokens: Int32Array, count: number, length: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** What the programs are traced with (see `traceResizable`): primes that no model has among its sizes. */
const BATCH = [11, 13] as const;
const LENGTH = [5, 7] as const;

/** Programs are compiled when they are first needed. */
export function createTowers(
  engine: Engine,
  config: ClipConfig,
  weights: HostTensors | StoredTensors,
  pixelStatistics: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
  quantize?: Quantization,
): Towers {
  const { imageSize: size, text, embedDim } = config;
  const shortens = shortensTexts(config) && text.contextLength >= LENGTH[1];
  const programs = new Map<string, Promise<Program>>();
  const types = isStored(weights) ? weights.types : weights;
  const program = (
    tower: "image" | "text",
    graph: (constants: Readonly<Record<string, TensorType>>) => Graph,
  ): Promise<Program> => {
    const known = programs.get(tower);
    if (known) return known;
    const constants = isStored(weights)
      ? { ...weights, types: partOf(types, tower), read: () => weights.read((name) => belongs(name, tower)) }
      : partOf(weights, tower);
    const options = { constants, ...(quantize ? { quantize } : {}) };
    const compiled = engine.compile(graph(partOf(types, tower)), options);
    compiled.catch(() => programs.delete(tower));
    programs.set(tower, compiled);
    return compiled;
  };
  const imageProgram = (): Promise<Program> =>
    program("image", (constants) =>
      traceResizable({ batch: BATCH }, ({ batch }) =>
        traced(constants, { dtype: "u8", shape: [batch, size, size, 3] }, (params, images) =>
          encodeImage(params, normalizePixels(images, pixelStatistics), config),
        ),
      ),
    );
  const textProgram = (): Promise<Program> =>
    program("text", (constants) => {
      const sized = (batch: number, length: number): Graph =>
        traced(constants, { dtype: "i32", shape: [batch, length] }, (params, tokens) =>
          encodeText(params, tokens, config),
        );
      return shortens
        ? traceResizable({ batch: BATCH, length: LENGTH }, ({ batch, length }) => sized(batch, length))
        : traceResizable({ batch: BATCH }, ({ batch }) => sized(batch, text.contextLength));
    });
  return {
    shortens,
    encodeImages: async (pixels, count) => {
      const input = hostTensor("u8", [count, size, size, 3], pixels);
      return features(await (await imageProgram()).run({ input }), count * embedDim);
    },
    encodeTexts: async (tokens, count, length) => {
      const input = hostTensor("i32", [count, length], tokens);
      return features(await (await textProgram()).run({ input }), count * embedDim);
    },
    close: async () => {
      for (const compiled of programs.values()) await (await compiled).close();
      programs.clear();
    },
  };
}

const belongs = (name: string, tower: "image" | "text"): boolean =>
  name.startsWith("visual.") === (tower === "image") && !name.startsWith("logit_");

/** What one of the towers needs. */
function partOf<T>(tensors: Readonly<Record<string, T>>, tower: "image" | "text"): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => belongs(name, tower)));
}

function traced(
  constants: Readonly<Record<string, TensorType>>,
  type: TensorType,
  encode: (params: Readonly<Record<string, Tensor>>, input: Tensor) => { readonly features: Tensor },
): Graph {
  return trace({ ...constants, input: type }, ({ input, ...params }) => {
    if (!input) throw new Error("towers: no input");
    return { features: encode(params, input).features };
  });
}

function features(outputs: HostTensors, count: number): Float32Array {
  const { data } = outputs.features ?? {};
  if (!(data instanceof Float32Array) || data.length !== count)
    throw new Error(`towers: expected ${count} numbers, got ${data?.length ?? "none"}`);
  return data;
}
