/**
 * sentencepiece's normalisation, compiled into a model: a trie of byte strings and what each becomes. Own code: the JavaScript
 * libraries approximate it by NFKC, which treats joiners and younger characters otherwise.
 */

/** Longest string of bytes looked up at one place; sentencepiece's own rules have at most 18. */
const LONGEST = 64;

/**
 * @param charsmap a 32-bit length, a Darts-clone double array of that many bytes, then replacements that end with 0
 *   (`NormalizerSpec.precompiled_charsmap`)
 * @returns the function that replaces, from the left, the longest string that the map knows
 * @throws one line if the bytes cannot be such a map
 */
export function precompiledNormalizer(charsmap: Uint8Array): (text: string) => string {
  if (charsmap.length === 0) return (text) => text;
  const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.byteLength);
  const size = charsmap.length < 4 ? -1 : view.getUint32(0, true);
  if (size < 0 || size % 4 !== 0 || 4 + size > charsmap.length)
    throw new Error(`charsmap: expected a trie of at most ${Math.max(charsmap.length - 4, 0)} bytes, got ${size}`);
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = charsmap.subarray(4 + size);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const replacementAt = (offset: number): string => {
    const end = replacements.indexOf(0, offset);
    return decoder.decode(replacements.subarray(offset, end < 0 ? undefined : end));
  };

  /** The longest known string at a place: how long it is, and where its replacement stands; length 0 if there is none. */
  function longest(bytes: Uint8Array, from: number): { readonly length: number; readonly offset: number } {
    let found = { length: 0, offset: 0 };
    let unit = units[0] ?? 0;
    let place = offsetOf(unit);
    for (let i = 0; i < LONGEST && from + i < bytes.length; i++) {
      const label = bytes[from + i] ?? 0;
      place ^= label;
      unit = units[place] ?? 0;
      if (labelOf(unit) !== label) break;
      place ^= offsetOf(unit);
      if (hasLeaf(unit)) found = { length: i + 1, offset: (units[place] ?? 0) & 0x7fffffff };
    }
    return found;
  }

  return (text) => {
    const bytes = new TextEncoder().encode(text);
    let out = "";
    let kept = 0;
    for (let i = 0; i < bytes.length; ) {
      const { length, offset } = longest(bytes, i);
      if (length === 0) {
        i += bytesOf(bytes[i] ?? 0);
        continue;
      }
      out += decoder.decode(bytes.subarray(kept, i)) + replacementAt(offset);
      i += length;
      kept = i;
    }
    return out + decoder.decode(bytes.subarray(kept));
  };
}

// Units of Darts-clone's double array: bit 8 says whether a string ends here, bits 10 to 30 the offset of the children, which bit 9
// shifts by 8; the highest bit is set in leaves.
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1;

/** How many bytes the UTF-8 character has that begins with this one. */
const bytesOf = (first: number): number => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);
