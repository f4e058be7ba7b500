/** Small models of several kinds, from the golden files. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readModel } from "../../src/checkpoint/index.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { HostTensor } from "../../src/graph/index.ts";
import type { ClipConfig } from "../../src/model/index.ts";

const GOLDEN = fileURLToPath(new URL("../golden", import.meta.url));

interface Small {
  readonly config: ClipConfig;
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

/** Of `models/`, whose sizes OpenAI's rules infer. */
export const halfModel = (name: string): Promise<Small> =>
  readModel(join(GOLDEN, "models", name, "model_f16.safetensors"));

/** Of `variants/`. */
export async function variant(name: string): Promise<Small> {
  const { config } = JSON.parse(await readFile(join(GOLDEN, "variants", `${name}.json`), "utf8"));
  const tensors: Record<string, HostTensor> = {};
  for (const [key, tensor] of await readSafetensors(join(GOLDEN, "variants", `${name}.safetensors`)))
    if (key.startsWith("weights.")) tensors[key.slice("weights.".length)] = tensor;
  return { config, tensors };
}

/** Models by kind. */
export const MODELS = {
  vit: () => halfModel("tiny-vit"),
  resnet: () => halfModel("tiny-rn"),
  siglip: () => variant("siglip-hugging-face"),
  average: () => variant("open-clip-average"),
  attentional: () => variant("open-clip-attentional"),
  clipa: () => variant("open-clip-clipa"),
} as const;

export type ModelName = keyof typeof MODELS;
