import type { PreprocessConfig } from "../../src/image/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../src/model/index.ts";

/** The official models' preprocessing at another size. */
export function official(size: PreprocessConfig["size"], changes: Partial<PreprocessConfig> = {}): PreprocessConfig {
  return {
    size,
    resize: "shortest",
    interpolation: "bicubic",
    mean: PIXEL_MEAN,
    deviation: PIXEL_DEVIATION,
    fill: 0,
    ...changes,
  };
}
