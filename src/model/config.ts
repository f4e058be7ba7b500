/** Architectures as data. */

/** Of the transformers' MLPs: x sigmoid(1.702 x), exact GELU, or GELU by its tanh approximation. */
export type Activation = "quickGelu" | "gelu" | "geluTanh";

/**
 * From pooled tokens to features: a matrix [width, embedDim] as OpenAI has it, a linear layer with a bias
 * (`.weight` [embedDim, width], `.bias`), or nothing, where the width is embedDim.
 */
export type Projection = "matrix" | "linear" | "none";

/** What both transformers have. */
interface TransformerConfig {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Width of the MLPs' hidden layers. @default 4 * width */
  readonly mlpWidth?: number;
  /** @default the model's */
  readonly activation?: Activation;
  /** Added to the variances of layer norms. @default 1e-5 */
  readonly epsilon?: number;
  /** @default "matrix" */
  readonly projection?: Projection;
}

export interface VisionTransformerConfig extends TransformerConfig {
  readonly kind: "vit";
  /** Side of a patch in pixels; what is left of the image beyond the last whole patch is not seen. */
  readonly patchSize: number;
  /** Whether patches are embedded with a bias. @default false */
  readonly patchBias?: boolean;
  /** Whether a learned token stands before the patches. @default true */
  readonly classToken?: boolean;
  /** Whether there is a layer norm before the first block. @default true */
  readonly preNorm?: boolean;
  /**
   * How tokens become one vector: the class token; the mean of the patches; SigLIP's head (multihead attention pooling: one learned
   * query over all tokens, then an MLP); open_clip's attentional pooler (learned queries, of which the first counts). @default "class"
   */
  readonly pool?: "class" | "average" | "map" | "attentional";
  /** Whether the last layer norm comes after the pooling, as it always does behind the attentional pooler. @default false */
  readonly normAfterPool?: boolean;
  /** Of the attentional pooler. @default 8 */
  readonly poolHeads?: number;
  /** Of the attentional pooler. @default 256 */
  readonly poolQueries?: number;
}

/** What SigLIP's image towers have in place of OpenAI's choices (Zhai et al. 2023, arXiv 2303.15343). */
export const SIGLIP_VISION = {
  patchBias: true,
  classToken: false,
  preNorm: false,
  pool: "map",
  projection: "none",
} as const satisfies Partial<VisionTransformerConfig>;

export interface ResNetConfig {
  readonly kind: "resnet";
  /** Channels of the first stage's bottlenecks; the last stage has 32 times as many features. */
  readonly width: number;
  /** Blocks in each of the four stages. */
  readonly layers: readonly [number, number, number, number];
  /** Heads of the attention pooling. */
  readonly heads: number;
}

export interface TextConfig extends TransformerConfig {
  /** Positions that have an embedding; texts may be shorter if the tower is causal and pools at a token. */
  readonly contextLength: number;
  readonly vocabSize: number;
  /** Whether a token sees only itself and those before it; if not, padding is seen too. @default true */
  readonly causal?: boolean;
  /** Whose output counts: that of the first highest id, of the first `endOfText`, of the last or the first position. @default "argmax" */
  readonly pool?: "argmax" | "eos" | "last" | "first";
  /** The id that "eos" pools at. */
  readonly endOfText?: number;
}

/** Everything that fixes the shapes and the arithmetic of a CLIP model. Defaults are OpenAI's. */
export interface ClipConfig {
  /** Dimension of the space that images and texts share. */
  readonly embedDim: number;
  /** Side of the square input image in pixels. */
  readonly imageSize: number;
  readonly vision: VisionTransformerConfig | ResNetConfig;
  readonly text: TextConfig;
  /** OpenAI's weights want quickGelu, most of open_clip's gelu (exact), SigLIP's geluTanh; the weights do not tell. */
  readonly activation: Activation;
  /** Whether logits have a learned bias: models trained with the sigmoid loss, whose probabilities are sigmoids. @default false */
  readonly logitBias?: boolean;
}

