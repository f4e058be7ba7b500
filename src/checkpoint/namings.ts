/**
 * How checkpoints name their tensors, as data: one table a naming, read in either direction (`naming.ts`).
 * `official` is the name in OpenAI's checkpoints, or, of tensors which those do not have, in open_clip's; the models use it.
 * `#` stands for the number of a layer, `*` at the end for any rest, each the same on both sides.
 */

/** Where one tensor of the official naming stands in another. */
export interface NamingRule {
  readonly official: string;
  /** Its tensor; of several, the official one is them joined along the first axis, in this order. */
  readonly stored: readonly StoredPart[];
  /** Whether the stored matrix is the transpose: a linear layer's [out, in] for the official [in, out]. @default false */
  readonly transposed?: true;
  /** Axes of size 1 that the stored tensor has in front. @default 0 */
  readonly leadingOnes?: number;
}

export interface StoredPart {
  readonly name: string;
  /** How many equal shares of the first axis it has. */
  readonly share: number;
}

export interface Naming {
  /** What messages call it. */
  readonly title: string;
  readonly rules: readonly NamingRule[];
}

function same(official: string, stored = official, leadingOnes = 0): NamingRule {
  return { official, stored: [{ name: stored, share: 1 }], ...(leadingOnes > 0 && { leadingOnes }) };
}

function transposed(official: string, stored: string): NamingRule {
  return { ...same(official, stored), transposed: true };
}

function joined(official: string, ...stored: readonly string[]): NamingRule {
  return { official, stored: stored.map((name) => ({ name, share: 1 })) };
}

/** A weight and a bias. */
function both(official: string, stored: string): NamingRule[] {
  return [same(`${official}.weight`, `${stored}.weight`), same(`${official}.bias`, `${stored}.bias`)];
}

const SCALES = [same("logit_scale"), same("logit_bias")];

/** The blocks of one of Hugging Face's towers. */
function huggingFaceBlocks(official: string, stored: string): NamingRule[] {
  const [ours, theirs] = [`${official}.resblocks.#`, `${stored}.layers.#`];
  const projections = (kind: string): string[] => ["q", "k", "v"].map((x) => `${theirs}.self_attn.${x}_proj.${kind}`);
  return [
    joined(`${ours}.attn.in_proj_weight`, ...projections("weight")),
    joined(`${ours}.attn.in_proj_bias`, ...projections("bias")),
    ...both(`${ours}.attn.out_proj`, `${theirs}.self_attn.out_proj`),
    ...both(`${ours}.ln_1`, `${theirs}.layer_norm1`),
    ...both(`${ours}.mlp.c_fc`, `${theirs}.mlp.fc1`),
    ...both(`${ours}.mlp.c_proj`, `${theirs}.mlp.fc2`),
    ...both(`${ours}.ln_2`, `${theirs}.layer_norm2`),
  ];
}

/** Both towers of Hugging Face, without what pools and projects. */
const HUGGING_FACE_TOWERS = [
  same("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
  ...both("visual.conv1", "vision_model.embeddings.patch_embedding"),
  ...huggingFaceBlocks("visual.transformer", "vision_model.encoder"),
  ...both("visual.ln_post", "vision_model.post_layernorm"),
  same("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
  same("positional_embedding", "text_model.embeddings.position_embedding.weight"),
  ...huggingFaceBlocks("transformer", "text_model.encoder"),
  ...both("ln_final", "text_model.final_layer_norm"),
  ...SCALES,
];

/** Text towers of open_clip's `custom_text` models stand under `text.`. */
const CUSTOM_TEXT = [
  "positional_embedding",
  "token_embedding.*",
  "transformer.*",
  "ln_final.*",
  "text_projection",
  "text_projection.*",
].map((name) => same(name, `text.${name}`));

/** Every naming that is read. */
export const NAMINGS = {
  openai: {
    title: "OpenAI's and open_clip's",
    rules: [same("*")],
  },
  openClipCustomText: {
    title: "open_clip's with custom_text",
    rules: [same("visual.*"), ...CUSTOM_TEXT, ...SCALES],
  },
  huggingFaceClip: {
    title: "Hugging Face's CLIPModel",
    rules: [
      same("visual.class_embedding", "vision_model.embeddings.class_embedding"),
      // Spelled so in every published checkpoint.
      ...both("visual.ln_pre", "vision_model.pre_layrnorm"),
      transposed("visual.proj", "visual_projection.weight"),
      transposed("text_projection", "text_projection.weight"),
      ...HUGGING_FACE_TOWERS,
    ],
  },
} as const satisfies Record<string, Naming>;

export type NamingKind = keyof typeof NAMINGS;

/** The last parts of names of tensors that say nothing which shapes do not: counters, constants, indices. */
export const SAYS_NOTHING: readonly string[] = [
  "num_batches_tracked",
  "input_resolution",
  "context_length",
  "vocab_size",
  "attn_mask",
  "position_ids",
];
