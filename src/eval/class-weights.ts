import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "../checkpoint/index.ts";
import type { CLIP } from "../clip.ts";
import { hostTensor } from "../graph/index.ts";

/**
 * One normalised row for each name: every template embedded and normalised, their mean normalised again.
 * @param cache folder in which the rows are kept for the next time, by what they depend on; nowhere if it is not given
 */
export async function classWeights(
  clip: CLIP,
  names: readonly string[],
  templates: readonly string[],
  cache?: string,
): Promise<readonly Float32Array[]> {
  if (cache === undefined) return (await clip.classifier(names, templates)).weights;
  const key = JSON.stringify({ model: clip.fingerprint, names, templates });
  const folder = join(cache, "class-weights");
  const path = join(folder, `${createHash("sha256").update(key).digest("hex").slice(0, 16)}.safetensors`);
  const width = clip.config.embedDim;
  if (existsSync(path)) {
    const kept = (await readSafetensors(path)).get("weights");
    if (kept?.data instanceof Float32Array && kept.data.length === names.length * width) return rows(kept.data, width);
  }
  const { weights } = await clip.classifier(names, templates);
  const all = new Float32Array(names.length * width);
  for (const [i, row] of weights.entries()) all.set(row, i * width);
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path, { weights: hostTensor("f32", [names.length, width], all) });
  return weights;
}

const rows = (data: Float32Array, width: number): Float32Array[] =>
  Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));
