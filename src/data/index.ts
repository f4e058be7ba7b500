export { type EmojiSet, emojiTrainingSource, heldOutVendor, openEmoji, unseenConcepts } from "./emoji.ts";
export type { EmojiOptions } from "./emoji-cache.ts";
export { emojiTemplates, emojiVocabularyTexts } from "./emoji-captions.ts";
export type { EmojiConcept, EmojiDrawing } from "./emoji-join.ts";
export { type EmojiVendor, heldOutVendorName, trainingVendors } from "./emoji-packages.ts";
export { Random } from "./random.ts";
export type { LabelledSource, PairSource } from "./source.ts";
