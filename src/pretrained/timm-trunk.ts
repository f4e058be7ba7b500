/** SigLIP's image towers by the names that timm gave them: what the names stand for in `timm/models/vision_transformer.py`. */
import { SIGLIP_VISION, type VisionTransformerConfig } from "../model/index.ts";

const SIZES = {
  base: { width: 768, layers: 12, heads: 12 },
  large: { width: 1024, layers: 24, heads: 16 },
  so400m: { width: 1152, layers: 27, heads: 16, mlpWidth: 4304 },
  giantopt: { width: 1536, layers: 40, heads: 16 },
} as const;

const NAME = /^vit_(base|large|so400m|giantopt)_patch(14|16|32)_siglip_(224|256|378|384|512)$/;

/** Undefined for any other tower of timm. */
export function siglipTrunk(name: string): VisionTransformerConfig | undefined {
  const [, size, patch, side] = NAME.exec(name) ?? [];
  if (!size || !isSize(size)) return undefined;
  // What came with SigLIP 2 has the approximation that its training had; what timm had before has the exact function.
  const tanh =
    size === "giantopt" ||
    (size === "so400m" && patch === "16") ||
    (size === "large" && side === "512") ||
    (size === "base" && patch === "32");
  return {
    kind: "vit",
    ...SIZES[size],
    patchSize: Number(patch),
    ...SIGLIP_VISION,
    epsilon: 1e-6,
    activation: tanh ? "geluTanh" : "gelu",
  };
}

const isSize = (size: string): size is keyof typeof SIZES => Object.hasOwn(SIZES, size);
