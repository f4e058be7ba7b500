export type { Batch, BatchOptions } from "./batch.ts";
export { type EmojiSet, emojiTrainingSource, openEmoji } from "./emoji.ts";
export type { EmojiOptions } from "./emoji-cache.ts";
export { emojiTemplates, emojiVocabularyTexts } from "./emoji-captions.ts";
export type { EmojiConcept, EmojiDrawing } from "./emoji-join.ts";
export { type EmojiVendor, emojiVendors, heldOutVendorName, trainingVendors } from "./emoji-packages.ts";
export { openFolder } from "./inside-folder.ts";
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
export { isPictureName } from "./picture-names.ts";
export { Random } from "./random.ts";
export type { PairSource } from "./source.ts";
export { type OpenSourceOptions, openSource, type SourceSpec } from "./source-spec.ts";
export type { TableOptions } from "./table.ts";
export { readRows } from "./table-rows.ts";
export { indexTar, type TarEntry, type TarIndex } from "./tar-index.ts";
