/** The two encoders as programs with their weights baked in: one program each, for any number of pictures or texts. */
import { inBatches, mapAhead } from "./ahead.ts";
import { rowsOf } from "./directions.ts";
import {
  type CompileOptions,
  type Engine,
  type HostTensors,
  isStored,
  type Program,
  type StoredTensors,
} from "./engine/engine.ts";
import { type Graph, hostTensor, type Tensor, type TensorType, trace, traceResizable } from "./graph/index.ts";
import {
  bufferShapes,
  type ClipConfig,
  encodeImage,
  encodeText,
  normalizePixels,
  parameterShapes,
  shortensTexts,
} from "./model/index.ts";

/** Of one picture or several, row by row, not normalised. */
export interface PictureFeatures {
  /** [count, embedDim] */
  readonly features: Float32Array;
  /**
   * [count, width]: of a vision transformer before the projection into the space of texts, which is what the paper's linear probes are
   * trained on (CLIP, appendix A.3). A ResNet's attention pooling is its projection: the same array as `features`.
   */
  readonly pooled: Float32Array;
}

export interface Towers {
  /** Whether texts may be cut behind the longest of them; if not, tokens have all positions of the context. */
  readonly shortens: boolean;
  /**
   * @param pixels u8 [count, size, size, 3]
   */
  encodeImages(pixels: Uint8Array, count: number): Promise<PictureFeatures>;
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

/** A model whose weights are read when they are needed. */
export interface WeightsSource {
  readonly config: ClipConfig;
  readonly fingerprint: string;
  readWeights(wanted?: (name: string) => boolean): Promise<HostTensors>;
}

/** Its weights as constants of programs: no more of them are in memory than a tower needs. */
export function storedWeights({ config, fingerprint, readWeights }: WeightsSource): StoredTensors {
  const shapes = { ...parameterShapes(config), ...bufferShapes(config) };
  const types = Object.entries(shapes).map(([name, shape]) => [name, { dtype: "f32", shape } as const] as const);
  return { types: Object.fromEntries(types), fingerprint, read: readWeights };
}

/** What the towers compute in. */
export type Arithmetic = Pick<CompileOptions, "quantize" | "precision">;

type Tower = "image" | "text";
type Types = Readonly<Record<string, TensorType>>;

interface PixelStatistics {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** Programs are compiled when they are first needed. */
export function createTowers(
  engine: Engine,
  config: ClipConfig,
  weights: HostTensors | StoredTensors,
  pixelStatistics: PixelStatistics,
  arithmetic: Arithmetic = {},
): Towers {
  const { imageSize: size, text, embedDim } = config;
  const shortens = shortensTexts(config) && text.contextLength > LENGTH[1];
  const programs = new Map<Tower, Promise<Program>>();
  const types = isStored(weights) ? weights.types : weights;
  const program = (tower: Tower, graph: (constants: Types) => Graph): Promise<Program> => {
    const known = programs.get(tower);
    if (known) return known;
    const constants = isStored(weights)
      ? { ...weights, types: partOf(types, tower), read: () => weights.read((name) => belongs(name, tower)) }
      : partOf(weights, tower);
    const compiled = engine.compile(graph(partOf(types, tower)), { constants, ...arithmetic });
    compiled.catch(() => programs.delete(tower));
    programs.set(tower, compiled);
    return compiled;
  };
  const imageProgram = (): Promise<Program> =>
    program("image", (constants) => imageGraph(constants, config, pixelStatistics));
  const textProgram = (): Promise<Program> => program("text", (constants) => textGraph(constants, config, shortens));
  return {
    shortens,
    encodeImages: async (pixels, count) => {
      const input = hostTensor("u8", [count, size, size, 3], pixels);
      const outputs = await (await imageProgram()).run({ input });
      const features = rowsIn(outputs, "features", count, embedDim);
      const width = outputs.pooled?.shape[1];
      return { features, pooled: width === undefined ? features : rowsIn(outputs, "pooled", count, width) };
    },
    encodeTexts: async (tokens, count, length) => {
      const input = hostTensor("i32", [count, length], tokens);
      return rowsIn(await (await textProgram()).run({ input }), "features", count, embedDim);
    },
    close: async () => {
      for (const compiled of programs.values()) await (await compiled).close();
      programs.clear();
    },
  };
}

/** Pictures u8 [batch, size, size, 3], as many as there are -> features, and where they are others, those before the projection. */
function imageGraph(constants: Types, config: ClipConfig, statistics: PixelStatistics): Graph {
  const { imageSize: size, vision } = config;
  return traceResizable({ batch: BATCH }, ({ batch }) =>
    traced(constants, { dtype: "u8", shape: [batch, size, size, 3] }, (params, images) => {
      const { features, activations } = encodeImage(params, normalizePixels(images, statistics), config);
      const pooled = vision.kind === "vit" ? activations["visual.pre_projection"] : undefined;
      return pooled && pooled !== features ? { features, pooled } : { features };
    }),
  );
}

/** Tokens i32 [batch, length], as many as there are -> features. @param shortens whether the length is any, too */
function textGraph(constants: Types, config: ClipConfig, shortens: boolean): Graph {
  const sized = (batch: number, length: number): Graph =>
    traced(constants, { dtype: "i32", shape: [batch, length] }, (params, tokens) => ({
      features: encodeText(params, tokens, config).features,
    }));
  return shortens
    ? traceResizable({ batch: BATCH, length: LENGTH }, ({ batch, length }) => sized(batch, length))
    : traceResizable({ batch: BATCH }, ({ batch }) => sized(batch, config.text.contextLength));
}

/**
 * Features of a sequence of pictures of any length, `atOnce` at a time while the next ones are fetched; an error in place of a
 * picture comes out in its place.
 * @param images u8 [size, size, 3] each
 */
export async function* encodedPictures(
  towers: Towers,
  images: AsyncIterable<Uint8Array | Error>,
  atOnce: number,
): AsyncGenerator<PictureFeatures | Error> {
  const encoded = mapAhead(inBatches(images, atOnce), 2, async (batch) => {
    const rows = (
      await encodedBatch(
        towers,
        batch.filter((image) => image instanceof Uint8Array),
      )
    ).values();
    return batch.map((image) => (image instanceof Error ? image : (rows.next().value ?? new Error("no features"))));
  });
  for await (const rows of encoded) yield* rows;
}

async function encodedBatch(towers: Towers, batch: readonly Uint8Array[]): Promise<PictureFeatures[]> {
  if (batch.length === 0) return [];
  const pixels = new Uint8Array(batch.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const image of batch) {
    pixels.set(image, at);
    at += image.length;
  }
  const { features, pooled } = await towers.encodeImages(pixels, batch.length);
  const rows = rowsOf(features, features.length / batch.length);
  const before = pooled === features ? rows : rowsOf(pooled, pooled.length / batch.length);
  return rows.map((row, i) => ({ features: row, pooled: before[i] ?? row }));
}

const belongs = (name: string, tower: Tower): boolean =>
  name.startsWith("visual.") === (tower === "image") && !name.startsWith("logit_");

/** What one of the towers needs. */
function partOf<T>(tensors: Readonly<Record<string, T>>, tower: Tower): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => belongs(name, tower)));
}

function traced(
  constants: Types,
  type: TensorType,
  encode: (params: Readonly<Record<string, Tensor>>, input: Tensor) => Readonly<Record<string, Tensor>>,
): Graph {
  return trace({ ...constants, input: type }, ({ input, ...params }) => {
    if (!input) throw new Error("towers: no input");
    return encode(params, input);
  });
}

function rowsIn(outputs: HostTensors, name: string, count: number, width: number): Float32Array {
  const { data } = outputs[name] ?? {};
  if (!(data instanceof Float32Array) || data.length !== count * width)
    throw new Error(`towers: expected ${count} rows of ${width} numbers, got ${data?.length ?? "none"}`);
  return data;
}
