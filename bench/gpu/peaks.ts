/** What cards can do, and what a training step asks of them. */
import type { ClipConfig } from "../../src/model/index.ts";

/**
 * Dense bfloat16 with float32 sums, in FLOP/s, from NVIDIA's data sheets (without sparsity), by what the driver calls the card; the first
 * that fits counts.
 */
const PEAKS: readonly (readonly [name: RegExp, flops: number])[] = [
  [/GB200|B200/, 2250e12],
  [/B100/, 1750e12],
  [/GH200|H200/, 989e12],
  [/H100 NVL/, 835e12],
  [/H100.*PCIe/i, 756e12],
  [/H100|H800/, 989e12],
  [/H20/, 148e12],
  [/A100|A800/, 312e12],
  [/A30/, 165e12],
  [/A10G/, 70e12],
  [/A10/, 125e12],
  [/A40/, 149.7e12],
  [/L40S/, 362e12],
  [/L40/, 181e12],
  [/L4/, 121e12],
  [/RTX 5090/, 209.5e12],
  [/RTX 4090/, 165.2e12],
  [/RTX 3090/, 71e12],
  [/RTX A6000/, 154.8e12],
];

export const peakOf = (device: string): number | undefined => PEAKS.find(([name]) => name.test(device))?.[1];

/**
 * FLOP of a pair in a training step: matrix products alone, forward and twice that backward, nothing computed again. Texts fill the
 * context; a multiplication and an addition are two.
 */
export function trainingFlops({ vision, imageSize, text, embedDim }: ClipConfig, batch: number): number {
  if (vision.kind !== "vit") throw new Error("the FLOP of a step are known for vision transformers");
  const patches = (imageSize / vision.patchSize) ** 2;
  const tower = (tokens: number, width: number, layers: number): number =>
    layers * (12 * tokens * width ** 2 + 2 * tokens ** 2 * width);
  const forward =
    patches * vision.width * 3 * vision.patchSize ** 2 +
    tower(patches + 1, vision.width, vision.layers) +
    vision.width * embedDim +
    tower(text.contextLength, text.width, text.layers) +
    text.width * embedDim +
    batch * embedDim;
  return 3 * 2 * forward;
}
