import { byteSymbols } from "./bpe.ts";
import { byteCharacters, endOfWord } from "./bytes.ts";
import { cleanText } from "./clean.ts";
import { createHeap } from "./heap.ts";
import type { Merge } from "./vocabulary.ts";
import { MARKS, splitWords } from "./words.ts";

export interface TrainBpeProgress {
  readonly phase: "counting" | "merging";
  /** Captions read, or merges found. */
  readonly done: number;
  /** Merges wanted; unknown while captions are counted. */
  readonly total?: number;
}

export interface TrainBpeOptions {
  /** 512 byte tokens + merges + 2 marks, so at least 514. */
  readonly vocabSize: number;
  /** Pairs that occur less often are not merged. @default 1 */
  readonly minFrequency?: number;
  /** Called every 10,000 captions and every 100 merges. */
  readonly onProgress?: (progress: TrainBpeProgress) => void;
}

/**
 * Learns merges from captions, cleaned and split as `encode` does. Deterministic, and independent of the captions' order:
 * the most frequent pair first, of equal ones that with the smaller ids. Fewer merges than asked for come back if no pair
 * is left. Memory grows with the number of distinct words, not of captions.
 * @throws if `vocabSize` is below 514 or not an integer.
 */
export async function trainBpe(
  captions: Iterable<string> | AsyncIterable<string>,
  options: TrainBpeOptions,
): Promise<Merge[]> {
  const { vocabSize, minFrequency = 1, onProgress } = options;
  if (!Number.isSafeInteger(vocabSize) || vocabSize < 514 || vocabSize > maxVocabSize) {
    throw new Error(`trainBpe: expected vocabSize to be an integer from 514 to ${maxVocabSize}, got ${vocabSize}`);
  }
  const counts = await countWords(captions, onProgress);
  return mergePairs(counts, vocabSize - 514, Math.max(1, minFrequency), onProgress);
}

async function countWords(
  captions: Iterable<string> | AsyncIterable<string>,
  onProgress: TrainBpeOptions["onProgress"],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let done = 0;
  const count = (caption: string): void => {
    for (const word of splitWords(cleanText(caption))) {
      if (!MARKS.openai.includes(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    done++;
    if (done % 10_000 === 0) onProgress?.({ phase: "counting", done });
  };
  // not one `for await`: over an array it costs a turn of the event loop's queue per caption
  if (Symbol.asyncIterator in captions) for await (const caption of captions) count(caption);
  else for (const caption of captions) count(caption);
  onProgress?.({ phase: "counting", done });
  return counts;
}

/** Two ids make one number; the product must stay a safe integer. */
const maxVocabSize = 2 ** 24;
const pairKey = (left: number, right: number): number => left * maxVocabSize + right;

interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Words that had the pair when they were last changed; some may have lost it since. */
  words: number[];
}

/** A pair with its count at the time: counts change, and the heap is corrected when an entry comes up. */
interface Candidate {
  readonly pair: Pair;
  readonly count: number;
}

function comesFirst(a: Candidate, b: Candidate): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right;
}

function mergePairs(
  counts: ReadonlyMap<string, number>,
  mergeCount: number,
  minFrequency: number,
  onProgress: TrainBpeOptions["onProgress"],
): Merge[] {
  const words = Array.from(counts.keys(), byteSymbols);
  const frequencies = Array.from(counts.values());
  const tokens = [...byteCharacters, ...byteCharacters.map((character) => character + endOfWord)];
  const known = new Set(tokens);
  const pairs = createPairs();
  for (const [word, symbols] of words.entries()) pairs.add(word, symbols, frequencies[word] ?? 0);

  const merges: Merge[] = [];
  while (merges.length < mergeCount) {
    const pair = pairs.mostFrequent();
    if (pair === undefined || pair.count < minFrequency) break;
    const left = tokens[pair.left] ?? "";
    const right = tokens[pair.right] ?? "";
    // a + bc after ab + c: one token would get two ids
    if (known.has(left + right)) continue;

    const merged = tokens.length;
    tokens.push(left + right);
    known.add(left + right);
    merges.push([left, right]);
    for (const word of pair.words) {
      const symbols = words[word] ?? [];
      const shorter = mergeEverywhere(symbols, pair.left, pair.right, merged);
      if (shorter.length === symbols.length) continue;
      const frequency = frequencies[word] ?? 0;
      pairs.add(word, symbols, -frequency);
      pairs.add(word, shorter, frequency);
      words[word] = shorter;
    }
    pairs.forget(pair);
    if (merges.length % 100 === 0) onProgress?.({ phase: "merging", done: merges.length, total: mergeCount });
  }
  onProgress?.({ phase: "merging", done: merges.length, total: mergeCount });
  return merges;
}

/** The pairs of neighbouring ids in all words, and how often they occur. */
function createPairs() {
  const pairs = new Map<number, Pair>();
  const heap = createHeap(comesFirst);
  /** Pairs that may be more frequent than the heap knows. */
  const grown = new Set<Pair>();

  return {
    /** Counts a word's pairs; they are no longer there where `times` is negative. */
    add(word: number, symbols: readonly number[], times: number): void {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const left = symbols[i] ?? 0;
        const right = symbols[i + 1] ?? 0;
        const key = pairKey(left, right);
        let pair = pairs.get(key);
        if (pair === undefined) {
          pair = { left, right, count: 0, words: [] };
          pairs.set(key, pair);
        }
        pair.count += times;
        if (times > 0) {
          if (pair.words.at(-1) !== word) pair.words.push(word);
          grown.add(pair);
        }
      }
    },
    forget({ left, right }: Pair): void {
      pairs.delete(pairKey(left, right));
    },
    /** Each pair is given once, unless it is counted again. */
    mostFrequent(): Pair | undefined {
      for (const pair of grown) if (pair.count > 0) heap.push({ pair, count: pair.count });
      grown.clear();
      for (let candidate = heap.pop(); candidate !== undefined; candidate = heap.pop()) {
        const { pair, count } = candidate;
        if (pair.count === count) return pair;
        // an entry with a higher count was pushed if the count grew; only a fall is to be corrected here
        if (pair.count < count && pair.count > 0) heap.push({ pair, count: pair.count });
      }
      return undefined;
    },
  };
}

function mergeEverywhere(symbols: readonly number[], left: number, right: number, merged: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      result.push(merged);
      i++;
    } else result.push(symbols[i] ?? 0);
  }
  return result;
}
