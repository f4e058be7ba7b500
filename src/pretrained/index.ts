import type { HostTensors } from "../engine/engine.ts";
import { openPretrained, type PretrainedInfo, type PretrainedOptions } from "./open-pretrained.ts";

export { type InspectedModel, type Inspection, inspectPretrained } from "./inspect.ts";
export {
  type Guess,
  type OpenPretrained,
  openPretrained,
  type PretrainedFormat,
  type PretrainedInfo,
  type PretrainedOptions,
} from "./open-pretrained.ts";

/** A model, in memory, with everything that must agree. */
export interface Pretrained extends PretrainedInfo {
  /** All parameters and buffers by official name, in f32. */
  readonly weights: HostTensors;
}

/** Opens a model, reads its weights and lets go of its files: see `openPretrained`. */
export async function loadPretrained(path: string, options: PretrainedOptions = {}): Promise<Pretrained> {
  const { files, readWeights, close, ...info } = await openPretrained(path, options);
  try {
    return { ...info, weights: await readWeights() };
  } finally {
    await close();
  }
}
