import type { CLIP } from "../clip.ts";
import { heldOutVendor, openEmoji, unseenConcepts } from "../data/index.ts";
import { classWeights } from "./class-weights.ts";
import { TEMPLATES } from "./prompts.ts";
import { imageFeatures, score, type ZeroShotResult } from "./zero-shot.ts";

/** Prompts of the emoji evaluation, best first. */
const PROMPTS = [
  { name: "ensemble of 8", templates: TEMPLATES.emoji },
  { name: "an emoji of {}", templates: TEMPLATES["emoji-single"] },
  { name: "{}", templates: TEMPLATES.bare },
] as const;

export interface EmojiResult extends ZeroShotResult {
  /** What was classified: an unseen style or unseen concepts. */
  readonly task: string;
  readonly prompts: string;
}

/**
 * What an emoji model knows of drawings it never saw: those of a vendor that was held out, and of concepts that were.
 * @param cache folder where class weights are kept
 */
export async function evaluateEmoji(clip: CLIP, cache?: string, cacheDir?: string): Promise<EmojiResult[]> {
  const set = await openEmoji(cacheDir === undefined ? {} : { cacheDir });
  try {
    const results: EmojiResult[] = [];
    for (const source of [heldOutVendor(set), unseenConcepts(set)]) {
      const features = await imageFeatures(clip, source);
      for (const { name, templates } of PROMPTS) {
        const weights = await classWeights(clip, source.classNames, templates, cache);
        results.push({ task: source.name, prompts: name, ...score(features, source.labels, weights) });
      }
    }
    return results;
  } finally {
    set.close();
  }
}
