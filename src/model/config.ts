/** Architectures as data. */

export interface VisionTransformerConfig {
  readonly kind: "vit";
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Side of a patch in pixels. */
  readonly patchSize: number;
}

export interface ResNetConfig {
  readonly kind: "resnet";
  /** Channels of the first stage's bottlenecks; the last stage has 32 times as many features. */
  readonly width: number;
  /** Blocks in each of the four stages. */
  readonly layers: readonly [number, number, number, number];
  /** Heads of the attention pooling. */
  readonly heads: number;
}

export interface TextConfig {
  /** Positions that have an embedding; texts may be shorter. */
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
}

/** Everything that fixes the shapes and the arithmetic of a CLIP model. */
export interface ClipConfig {
  /** Dimension of the space that images and texts share. */
  readonly embedDim: number;
  /** Side of the square input image in pixels. */
  readonly imageSize: number;
  readonly vision: VisionTransformerConfig | ResNetConfig;
  readonly text: TextConfig;
  /** Of the transformers' MLPs. OpenAI's weights want quickGelu, most of open_clip's gelu (exact); the weights do not tell. */
  readonly activation: "quickGelu" | "gelu";
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
const SMALL_TEXT: TextConfig = { contextLength: 24, vocabSize: 2048, width: 128, layers: 2, heads: 2 };

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
 * Refuses sizes that no network has: heads that do not divide the width, patches that do not fill the image.
 * @throws an error of one line that names the field
 */
export function checkConfig({ embedDim, imageSize, vision, text }: ClipConfig): void {
  const whole: [string, number][] = [
    ["embedDim", embedDim],
    ["imageSize", imageSize],
    ["vision.width", vision.width],
    ["vision.heads", vision.heads],
    ["text.contextLength", text.contextLength],
    ["text.vocabSize", text.vocabSize],
    ["text.width", text.width],
    ["text.layers", text.layers],
    ["text.heads", text.heads],
    ...(vision.kind === "vit"
      ? ([
          ["vision.layers", vision.layers],
          ["vision.patchSize", vision.patchSize],
        ] as [string, number][])
      : vision.layers.map((blocks, stage): [string, number] => [`vision.layers[${stage}]`, blocks])),
  ];
  for (const [field, value] of whole)
    if (!Number.isSafeInteger(value) || value < 1)
      throw new Error(`config: ${field}: expected a whole number above 0, got ${value}`);
  const pooled = vision.kind === "vit" ? vision.width : vision.width * 32;
  divides("vision.heads", vision.heads, "the width", pooled);
  divides("text.heads", text.heads, "text.width", text.width);
  if (vision.kind === "vit") divides("vision.patchSize", vision.patchSize, "imageSize", imageSize);
  else {
    divides("the ResNet's total stride", 32, "imageSize", imageSize);
    divides("the stem", 2, "vision.width", vision.width);
  }
}

function divides(what: string, divisor: number, of: string, size: number): void {
  if (size % divisor !== 0) throw new Error(`config: ${what} (${divisor}) does not divide ${of} (${size})`);
}
