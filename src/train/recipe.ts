import { z } from "zod";
import { clipConfigSchema } from "../checkpoint/index.ts";
import type { SourceSpec } from "../data/index.ts";
import type { TrainingPrecision } from "../engine/engine.ts";
import { checkMesh, type Mesh } from "../graph/index.ts";
import { checked } from "../json-file.ts";
import { type ClipConfig, CONFIGS, checkConfig } from "../model/index.ts";
import type { Tower } from "./graphs.ts";
import type { AdamW } from "./optimizer.ts";
import type { Schedule } from "./schedule.ts";

/** Everything that decides a training run. Plain data: a run folder keeps it, and resuming needs nothing else. */
export interface Recipe {
  /** Names the run's folder unless another is asked for. */
  readonly name: string;
  /** The model that training starts from, as it was named; its weights are the run's step 0. @default random weights */
  readonly from?: string;
  /** The tower that stays as it is (LiT, arXiv 2111.07991). @default neither */
  readonly lock?: Tower;
  readonly source: SourceSpec;
  readonly tokenizer:
    | {
        readonly kind: "trained";
        /** Ids of a vocabulary learned from the captions: 512 bytes, merges and two marks. Short captions may not fill it. */
        readonly vocabSize: number;
      }
    | {
        readonly kind: "file";
        /** A tokenizer.json of a run, or the official merges file. */
        readonly path: string;
      }
    | {
        /** That of the model that training starts from. */
        readonly kind: "from";
      };
  /** `text.vocabSize` is what the tokenizer turns out to have. */
  readonly model: ClipConfig;
  /** Side of the random square crop, as fractions of the shorter side. */
  readonly cropScale: readonly [min: number, max: number];
  /** How whole pictures are resized when the model is used. @default "bicubic", as the published models */
  readonly interpolation?: "bicubic" | "bilinear";
  /**
   * Gray level, 255 being white, that pictures are laid on, in training as in use: what is transparent shows it.
   * @default as the published models, which see the colours under transparency, often black, and most 16-bit pictures as white
   */
  readonly background?: number;
  /** Prompts that read like the captions, `{}` being the label: what the model classifies with unless told otherwise. */
  readonly templates: readonly string[];
  /** Pairs that the loss sees at once. */
  readonly batch: number;
  /** Pairs whose activations are in memory at once (GradCache); divides the batch. @default batch */
  readonly microBatch?: number;
  /** Whether each block's activations are computed again in the backward pass instead of being held: less memory, a quarter more work. @default false */
  readonly checkpointActivations?: boolean;
  /**
   * Share of each picture's patches that a training step leaves out (FLIP, arXiv 2212.00794): about that much less work, and batches that
   * are larger for the same memory. What the model is used for sees all patches. Vision transformers only. @default 0
   */
  readonly patchDropout?: number;
  /** What the encoders compute in; parameters, moments, normalisation and the loss are float32 in any case. @default "float32" */
  readonly precision?: TrainingPrecision;
  /** How the devices stand that it is meant for; `--mesh` asks for others. @default one device */
  readonly mesh?: Mesh;
  /** On a mesh: keeps large parameters and their moments in pieces over `data`, too. @default false */
  readonly fsdp?: boolean;
  readonly steps: number;
  /** The highest rate, at the end of the warm-up. */
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly adam: AdamW;
  readonly seed: number;
  /** Steps between checkpoints. */
  readonly checkpointEvery: number;
  /** How many of the latest checkpoints stay. */
  readonly keepCheckpoints: number;
}

/** The paper's optimiser for each kind of image tower (CLIP, tables 18 to 20). */
export const PAPER_ADAM = {
  vit: { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.2 },
  resnet: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.2 },
} as const satisfies Record<ClipConfig["vision"]["kind"], AdamW>;

/** For data of one's own: a small model, the paper's optimiser. */
export const DEFAULT_RECIPE: Omit<Recipe, "name" | "source"> = {
  tokenizer: { kind: "trained", vocabSize: 4096 },
  model: CONFIGS["emoji-rn"],
  cropScale: [0.7, 1],
  background: 255,
  templates: ["{}"],
  batch: 128,
  steps: 2000,
  learningRate: 1e-3,
  schedule: { kind: "cosine", warmup: 160 },
  adam: { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1, maxNorm: 1 },
  seed: 0,
  checkpointEvery: 200,
  keepCheckpoints: 3,
};

