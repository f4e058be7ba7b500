import { emojiVocabularyTexts, openEmoji, openSource, Random } from "../data/index.ts";
import { createBpeTokenizer, loadClipTokenizer, type Tokenizer, trainBpe } from "../tokenizer/index.ts";
import type { Recipe } from "./recipe.ts";
import { readTokenizer } from "./run-folder.ts";

/** Captions beyond this many teach a vocabulary nothing new. */
const ENOUGH_CAPTIONS = 1_000_000;

/** The tokenizer of a recipe: read from a file, or learned from the captions that will be trained on. */
export async function tokenizerOf({ tokenizer, source, seed }: Recipe): Promise<Tokenizer> {
  if (tokenizer.kind === "file")
    return tokenizer.path.endsWith(".json") ? readTokenizer(tokenizer.path) : loadClipTokenizer(tokenizer.path);
  if (tokenizer.kind === "from") throw new Error("tokenizer: a run that starts from a model has that model's");
  const { vocabSize } = tokenizer;
  if (source.kind === "emoji") {
    const set = await openEmoji(source);
    const texts = emojiVocabularyTexts(set.concepts);
    set.close();
    return createBpeTokenizer(await trainBpe(texts, { vocabSize }));
  }
  const pairs = await openSource(source);
  try {
    return createBpeTokenizer(await trainBpe(captions(pairs, seed), { vocabSize }));
  } finally {
    pairs.close?.();
  }
}

function* captions(
  pairs: { readonly length: number; caption(index: number, random: Random): string },
  seed: number,
): Generator<string> {
  for (let i = 0; i < Math.min(pairs.length, ENOUGH_CAPTIONS); i++) yield pairs.caption(i, new Random(seed, i));
}