/** A vision transformer with its defaults filled in. */
export type WholeVision = Required<VisionTransformerConfig> & { /** Patches a side. */ readonly grid: number };
/** A text transformer with its defaults filled in; `endOfText` is -1 where nothing pools at it. */
export type WholeText = Required<TextConfig>;

const TRANSFORMER_DEFAULTS = { epsilon: 1e-5, projection: "matrix" } as const;
const VISION_DEFAULTS = {
  ...TRANSFORMER_DEFAULTS,
  patchBias: false,
  classToken: true,
  preNorm: true,
  pool: "class",
  normAfterPool: false,
  poolHeads: 8,
  poolQueries: 256,
} as const;
const TEXT_DEFAULTS = { ...TRANSFORMER_DEFAULTS, causal: true, pool: "argmax", endOfText: -1 } as const;

export function wholeVision(
  vision: VisionTransformerConfig,
  { imageSize, activation }: Pick<ClipConfig, "imageSize" | "activation">,
): WholeVision {
  const grid = Math.floor(imageSize / vision.patchSize);
  return { ...VISION_DEFAULTS, mlpWidth: 4 * vision.width, activation, ...vision, grid };
}

export function wholeText({ text, activation }: Pick<ClipConfig, "text" | "activation">): WholeText {
  return { ...TEXT_DEFAULTS, mlpWidth: 4 * text.width, activation, ...text };
}

/**
 * Whether a text may be computed without the padding behind it: nothing before it sees that.
 * Where not, rows have `contextLength` tokens, padded as the tokenizer pads them.
 */
export function shortensTexts(config: Pick<ClipConfig, "text" | "activation">): boolean {
  const { causal, pool } = wholeText(config);
  return causal && pool !== "last";
}

const vit = (width: number, layers: number, patchSize: number): VisionTransformerConfig => ({
  kind: "vit",
  width,
  layers,
  heads: width / 64,
  patchSize,
});

const resnet = (width: number, ...layers: readonly [number, number, number, number]): ResNetConfig => ({
  kind: "resnet",
  width,
  layers,
  heads: (width * 32) / 64,
});

const text = (width: number): TextConfig => ({
  contextLength: 77,
  vocabSize: 49408,
  width,
  layers: 12,
  heads: width / 64,
});

/** For drawings and short descriptions, trained from scratch in minutes. */
const SMALL_TEXT: TextConfig = { contextLength: 24, vocabSize: 2560, width: 128, layers: 2, heads: 2 };

const activation = "quickGelu";

/** The nine published architectures (CLIP, tables 19 and 20) and small ones for training on a desk. */
export const CONFIGS = {
  RN50: { embedDim: 1024, imageSize: 224, vision: resnet(64, 3, 4, 6, 3), text: text(512), activation },
  RN101: { embedDim: 512, imageSize: 224, vision: resnet(64, 3, 4, 23, 3), text: text(512), activation },
  RN50x4: { embedDim: 640, imageSize: 288, vision: resnet(80, 4, 6, 10, 6), text: text(640), activation },
  RN50x16: { embedDim: 768, imageSize: 384, vision: resnet(96, 6, 8, 18, 8), text: text(768), activation },
  RN50x64: { embedDim: 1024, imageSize: 448, vision: resnet(128, 3, 15, 36, 10), text: text(1024), activation },
  "ViT-B/32": { embedDim: 512, imageSize: 224, vision: vit(768, 12, 32), text: text(512), activation },
  "ViT-B/16": { embedDim: 512, imageSize: 224, vision: vit(768, 12, 16), text: text(512), activation },
  "ViT-L/14": { embedDim: 768, imageSize: 224, vision: vit(1024, 24, 14), text: text(768), activation },
  "ViT-L/14@336px": { embedDim: 768, imageSize: 336, vision: vit(1024, 24, 14), text: text(768), activation },
  "emoji-rn": { embedDim: 128, imageSize: 64, vision: resnet(16, 1, 1, 1, 1), text: SMALL_TEXT, activation },
  "emoji-rn-l": { embedDim: 128, imageSize: 64, vision: resnet(24, 1, 1, 1, 1), text: SMALL_TEXT, activation },
  "emoji-vit": { embedDim: 128, imageSize: 64, vision: vit(128, 4, 8), text: SMALL_TEXT, activation },
} as const satisfies Record<string, ClipConfig>;

