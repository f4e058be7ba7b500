/** Captions as the web has them: common words often, rare ones and names seldom, a few with what has to be repaired. */
import { emojiTrainingSource, openEmoji, Random } from "../src/data/index.ts";
import { officialMerges } from "../src/tokenizer/index.ts";

const PATTERNS = [
  "a {n} of a {w} {w} on the {w}",
  "{W} {w} with {w} and {w} {w}, {w} {w} in {N}",
  "{N} {N} at the {w} of {N}, {y}",
  "The {w} {w} {w} is a {w} for the {w} {w} of {N}",
  "a close up of the {w}'s {w}, {w} {w} and {w}",
  "{w} {w} {w} vector illustration - {w} {w}",
  "{N}: {w} {w} {w} ({y})",
  "my {w} {w} for {w} {w}! {w}, {w}, {w}",
  "{e}",
  "{w} and {e} by {N}",
] as const;

/** Three in a hundred captions have one of these. */
const UNUSUAL = ["café", "“{w}”", "&amp;", "Æon–{w}", "❤️", "São {N}", "東京", "naÃ¯ve", "{w}…", "½ {w}"] as const;

const NOUNS = ["photo", "picture", "drawing", "painting", "close-up", "view", "portrait"] as const;

export interface CaptionMaker {
  /** The same captions for the same seed. */
  make(count: number, seed: number): string[];
  close(): void;
}

export async function captionMaker(): Promise<CaptionMaker> {
  const merged = (await officialMerges()).map(([left, right]) => left + right);
  const words = merged.filter((token) => /^[a-z]{2,}<\/w>$/.test(token)).map((token) => token.slice(0, -4));
  const pieces = merged.filter((token) => /^[a-z]{3,6}$/.test(token));
  const emoji = emojiTrainingSource(await openEmoji());

  // Zipf's law, by the ranks of the merges: the word of rank r as often as 1 / (r + 3)
  const word = (random: Random): string => words[Math.floor(3 * (words.length / 3 + 1) ** random.uniform() - 3)] ?? "a";
  const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
  const name = (random: Random): string =>
    capital(random.uniform() < 0.5 ? random.pick(pieces) + random.pick(pieces) : word(random));

  function fill(pattern: string, random: Random): string {
    return pattern.replace(/\{(\w)\}/g, (_, kind: string) => {
      if (kind === "n") return random.pick(NOUNS);
      if (kind === "N") return name(random);
      if (kind === "W") return capital(word(random));
      if (kind === "y") return String(1900 + random.int(130));
      if (kind === "e") return emoji.caption(random.int(emoji.length), random);
      return word(random);
    });
  }
  return {
    make: (count, seed) =>
      Array.from({ length: count }, (_, i) => {
        const random = new Random(seed, i);
        const pattern: string = random.pick(PATTERNS);
        const unusual = random.uniform() < 0.03 ? ` ${random.pick(UNUSUAL)}` : "";
        return fill(pattern + unusual, random);
      }),
    close: () => emoji.close?.(),
  };
}
