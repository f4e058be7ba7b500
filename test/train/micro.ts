/** A data set of a few drawn pictures and a model that trains on it in seconds. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import type { HostTensor } from "../../src/graph/index.ts";
import { type ClipConfig, SIGLIP_VISION } from "../../src/model/index.ts";
import type { Recipe } from "../../src/train/recipe.ts";
import { openCheckpoint, type RunFolder } from "../../src/train/run-folder.ts";

export const COLOURS = {
  red: "#d22",
  green: "#2a2",
  blue: "#22d",
  yellow: "#dd2",
  black: "#111",
  pink: "#f9c",
} as const;
const SHAPES = {
  circle: '<circle cx="12" cy="12" r="9"/>',
  square: '<rect x="4" y="4" width="16" height="16"/>',
  bar: '<rect x="2" y="9" width="20" height="6"/>',
  triangle: '<path d="M12 3 L22 21 L2 21 Z"/>',
} as const;

/** Writes 24 pictures and `pairs.csv`, whose columns are `file` and `text`. @returns the table's path */
export async function drawPairs(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const rows = ["file,text"];
  for (const [colour, fill] of Object.entries(COLOURS))
    for (const [shape, body] of Object.entries(SHAPES)) {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><rect width="24" height="24" fill="#fff"/><g fill="${fill}">${body}</g></svg>`;
      const file = `${colour}-${shape}.png`;
      await sharp(Buffer.from(svg)).flatten({ background: "#fff" }).png().toFile(join(folder, file));
      rows.push(`${file},"a ${colour} ${shape}, drawn"`);
    }
  const table = join(folder, "pairs.csv");
  await writeFile(table, `${rows.join("\n")}\n`);
  return table;
}

export const MICRO_VIT: ClipConfig = {
  embedDim: 16,
  imageSize: 16,
  vision: { kind: "vit", width: 32, layers: 1, heads: 2, patchSize: 4 },
  text: { contextLength: 12, vocabSize: 600, width: 32, layers: 1, heads: 2 },
  activation: "quickGelu",
};

export const MICRO_RESNET: ClipConfig = {
  ...MICRO_VIT,
  imageSize: 32,
  vision: { kind: "resnet", width: 4, layers: [1, 1, 1, 1], heads: 2 },
};

/** Every choice in which SigLIP differs. */
export const MICRO_SIGLIP: ClipConfig = {
  ...MICRO_VIT,
  vision: { kind: "vit", width: 32, layers: 2, heads: 2, patchSize: 4, ...SIGLIP_VISION, projection: "linear" },
  text: { ...MICRO_VIT.text, causal: false, pool: "last", projection: "linear" },
  logitBias: true,
};

export function microRecipe(table: string, changes: Partial<Recipe> = {}): Recipe {
  return {
    name: "micro",
    source: { kind: "table", table, imageColumn: "file", captionColumn: "text" },
    tokenizer: { kind: "trained", vocabSize: 600 },
    model: MICRO_VIT,
    cropScale: [0.8, 1],
    templates: ["a {}, drawn"],
    batch: 8,
    steps: 12,
    learningRate: 2e-3,
    schedule: { kind: "cosine", warmup: 2 },
    adam: { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1, maxNorm: 1 },
    seed: 3,
    checkpointEvery: 4,
    keepCheckpoints: 2,
    ...changes,
  };
}

/** All tensors of a checkpoint. */
export async function readCheckpoint(run: RunFolder, step: number): Promise<Record<string, HostTensor>> {
  const file = await openCheckpoint(run, step);
  try {
    const tensors: Record<string, HostTensor> = {};
    for (const name of file.tensors.keys()) tensors[name] = await file.read(name);
    return tensors;
  } finally {
    await file.close();
  }
}
