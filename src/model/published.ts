/** What open_clip publishes weights for, by its names: architectures as data. */
import { type ClipConfig, SIGLIP_VISION, type TextConfig, type VisionTransformerConfig } from "./config.ts";

type Vision = Omit<VisionTransformerConfig, "kind">;

const CLIP_TEXT = { contextLength: 77, vocabSize: 49408 } as const;
const text = (width: number, layers = 12): TextConfig => ({ ...CLIP_TEXT, width, layers, heads: width / 64 });
const vit = (vision: Vision): VisionTransformerConfig => ({ kind: "vit", ...vision });

const B = { width: 768, layers: 12, heads: 12 } as const;
const BPlus = { width: 896, layers: 12, heads: 14 } as const;
const L = { width: 1024, layers: 24, heads: 16 } as const;
const H = { width: 1280, layers: 32, heads: 16 } as const;
const g = { width: 1408, layers: 40, heads: 16, mlpWidth: 6144 } as const;
const bigG = { width: 1664, layers: 48, heads: 16, mlpWidth: 8192 } as const;

/** Every one of open_clip's own towers. */
const openClip = (
  embedDim: number,
  imageSize: number,
  vision: Vision,
  textTower: TextConfig,
  activation: ClipConfig["activation"] = "gelu",
): ClipConfig => ({ embedDim, imageSize, vision: vit(vision), text: textTower, activation });

const quick = (config: ClipConfig): ClipConfig => ({ ...config, activation: "quickGelu" });

/** MetaCLIP 2: 901,629 ids of XLM-V, pooled at its end-of-text. */
const worldwide = (width: number, layers: number): TextConfig => ({
  ...text(width, layers),
  vocabSize: 901629,
  pool: "eos",
  endOfText: 2,
});

/** CLIPA: the mean of the patches, short texts of BERT's vocabulary. */
const clipa = (embedDim: number, imageSize: number, vision: Vision, { width, layers, heads }: TextConfig): ClipConfig =>
  openClip(
    embedDim,
    imageSize,
    { ...vision, patchSize: 14, preNorm: false, pool: "average", normAfterPool: true },
    { width, layers, heads, contextLength: 32, vocabSize: 32000, causal: false, pool: "last" },
  );

const So400m = { width: 1152, layers: 27, heads: 16, mlpWidth: 4304 } as const;
const gOpt = { width: 1536, layers: 40, heads: 16 } as const;

/** Ids of SigLIP's vocabularies: English, many languages, Gemma's (SigLIP 2). */
const [C4, MC4, GEMMA] = [32000, 250000, 256000] as const;

/**
 * SigLIP and SigLIP 2. The training had the tanh approximation of GELU everywhere; open_clip and timm kept to the exact function in some
 * towers, where the approximation changes features by less than 1e-3, and Hugging Face to the approximation in all.
 */
const siglip = (
  imageSize: number,
  vision: Vision,
  { width: textWidth, layers, heads, mlpWidth }: Pick<TextConfig, "width" | "layers" | "heads" | "mlpWidth">,
  vocabSize: number,
  visionActivation: "gelu" | "geluTanh" = "gelu",
  contextLength = 64,
): ClipConfig => ({
  embedDim: vision.width,
  imageSize,
  vision: vit({
    ...vision,
    ...SIGLIP_VISION,
    epsilon: 1e-6,
    activation: visionActivation,
  }),
  text: {
    width: textWidth,
    layers,
    heads,
    ...(mlpWidth !== undefined && { mlpWidth }),
    contextLength,
    vocabSize,
    causal: false,
    pool: "last",
    projection: "linear",
    epsilon: 1e-6,
  },
  activation: vocabSize === GEMMA ? "geluTanh" : "gelu",
  logitBias: true,
});

const p14 = { patchSize: 14 } as const;
const p16 = { patchSize: 16 } as const;
const p32 = { patchSize: 32 } as const;

const ViTB32 = openClip(512, 224, { ...B, ...p32 }, text(512));
const ViTB16 = openClip(512, 224, { ...B, ...p16 }, text(512));
const ViTL14 = openClip(768, 224, { ...L, ...p14 }, text(768));
const ViTH14 = openClip(1024, 224, { ...H, ...p14 }, text(1024, 24));
const ViTbigG14 = openClip(1280, 224, { ...bigG, ...p14 }, text(1280, 32));
const H14Worldwide: ClipConfig = { ...ViTH14, text: worldwide(1024, 24) };
const bigG14Worldwide: ClipConfig = { ...ViTbigG14, text: worldwide(1280, 32) };

const So400mI18n = siglip(256, { ...So400m, ...p16 }, So400m, MC4, "geluTanh");

