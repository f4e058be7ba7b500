/** What the first directory of a TIFF says that the decoder does not pass on. */
export interface TiffHeader {
  /** 1 bit a sample, black and white or a palette: Pillow does not filter these. */
  readonly isBilevel: boolean;
  /** RGB of the palette, 8 bits. */
  readonly palette?: Uint8Array;
  /** What the fourth (or, of gray, the second) sample is. */
  readonly extra: "none" | "unspecified" | "premultiplied" | "alpha";
}

const BITS_PER_SAMPLE = 258;
const PHOTOMETRIC = 262;
const COLOR_MAP = 320;
const EXTRA_SAMPLES = 338;
const WANTED = [BITS_PER_SAMPLE, PHOTOMETRIC, COLOR_MAP, EXTRA_SAMPLES];

/** Undefined for what is no TIFF; tags that point outside the file count as absent (the decoder then says what is wrong). */
export function readTiffHeader(bytes: Uint8Array): TiffHeader | undefined {
  const order = String.fromCharCode(...bytes.subarray(0, 2));
  if (bytes.length < 16 || (order !== "II" && order !== "MM")) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = order === "II";
  const version = view.getUint16(2, little);
  if (version !== 42 && version !== 43) return;
  const tags = readTags(view, little, version === 43);
  const photometric = tags.get(PHOTOMETRIC)?.[0] ?? 0;
  const map = tags.get(COLOR_MAP);
  const extra = tags.get(EXTRA_SAMPLES)?.[0];
  return {
    isBilevel: photometric < 2 && (tags.get(BITS_PER_SAMPLE)?.[0] ?? 1) === 1,
    ...(photometric === 3 && map ? { palette: interleaved(map) } : {}),
    extra: extra === undefined ? "none" : extra === 0 ? "unspecified" : extra === 1 ? "premultiplied" : "alpha",
  };
}

/** Values of the wanted tags; only those of 8 and 16 bits, which is what they are. */
function readTags(view: DataView, little: boolean, isBig: boolean): Map<number, number[]> {
  const word = (at: number): number => (isBig ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const [size, entry, inline] = isBig ? [8, 20, 8] : [4, 12, 4];
  const tags = new Map<number, number[]>();
  const start = word(isBig ? 8 : 4);
  if (start + size > view.byteLength) return tags;
  const count = isBig ? Number(view.getBigUint64(start, little)) : view.getUint16(start, little);
  for (let i = 0, at = start + (isBig ? 8 : 2); i < count && at + entry <= view.byteLength; i++, at += entry) {
    const tag = view.getUint16(at, little);
    if (!WANTED.includes(tag)) continue;
    const bytes = view.getUint16(at + 2, little) === 1 ? 1 : 2;
    const length = Math.min(word(at + 4), 3 * 256);
    const field = at + 4 + size;
    const from = length * bytes <= inline ? field : word(field);
    if (from + length * bytes > view.byteLength) continue;
    tags.set(
      tag,
      Array.from({ length }, (_, k) => (bytes === 1 ? view.getUint8(from + k) : view.getUint16(from + 2 * k, little))),
    );
  }
  return tags;
}

/** All reds, greens and blues of 16 bits to triples of 8. */
function interleaved(map: readonly number[]): Uint8Array {
  const colours = map.length / 3;
  return Uint8Array.from({ length: 3 * colours }, (_, i) => (map[(i % 3) * colours + Math.floor(i / 3)] ?? 0) >> 8);
}
