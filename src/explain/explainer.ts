import type { Engine, Program, StoredTensors } from "../engine/engine.ts";
import { dot, hostTensor, l2Normalize, reduceSum, reshape, trace } from "../graph/index.ts";
import { type ClipConfig, encodeImage, normalizePixels } from "../model/index.ts";
import { relevance } from "./relevance.ts";

/** Where a score comes from in one picture. */
export interface Relevance {
  /** [rows, columns], row by row from the top left; 0 or more. */
  readonly heat: Float32Array;
  readonly rows: number;
  readonly columns: number;
  /** Of the picture, [embedDim], normalised. */
  readonly features: Float32Array;
}

export interface Explainer {
  /**
   * @param pixels u8 [size, size, 3]
   * @param direction [embedDim]: the score is its product with the picture's normalised features
   */
  explain(pixels: Uint8Array, direction: Float32Array): Promise<Relevance>;
  close(): Promise<void>;
}

const isVisual = (name: string): boolean => name.startsWith("visual.");

/** The image tower and its gradients as one program, compiled when it is first needed. */
export function createExplainer(
  engine: Engine,
  config: ClipConfig,
  weights: StoredTensors,
  pixelStatistics: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
): Explainer {
  const { imageSize: size, embedDim } = config;
  let compiling: Promise<Program> | undefined;
  const compile = (): Promise<Program> => {
    const types = Object.fromEntries(Object.entries(weights.types).filter(([name]) => isVisual(name)));
    const constants = { ...weights, types, read: () => weights.read(isVisual) };
    const graph = trace(
      {
        ...types,
        image: { dtype: "u8", shape: [1, size, size, 3] },
        direction: { dtype: "f32", shape: [embedDim] },
      },
      ({ image, direction, ...params }) => {
        if (!image || !direction) throw new Error("explain: no input");
        const encoded = encodeImage(params, normalizePixels(image, pixelStatistics), config, { wholeBlocks: true });
        const heat = relevance(encoded, config, (features) => {
          const products = dot(l2Normalize(features), direction, { batch: [[], []], contract: [[1], [0]] });
          return reshape(reduceSum(products, [0]), []);
        });
        return { heat, features: l2Normalize(encoded.features) };
      },
    );
    return engine.compile(graph, { constants });
  };
  return {
    async explain(pixels, direction) {
      compiling ??= compile();
      compiling.catch(() => {
        compiling = undefined;
      });
      const program = await compiling;
      const { heat, features } = await program.run({
        image: hostTensor("u8", [1, size, size, 3], pixels),
        direction: hostTensor("f32", [embedDim], direction),
      });
      const [rows = 0, columns = 0] = heat?.shape ?? [];
      if (!(heat?.data instanceof Float32Array) || !(features?.data instanceof Float32Array))
        throw new Error("explain: expected float32 of the engine");
      return { heat: heat.data, rows, columns, features: features.data };
    },
    async close() {
      if (compiling) await (await compiling).close();
      compiling = undefined;
    },
  };
}
