import { byteIds } from "./bytes.ts";
import { createHeap } from "./heap.ts";

/**
 * Which token two neighbouring tokens merge into. Ids grow with the rank of the merge, so the lowest id is also the
 * merge that comes first. An open-addressing table: a third of the time of a `Map` with numbers beyond 31 bits as keys.
 */
export interface MergeTable {
  set(left: number, right: number, merged: number): void;
  /** The merged id, or `noMerge`. */
  get(left: number, right: number): number;
}

export const noMerge = 0x7fffffff;

/** `capacity` is the number of merges that will be set. */
export function createMergeTable(capacity: number): MergeTable {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(16, capacity * 2)));
  const mask = slots - 1;
  // [left + 1, right, merged] a slot; 0 in the first place means free
  const table = new Int32Array(slots * 3);

  function slotOf(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & mask;
    while (table[slot * 3] !== 0 && (table[slot * 3] !== left + 1 || table[slot * 3 + 1] !== right)) {
      slot = (slot + 1) & mask;
    }
    return slot * 3;
  }

  return {
    set(left, right, merged) {
      const slot = slotOf(left, right);
      table[slot] = left + 1;
      table[slot + 1] = right;
      table[slot + 2] = merged;
    },
    get(left, right) {
      const slot = slotOf(left, right);
      return table[slot] === 0 ? noMerge : (table[slot + 2] ?? noMerge);
    },
  };
}

const utf8 = new TextEncoder();

/** The ids of a word's bytes, the last one in its end-of-word form. */
export function byteSymbols(word: string): number[] {
  const bytes = utf8.encode(word);
  const symbols = new Array<number>(bytes.length);
  for (let i = 0; i < bytes.length; i++) symbols[i] = byteIds[bytes[i] ?? 0] ?? 0;
  const last = symbols.length - 1;
  if (last >= 0) symbols[last] = (symbols[last] ?? 0) + 256;
  return symbols;
}

/** Above this length the quadratic scan loses to a heap; no ordinary word is so long. */
const scanLimit = 96;

/** Byte-pair encodes one word: the earliest merge first, the leftmost of equal ones first, until none applies. */
export function encodeWord(word: string, merges: MergeTable): number[] {
  const symbols = byteSymbols(word);
  return symbols.length <= scanLimit ? mergeByScan(symbols, merges) : mergeByHeap(symbols, merges);
}

export function mergeByScan(symbols: number[], merges: MergeTable): number[] {
  for (;;) {
    let best = noMerge;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const merged = merges.get(symbols[i] ?? 0, symbols[i + 1] ?? 0);
      if (merged < best) {
        best = merged;
        at = i;
      }
    }
    if (at < 0) return symbols;
    symbols[at] = best;
    symbols.splice(at + 1, 1);
  }
}

/**
 * The same in n log n, so that a megabyte without a space does not hang a server. A linked list of symbols, and a heap
 * of candidates ordered by merged id, then position. Equal to the scan because a merge only makes later merges possible.
 */
export function mergeByHeap(symbols: readonly number[], merges: MergeTable): number[] {
  const count = symbols.length;
  const symbol = Int32Array.from(symbols);
  const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const gone = new Uint8Array(count);
  const heap = createHeap<number>((a, b) => a < b);

  function mergedAt(position: number): number {
    const after = next[position] ?? -1;
    return after < 0 ? noMerge : merges.get(symbol[position] ?? 0, symbol[after] ?? 0);
  }
  function offer(position: number): void {
    const merged = mergedAt(position);
    if (merged !== noMerge) heap.push(merged * count + position);
  }

  for (let i = 0; i + 1 < count; i++) offer(i);
  for (let candidate = heap.pop(); candidate !== undefined; candidate = heap.pop()) {
    const merged = Math.floor(candidate / count);
    const position = candidate % count;
    if (gone[position] === 1 || mergedAt(position) !== merged) continue; // outdated by an earlier merge
    const eaten = next[position] ?? -1;
    const after = next[eaten] ?? -1;
    symbol[position] = merged;
    gone[eaten] = 1;
    next[position] = after;
    if (after >= 0) previous[after] = position;
    const before = previous[position] ?? -1;
    if (before >= 0) offer(before);
    offer(position);
  }

  const result: number[] = [];
  for (let i = count === 0 ? -1 : 0; i >= 0; i = next[i] ?? -1) result.push(symbol[i] ?? 0);
  return result;
}
