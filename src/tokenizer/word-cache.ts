/** Longer words are rare and would make the cache's size in bytes unbounded. */
const longestCachedWord = 64;

export interface WordCache {
  idsOf(word: string): readonly number[];
}

/**
 * Remembers the ids of at most `capacity` words, in two generations: when the young one is full it becomes the old one,
 * and what is found in the old one moves back. Frequent words so stay, without the cost of a list in order of use.
 */
export function createWordCache(encode: (word: string) => number[], capacity: number): WordCache {
  const generationSize = Math.max(1, Math.floor(capacity / 2));
  let young = new Map<string, readonly number[]>();
  let old = new Map<string, readonly number[]>();

  return {
    idsOf(word) {
      const known = young.get(word);
      if (known !== undefined) return known;
      const ids = old.get(word) ?? encode(word);
      if (word.length <= longestCachedWord) {
        if (young.size >= generationSize) {
          old = young;
          young = new Map();
        }
        young.set(word, ids);
      }
      return ids;
    },
  };
}
