import emojiS from "../recipes/emoji-s.ts";
import emojiVit from "../recipes/emoji-vit.ts";
import { type ClipConfig, CONFIGS } from "../src/model/index.ts";
import type { AdamW } from "../src/train/optimizer.ts";
import { PAPER_ADAM, type Recipe } from "../src/train/recipe.ts";

/** What a step starts from: pairs made while it trains, or the same few batches again and again. */
export type Mode = "data" | "fixed";

/** A model and what it is trained on; steps are the same arithmetic on every side, in float32. */
export interface Workload {
  readonly title: string;
  readonly config: ClipConfig;
  readonly batch: number;
  readonly adam: AdamW;
  /** Whose PyTorch code is beside ours; in JAX it is our own. */
  readonly peer: "own" | "open_clip";
  /** Source, crops and vocabulary; without one there are fixed inputs only, with the official vocabulary. */
  readonly recipe?: Recipe;
  readonly modes: readonly Mode[];
  /** Captions that fill the context, so that leaving padding out saves nothing. */
  readonly fullTexts?: boolean;
  /** Timed steps of a block, and untimed ones before them. */
  readonly steps: number;
  readonly warmup: number;
}

const emoji = (title: string, recipe: Recipe, steps: number): Workload => ({
  title,
  config: recipe.model,
  batch: recipe.batch,
  adam: recipe.adam,
  peer: "own",
  recipe,
  modes: ["data", "fixed"],
  steps,
  warmup: 2,
});

// open_clip's standard ViT-B-32 has the exact GELU, so ours has it here.
const vitB32: Workload = {
  title: "ViT-B/32",
  config: { ...CONFIGS["ViT-B/32"], activation: "gelu" },
  batch: 32,
  adam: PAPER_ADAM.vit,
  peer: "open_clip",
  modes: ["fixed"],
  steps: 2,
  warmup: 1,
};

export const WORKLOADS: Readonly<Record<string, Workload>> = {
  "emoji-rn": emoji("ResNet of recipe S", emojiS, 20),
  "emoji-vit": emoji("ViT of recipe V", emojiVit, 10),
  "vit-b-32": vitB32,
  "vit-b-32-quickgelu": { ...vitB32, title: "ViT-B/32, QuickGELU", config: CONFIGS["ViT-B/32"] },
  "vit-b-32-77": { ...vitB32, title: "ViT-B/32, texts of 77 tokens", fullTexts: true },
};

export const DEFAULT_WORKLOADS = ["emoji-rn", "emoji-vit", "vit-b-32"];
