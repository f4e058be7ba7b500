/** CLIP models that a software device computes in seconds. */
import type { ClipConfig } from "../../src/model/index.ts";

export const [SIDE, CONTEXT] = [32, 12] as const;
const text = { contextLength: CONTEXT, vocabSize: 96, width: 32, layers: 2, heads: 2 };

export const MODELS = {
  "a vision transformer": {
    embedDim: 16,
    imageSize: SIDE,
    vision: { kind: "vit", width: 32, layers: 2, heads: 2, patchSize: 8 },
    text,
    activation: "quickGelu",
  },
  "a residual network": {
    embedDim: 16,
    imageSize: SIDE,
    vision: { kind: "resnet", width: 8, layers: [1, 1, 1, 1], heads: 4 },
    text,
    activation: "gelu",
  },
} as const satisfies Record<string, ClipConfig>;
