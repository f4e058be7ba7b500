/** Compiled programs on disk: onnxruntime's optimised model and its weights, which are mapped into memory and not read. */
import { type SealedCache, sealedCache } from "../../cache/index.ts";

export const MODEL = "model.onnx";
export const WEIGHTS = "weights.bin";

export const compiledCache = (folder: string, largest = 16 * 2 ** 30): SealedCache =>
  sealedCache(folder, { hashed: [MODEL], sized: [WEIGHTS], largest });
