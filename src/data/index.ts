export type { Batch, BatchOptions } from "./batch.ts";
export { type EmojiSet, emojiTrainingSource, heldOutVendor, openEmoji, unseenConcepts } from "./emoji.ts";
export type { EmojiOptions } from "./emoji-cache.ts";
export { emojiTemplates, emojiVocabularyTexts } from "./emoji-captions.ts";
export type { EmojiConcept, EmojiDrawing } from "./emoji-join.ts";
export { type EmojiVendor, heldOutVendorName, trainingVendors } from "./emoji-packages.ts";
export { createLoader, type Loader, type LoaderHooks } from "./loader.ts";
export type { LoaderOptions } from "./loader-options.ts";
export {
  CLIP_ART_FOLDER,
  type ClipArt,
  type ClipArtOptions,
  type ClipArtSet,
  clipArtSource,
  openClipArt,
} from "./open-clip-art.ts";
export { Random } from "./random.ts";
export type { LabelledSource, PairSource } from "./source.ts";
export { type OpenSourceOptions, openSource, type SourceSpec } from "./source-spec.ts";
export type { TableOptions } from "./table.ts";
