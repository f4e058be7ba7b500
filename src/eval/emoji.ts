import type { CLIP } from "../clip.ts";
import { emojiVendors, heldOutVendorName } from "../data/index.ts";
import { classWeights } from "./class-weights.ts";
import { meanPerClass, within } from "./metrics.ts";
import { allRows } from "./outcome.ts";
import { TEMPLATES } from "./prompts.ts";
import { scoredBy } from "./scoring.ts";
import { imageFeatures } from "./tasks/features.ts";
import { openEmojiImages } from "./tasks/sources/emoji.ts";
import type { LabelledImages } from "./tasks/task.ts";

/** Prompts of the emoji evaluation, best first. */
const PROMPTS = [
  { name: "ensemble of 8", templates: TEMPLATES.emoji },
  { name: "an emoji of {}", templates: TEMPLATES["emoji-single"] },
  { name: "{}", templates: TEMPLATES.bare },
] as const;

export interface EmojiResult {
  /** What was classified: an unseen style or unseen concepts. */
  readonly task: string;
  readonly prompts: string;
  readonly images: number;
  readonly classes: number;
  /** Shares, 0 to 1. */
  readonly top1: number;
  readonly top5: number;
  readonly meanPerClass: number;
}

/** Drawings that an emoji model never saw. */
export interface UnseenEmoji {
  readonly name: string;
  readonly images: LabelledImages;
}

/** An unseen style: the vendor that was held out, among its own 1,181 names; unseen concepts: by all vendors, among their 127 names. */
export async function openUnseenEmoji(cacheDir?: string): Promise<readonly UnseenEmoji[]> {
  const where = cacheDir === undefined ? {} : { cacheDir };
  return [
    {
      name: `${heldOutVendorName}: unseen style`,
      images: await openEmojiImages({ kind: "emoji", classes: "name", ...where }),
    },
    {
      name: "unseen concepts",
      images: await openEmojiImages({
        ...{ kind: "emoji", classes: "name", vendors: emojiVendors, concepts: "unseen" },
        ...where,
      }),
    },
  ];
}

/** What an emoji model knows of drawings it never saw. @param cache folder in which class weights are kept */
export async function evaluateEmoji(clip: CLIP, cache?: string, cacheDir?: string): Promise<EmojiResult[]> {
  const results: EmojiResult[] = [];
  for (const { name, images } of await openUnseenEmoji(cacheDir)) {
    try {
      const features = await imageFeatures(clip, images);
      const rows = allRows(features.count);
      for (const { name: prompts, templates } of PROMPTS) {
        const weights = await classWeights(clip, images.classNames, templates, cache);
        const { logitScale, logitBias } = clip;
        const scored = await scoredBy(features, weights, {
          metric: "accuracy",
          probability: { logitScale, logitBias },
        });
        results.push({
          ...{ task: name, prompts, images: features.count, classes: weights.length },
          ...{ top1: within(scored.ranks, 1)(rows), top5: within(scored.ranks, 5)(rows) },
          meanPerClass: meanPerClass(scored)(rows),
        });
      }
    } finally {
      await images.close?.();
    }
  }
  return results;
}