export type ConfigName = keyof typeof CONFIGS;

/**
 * Refuses sizes that no network has: heads that do not divide the width, patches that are larger than the image.
 * @throws an error of one line that names the field
 */
export function checkConfig(config: ClipConfig): void {
  const { embedDim, imageSize, vision } = config;
  const text = wholeText(config);
  const whole: [string, number][] = [
    ["embedDim", embedDim],
    ["imageSize", imageSize],
    ["vision.width", vision.width],
    ["vision.heads", vision.heads],
    ["text.contextLength", text.contextLength],
    ["text.vocabSize", text.vocabSize],
    ...transformerSizes("text", text),
  ];
  if (vision.kind === "vit") {
    const { patchSize, poolHeads, poolQueries, ...rest } = wholeVision(vision, config);
    whole.push(["vision.patchSize", patchSize], ["vision.poolHeads", poolHeads], ["vision.poolQueries", poolQueries]);
    whole.push(...transformerSizes("vision", rest));
  } else whole.push(...vision.layers.map((blocks, stage): [string, number] => [`vision.layers[${stage}]`, blocks]));
  for (const [field, value] of whole)
    if (!Number.isSafeInteger(value) || value < 1)
      throw new Error(`config: ${field}: expected a whole number above 0, got ${value}`);
  checkTransformer("text", text, embedDim);
  if (
    text.pool === "eos" &&
    !(Number.isSafeInteger(text.endOfText) && text.endOfText >= 0 && text.endOfText < text.vocabSize)
  )
    throw new Error(
      `config: text.endOfText: expected an id below ${text.vocabSize} to pool at, got ${config.text.endOfText}`,
    );
  if (vision.kind === "vit") checkVision(wholeVision(vision, config), imageSize, embedDim);
  else {
    divides("vision.heads", vision.heads, "the width", vision.width * 32);
    divides("the ResNet's total stride", 32, "imageSize", imageSize);
    divides("the stem", 2, "vision.width", vision.width);
  }
}

function transformerSizes(
  tower: string,
  { width, layers, heads, mlpWidth }: Pick<WholeText, "width" | "layers" | "heads" | "mlpWidth">,
): [string, number][] {
  return Object.entries({ width, layers, heads, mlpWidth }).map(([field, value]) => [`${tower}.${field}`, value]);
}

function checkTransformer(
  tower: string,
  { width, heads, epsilon, projection }: Pick<WholeText, "width" | "heads" | "epsilon" | "projection">,
  embedDim: number,
  pooledWidth = width,
): void {
  divides(`${tower}.heads`, heads, `${tower}.width`, width);
  if (!(epsilon > 0 && epsilon < 1))
    throw new Error(`config: ${tower}.epsilon: expected a number between 0 and 1, got ${epsilon}`);
  if (projection === "none" && pooledWidth !== embedDim)
    throw new Error(
      `config: ${tower}.projection: without one, ${tower}.width (${pooledWidth}) must be embedDim (${embedDim})`,
    );
}

function checkVision(vision: WholeVision, imageSize: number, embedDim: number): void {
  const { pool, classToken, poolHeads, patchSize, grid } = vision;
  checkTransformer("vision", vision, embedDim, pool === "attentional" ? embedDim : vision.width);
  if (grid < 1) throw new Error(`config: vision.patchSize (${patchSize}) is larger than imageSize (${imageSize})`);
  if (pool === "class" && !classToken) throw new Error("config: vision.pool: there is no class token to pool at");
  if (pool === "attentional") divides("vision.poolHeads", poolHeads, "embedDim", embedDim);
}

function divides(what: string, divisor: number, of: string, size: number): void {
  if (size % divisor !== 0) throw new Error(`config: ${what} (${divisor}) does not divide ${of} (${size})`);
}