/** By open_clip's names: LAION's, DataComp's, MetaCLIP's, DFN's, CLIPA's, SigLIP's. OpenAI's own are in `CONFIGS`. */
export const OPEN_CLIP_CONFIGS = {
  "ViT-B-32": ViTB32,
  "ViT-B-32-quickgelu": quick(ViTB32),
  "ViT-B-32-256": { ...ViTB32, imageSize: 256 },
  "ViT-B-16": ViTB16,
  "ViT-B-16-quickgelu": quick(ViTB16),
  "ViT-B-16-plus-240": openClip(640, 240, { ...BPlus, ...p16 }, text(640)),
  "ViT-L-14": ViTL14,
  "ViT-L-14-quickgelu": quick(ViTL14),
  "ViT-L-14-336": { ...ViTL14, imageSize: 336 },
  "ViT-H-14": ViTH14,
  "ViT-H-14-quickgelu": quick(ViTH14),
  "ViT-H-14-378": { ...ViTH14, imageSize: 378 },
  "ViT-H-14-378-quickgelu": quick({ ...ViTH14, imageSize: 378 }),
  "ViT-H-14-worldwide-quickgelu": quick(H14Worldwide),
  "ViT-H-14-worldwide-378": { ...H14Worldwide, imageSize: 378 },
  "ViT-g-14": openClip(1024, 224, { ...g, ...p14 }, text(1024, 24)),
  "ViT-bigG-14": ViTbigG14,
  "ViT-bigG-14-quickgelu": quick(ViTbigG14),
  "ViT-bigG-14-worldwide": bigG14Worldwide,
  "ViT-bigG-14-worldwide-378": { ...bigG14Worldwide, imageSize: 378 },
  "ViT-L-14-CLIPA": clipa(768, 224, { ...L, ...p14 }, text(768)),
  "ViT-L-14-CLIPA-336": clipa(768, 336, { ...L, ...p14 }, text(768)),
  "ViT-H-14-CLIPA": clipa(1024, 224, { ...H, ...p14 }, text(1024, 24)),
  "ViT-H-14-CLIPA-336": clipa(1024, 336, { ...H, ...p14 }, text(1024, 24)),
  "ViT-bigG-14-CLIPA": clipa(1280, 224, { ...bigG, ...p14 }, text(1280, 32)),
  "ViT-bigG-14-CLIPA-336": clipa(1280, 336, { ...bigG, ...p14 }, text(1280, 32)),
  "ViT-B-16-SigLIP": siglip(224, { ...B, ...p16 }, B, C4),
  "ViT-B-16-SigLIP-256": siglip(256, { ...B, ...p16 }, B, C4),
  "ViT-B-16-SigLIP-384": siglip(384, { ...B, ...p16 }, B, C4),
  "ViT-B-16-SigLIP-512": siglip(512, { ...B, ...p16 }, B, C4),
  "ViT-B-16-SigLIP-i18n-256": siglip(256, { ...B, ...p16 }, B, MC4),
  "ViT-L-16-SigLIP-256": siglip(256, { ...L, ...p16 }, L, C4),
  "ViT-L-16-SigLIP-384": siglip(384, { ...L, ...p16 }, L, C4),
  "ViT-SO400M-14-SigLIP": siglip(224, { ...So400m, ...p14 }, So400m, C4, "gelu", 16),
  "ViT-SO400M-14-SigLIP-378": siglip(378, { ...So400m, ...p14 }, So400m, C4),
  "ViT-SO400M-14-SigLIP-384": siglip(384, { ...So400m, ...p14 }, So400m, C4),
  // The only one whose texts are not projected.
  "ViT-SO400M-16-SigLIP-i18n-256": { ...So400mI18n, text: { ...So400mI18n.text, projection: "none" } },
  "ViT-B-32-SigLIP2-256": siglip(256, { ...B, ...p32 }, B, GEMMA, "geluTanh"),
  "ViT-B-16-SigLIP2": siglip(224, { ...B, ...p16 }, B, GEMMA),
  "ViT-B-16-SigLIP2-256": siglip(256, { ...B, ...p16 }, B, GEMMA),
  "ViT-B-16-SigLIP2-384": siglip(384, { ...B, ...p16 }, B, GEMMA),
  "ViT-B-16-SigLIP2-512": siglip(512, { ...B, ...p16 }, B, GEMMA),
  "ViT-L-16-SigLIP2-256": siglip(256, { ...L, ...p16 }, L, GEMMA),
  "ViT-L-16-SigLIP2-384": siglip(384, { ...L, ...p16 }, L, GEMMA),
  "ViT-L-16-SigLIP2-512": siglip(512, { ...L, ...p16 }, L, GEMMA, "geluTanh"),
  "ViT-SO400M-14-SigLIP2": siglip(224, { ...So400m, ...p14 }, So400m, GEMMA),
  "ViT-SO400M-14-SigLIP2-378": siglip(378, { ...So400m, ...p14 }, So400m, GEMMA),
  "ViT-SO400M-16-SigLIP2-256": siglip(256, { ...So400m, ...p16 }, So400m, GEMMA, "geluTanh"),
  "ViT-SO400M-16-SigLIP2-384": siglip(384, { ...So400m, ...p16 }, So400m, GEMMA, "geluTanh"),
  "ViT-SO400M-16-SigLIP2-512": siglip(512, { ...So400m, ...p16 }, So400m, GEMMA, "geluTanh"),
  "ViT-gopt-16-SigLIP2-256": siglip(256, { ...gOpt, ...p16 }, So400m, GEMMA, "geluTanh"),
  "ViT-gopt-16-SigLIP2-384": siglip(384, { ...gOpt, ...p16 }, So400m, GEMMA, "geluTanh"),
} as const satisfies Record<string, ClipConfig>;
