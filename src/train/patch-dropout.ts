/** Patch dropout (FLIP; Li et al. 2022, arXiv 2212.00794): a vision transformer is trained on a random part of each picture's patches. */
import { Random } from "../data/index.ts";
import { type ClipConfig, wholeVision } from "../model/index.ts";

/**
 * How many of a picture's patches are kept; a class token is always kept, and does not count.
 * @param rate share that is dropped
 * @throws if the model has no patches
 */
export function keptPatches(config: ClipConfig, rate: number): number {
  const { vision } = config;
  if (vision.kind !== "vit") throw new Error("patch dropout: expected a vision transformer, got a ResNet");
  if (!(rate >= 0 && rate < 1)) throw new Error(`patch dropout: expected a share from 0 to below 1, got ${rate}`);
  return Math.max(1, Math.floor(wholeVision(vision, config).grid ** 2 * (1 - rate)));
}

/** Where in a run the pictures are drawn for. */
export interface PatchDraw {
  readonly seed: number;
  readonly step: number;
  /** Of the first picture, in the step's whole batch. */
  readonly row: number;
}

/**
 * The kept patches of some pictures, uniform and ascending: a pure function of seed, step and row, so that neither resuming nor
 * micro-batches change what is drawn.
 * @returns i32 [count, kept], each below `patches`
 */
export function drawPatches({ seed, step, row }: PatchDraw, count: number, patches: number, kept: number): Int32Array {
  const all = new Int32Array(count * kept);
  for (let picture = 0; picture < count; picture++) {
    // The loader's keys have four numbers: another length is another sequence.
    const random = new Random(seed, step, row + picture);
    const order = Int32Array.from({ length: patches }, (_, patch) => patch);
    for (let i = 0; i < kept; i++) {
      const other = i + random.int(patches - i);
      [order[i], order[other]] = [order[other] ?? 0, order[i] ?? 0];
    }
    all.set(order.subarray(0, kept).sort(), picture * kept);
  }
  return all;
}
