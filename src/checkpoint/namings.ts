/**
 * How checkpoints name their tensors, as data: one table a naming, read in either direction (`naming.ts`).
 * `official` is the name in OpenAI's checkpoints, or, of tensors which those do not have, in open_clip's; the models use it.
 * `#` stands for the number of a layer, `*` at the end for any rest, each the same on both sides.
 */

/** Where one tensor of the official naming stands in another. */
export interface NamingRule {
  readonly official: string;
  /** Its tensor; of several, which are equally large, the official one is them joined along the first axis, in this order. */
  readonly stored: readonly StoredPart[];
  /** Whether the stored matrix is the transpose: a linear layer's [out, in] for the official [in, out]. @default false */
  readonly transposed?: true;
  /** Axes of size 1 that the stored tensor has in front. @default 0 */
  readonly leadingOnes?: number;
}

export interface StoredPart {
  readonly name: string;
  /** The official tensor is only these of the `of` equal shares of the stored one's first axis. @default all of them */
  readonly slice?: { readonly from: number; readonly to: number; readonly of: number };
}

export interface Naming {
  /** What messages call it. */
  readonly title: string;
  readonly rules: readonly NamingRule[];
}

function same(official: string, stored = official, leadingOnes = 0): NamingRule {
  return { official, stored: [{ name: stored }], ...(leadingOnes > 0 && { leadingOnes }) };
}

function transposed(official: string, stored: string): NamingRule {
  return { ...same(official, stored), transposed: true };
}

function joined(official: string, ...stored: readonly string[]): NamingRule {
  return { official, stored: stored.map((name) => ({ name })) };
}

/** The official tensor is the shares `from` to `to` of three. */
function third(official: string, stored: string, from: number, to: number): NamingRule {
  return { official, stored: [{ name: stored, slice: { from, to, of: 3 } }] };
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

/** A vision transformer of timm, as open_clip's SigLIP models have it. */
const TIMM_TRUNK = [
  same("visual.positional_embedding", "visual.trunk.pos_embed", 1),
  ...both("visual.conv1", "visual.trunk.patch_embed.proj"),
  same("visual.transformer.resblocks.#.attn.in_proj_weight", "visual.trunk.blocks.#.attn.qkv.weight"),
  same("visual.transformer.resblocks.#.attn.in_proj_bias", "visual.trunk.blocks.#.attn.qkv.bias"),
  ...both("visual.transformer.resblocks.#.attn.out_proj", "visual.trunk.blocks.#.attn.proj"),
  ...both("visual.transformer.resblocks.#.ln_1", "visual.trunk.blocks.#.norm1"),
  ...both("visual.transformer.resblocks.#.mlp.c_fc", "visual.trunk.blocks.#.mlp.fc1"),
  ...both("visual.transformer.resblocks.#.mlp.c_proj", "visual.trunk.blocks.#.mlp.fc2"),
  ...both("visual.transformer.resblocks.#.ln_2", "visual.trunk.blocks.#.norm2"),
  ...both("visual.ln_post", "visual.trunk.norm"),
  same("visual.attn_pool.*", "visual.trunk.attn_pool.*"),
];

/** SigLIP's pooling head in Hugging Face's naming; torch's attention fuses what timm's splits. */
const SIGLIP_HEAD = [
  same("visual.attn_pool.latent", "vision_model.head.probe"),
  third("visual.attn_pool.q.weight", "vision_model.head.attention.in_proj_weight", 0, 1),
  third("visual.attn_pool.kv.weight", "vision_model.head.attention.in_proj_weight", 1, 3),
  third("visual.attn_pool.q.bias", "vision_model.head.attention.in_proj_bias", 0, 1),
  third("visual.attn_pool.kv.bias", "vision_model.head.attention.in_proj_bias", 1, 3),
  ...both("visual.attn_pool.proj", "vision_model.head.attention.out_proj"),
  ...both("visual.attn_pool.norm", "vision_model.head.layernorm"),
  ...both("visual.attn_pool.mlp.fc1", "vision_model.head.mlp.fc1"),
  ...both("visual.attn_pool.mlp.fc2", "vision_model.head.mlp.fc2"),
];

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
  openClipSiglip: {
    title: "open_clip's of SigLIP",
    rules: [...TIMM_TRUNK, ...CUSTOM_TEXT, ...SCALES],
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
  huggingFaceSiglip: {
    title: "Hugging Face's SiglipModel",
    rules: [...SIGLIP_HEAD, ...both("text_projection", "text_model.head"), ...HUGGING_FACE_TOWERS],
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
