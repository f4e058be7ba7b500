/**
 * Checks of a Parquet column's pages before hyparquet reads them: it takes what they say of their sizes on trust, and a run of two billion
 * values in a page of ten bytes ends the process.
 */
import type { Compressors, DataReader, FileMetaData, PageHeader } from "hyparquet";

/** What a page may need of memory. */
const LARGEST_PAGE = 2 ** 31;
/** Those whose values are each of some bytes of the page; DELTA_BYTE_ARRAY's may stand for the whole of the value before. */
const ENCODINGS = new Set([
  ...["PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY"],
  ...["DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "BYTE_STREAM_SPLIT"],
]);

export interface PageCheck {
  /** Of the column alone. */
  readonly column: FileMetaData;
  readonly compressors: Compressors;
  /** hyparquet's: reads the header where the reader stands. */
  readonly header: (reader: DataReader) => PageHeader;
}

/** @param chunk all pages of the column in a row group @param rows of the row group @throws one line without a name */
export function checkPages(chunk: ArrayBuffer, rows: number, { column, compressors, header }: PageCheck): void {
  const reader: DataReader = { view: new DataView(chunk), offset: 0 };
  const levels = column.schema.slice(1).filter(({ repetition_type }) => repetition_type !== "REQUIRED").length;
  if (column.schema.some(({ repetition_type }) => repetition_type === "REPEATED"))
    throw new Error("lists are not read");
  const codec = column.row_groups[0]?.columns[0]?.meta_data?.codec ?? "UNCOMPRESSED";
  let values = 0;
  while (reader.offset < chunk.byteLength - 1) {
    const page = header(reader);
    const { compressed_page_size: stored, uncompressed_page_size: whole } = page;
    const left = chunk.byteLength - reader.offset;
    if (!isCount(stored, left) || !isCount(whole, LARGEST_PAGE))
      throw new Error(`a page of ${stored} bytes, ${whole} uncompressed, where there are ${left}`);
    const [v1, v2] = [page.data_page_header, page.data_page_header_v2];
    const count = (v1 ?? v2 ?? page.dictionary_page_header)?.num_values ?? 0;
    const encoding = (v1 ?? v2)?.encoding;
    if (encoding !== undefined) values += count;
    if (!isCount(count, rows) || !isCount(values, rows))
      throw new Error(`a page of ${count} values among ${rows} rows`);
    const bytes = new Uint8Array(chunk, reader.offset, stored);
    reader.offset += stored;
    if (encoding === undefined) continue;
    if (!ENCODINGS.has(encoding)) throw new Error(`the encoding ${encoding} is not read`);
    const before = v2 ? v2.definition_levels_byte_length + v2.repetition_levels_byte_length : 0;
    if (!isCount(before, stored)) throw new Error(`a page of ${stored} bytes with ${before} of levels`);
    const isPlain = codec === "UNCOMPRESSED" || v2?.is_compressed === false;
    const packed = bytes.subarray(before);
    const plain = isPlain ? packed : inflated(packed, whole - before, compressors[codec], codec);
    let at = 0;
    if (v2) checkRuns(bytes, 0, before, bitsFor(levels), count);
    else if (levels > 0) {
      const length = new DataView(plain.buffer, plain.byteOffset, plain.byteLength).getUint32(0, true);
      at = 4 + length;
      checkRuns(plain, 4, at, bitsFor(levels), count);
    }
    if (encoding.endsWith("_DICTIONARY")) checkRuns(plain, at + 1, plain.length, plain[at] ?? 0, count);
  }
}

/** A field of a damaged header may be of any type: bytes and lists of one number compare like the number. */
const isCount = (value: unknown, most: number): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;

function inflated(
  bytes: Uint8Array,
  length: number,
  inflate: Compressors[keyof Compressors] | undefined,
  codec: string,
): Uint8Array {
  if (!inflate) throw new Error(`the compression ${codec} is not read`);
  return inflate(bytes, length);
}

const bitsFor = (levels: number): number => Math.ceil(Math.log2(levels + 1));

/** Runs of equal values and packs of eight (Parquet's RLE and bit-packed hybrid): none may say more values than there are. */
function checkRuns(bytes: Uint8Array, start: number, end: number, width: number, values: number): void {
  let [at, seen] = [start, 0];
  while (seen < values && at < Math.min(end, bytes.length)) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      header |= (byte & 0x7f) << shift;
      if (!(byte & 0x80)) break;
    }
    const count = header >>> 1;
    if (header & 1) {
      at += count * width;
      seen += count * 8;
    } else {
      if (count > values) throw new Error(`a run of ${count} values in a page of ${values}`);
      at += (width + 7) >> 3;
      seen += count;
    }
  }
}