const whole = z.int().positive();
const positive = z.number().positive();
const steps = z.int().nonnegative();
const fraction = z.number().min(0).lt(1);

const sourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("emoji"),
    size: whole.exactOptional(),
    vendors: z.array(z.string()).exactOptional(),
    cacheDir: z.string().exactOptional(),
  }),
  z.strictObject({
    kind: z.literal("table"),
    table: z.string(),
    folder: z.string().exactOptional(),
    imageColumn: z.string().exactOptional(),
    captionColumn: z.string().exactOptional(),
    maxPixels: whole.exactOptional(),
  }),
  z.strictObject({ kind: z.literal("sidecar"), folder: z.string(), maxPixels: whole.exactOptional() }),
  z.strictObject({ kind: z.literal("clip-art"), folder: z.string().exactOptional(), size: whole.exactOptional() }),
]) satisfies z.ZodType<SourceSpec>;

const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.enum(["cosine", "constant"]), warmup: steps }),
  z.strictObject({
    kind: z.literal("cooldown"),
    warmup: steps,
    cooldown: steps,
    power: positive.exactOptional(),
    endRate: z.number().nonnegative().exactOptional(),
  }),
]) satisfies z.ZodType<Schedule>;

const recipeSchema: z.ZodType<Recipe> = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/, "expected letters, digits, dots, dashes and underscores"),
  from: z.string().exactOptional(),
  lock: z.enum(["image", "text"]).exactOptional(),
  source: sourceSchema,
  tokenizer: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("trained"), vocabSize: z.int().min(514) }),
    z.strictObject({ kind: z.literal("file"), path: z.string() }),
    z.strictObject({ kind: z.literal("from") }),
  ]),
  model: clipConfigSchema,
  cropScale: z.tuple([positive.max(1), positive.max(1)]),
  interpolation: z.enum(["bicubic", "bilinear"]).exactOptional(),
  background: z.int().min(0).max(255).exactOptional(),
  templates: z.array(z.string().includes("{}", "expected {} where the label goes")).min(1),
  batch: whole,
  microBatch: whole.exactOptional(),
  checkpointActivations: z.boolean().exactOptional(),
  patchDropout: fraction.exactOptional(),
  precision: z.enum(["float32", "bfloat16"]).exactOptional(),
  mesh: z.strictObject({ data: whole.exactOptional(), model: whole.exactOptional() }).exactOptional(),
  fsdp: z.boolean().exactOptional(),
  steps: whole,
  learningRate: positive,
  schedule: scheduleSchema,
  adam: z.strictObject({
    beta1: fraction,
    beta2: fraction,
    epsilon: positive,
    weightDecay: z.number().nonnegative(),
    maxNorm: positive.exactOptional(),
  }),
  seed: z.int(),
  checkpointEvery: whole,
  keepCheckpoints: whole,
});

/**
 * Checks what came from a file.
 * @param where what the error calls it
 * @throws one line that names the entry, what was expected and what came
 */
export function checkRecipe(value: unknown, where: string): Recipe {
  const recipe = checked(recipeSchema, value, where);
  checkConfig(recipe.model);
  if (recipe.mesh) checkMesh(recipe.mesh);
  const { vision, imageSize } = recipe.model;
  if (recipe.patchDropout && vision.kind !== "vit")
    throw new Error(`${where}: patchDropout: expected a vision transformer, model.vision is a ResNet`);
  if (vision.kind === "vit" && imageSize % vision.patchSize !== 0)
    throw new Error(`${where}: model: vision.patchSize (${vision.patchSize}) does not divide imageSize (${imageSize})`);
  if (recipe.microBatch !== undefined && recipe.batch % recipe.microBatch !== 0)
    throw new Error(
      `${where}: microBatch: expected a divisor of the batch of ${recipe.batch}, got ${recipe.microBatch}`,
    );
  return recipe;
}
