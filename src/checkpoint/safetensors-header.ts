/**
 * The header of a safetensors file, checked in full: nothing behind it needs to be distrusted again.
 * The format: https://github.com/huggingface/safetensors#format
 */
import { quote } from "./quote.ts";
import { isStoredDType, STORED_BYTES } from "./stored-dtypes.ts";
import type { TensorInfo } from "./tensor-file.ts";

/** One tensor's place in the file. */
export interface StoredTensor extends TensorInfo {
  /** First byte, and the one after the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** The official library's bound. */
export const LARGEST_HEADER = 100_000_000;
/** More than any checkpoint has. */
const MOST_TENSORS = 100_000;
/** Brackets, colons and commas; that many tensors of four axes have 1.7 million. */
const MOST_MARKS = 2_000_000;

/**
 * Reads the header's JSON.
 * @param dataSize bytes that the file has behind the header; the tensors must fill them without holes or overlap
 * @throws an error of one line that names the tensor, but not the file
 */
export function parseHeader(bytes: Uint8Array, dataSize: number): SafetensorsHeader {
  const json = parseJson(bytes);
  if (!isObject(json)) throw new Error("the header is no JSON object");
  const metadata = new Map<string, string>();
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(json)) {
    if (name === "__metadata__") {
      if (!isObject(entry)) throw new Error("__metadata__ is no JSON object");
      for (const [key, value] of Object.entries(entry)) {
        if (typeof value !== "string") throw new Error(`__metadata__: ${quote(key)}: expected a string`);
        metadata.set(key, value);
      }
    } else tensors.set(name, parseEntry(name, entry, dataSize));
  }
  checkCoverage(tensors, dataSize);
  return { metadata, tensors };
}

function parseJson(bytes: Uint8Array): unknown {
  const places = outermostNames(bytes);
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new Error("the header is not UTF-8");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error("the header is not JSON");
  }
  // JSON.parse keeps the last of two equal names; which one is meant cannot be known.
  const seen = new Set<string>();
  for (const [begin, end] of places) {
    const name: string = JSON.parse(decoder.decode(bytes.subarray(begin, end)));
    if (seen.has(name)) throw new Error(`tensor ${quote(name)} stands twice in the header`);
    seen.add(name);
  }
  return json;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const [QUOTE, BACKSLASH] = [0x22, 0x5c];

/**
 * Where the names of the outermost object stand, quotes included. Found in the bytes, since a small part of what they
 * may hold takes many times their memory once parsed; they may be no JSON.
 */
function outermostNames(bytes: Uint8Array): (readonly [begin: number, end: number])[] {
  const places: (readonly [number, number])[] = [];
  let [begin, end, depth, marks] = [0, 0, 0, 0];
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        begin = i;
        end = endOfString(bytes, i);
        i = end - 1;
        continue;
      case 0x7b: // {
      case 0x5b: // [
        depth++;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
      case 0x3a: // :
        if (depth === 1) places.push([begin, end]);
        break;
      case 0x2c: // ,
        break;
      default:
        continue;
    }
    if (places.length > MOST_TENSORS) throw new Error(`more than ${MOST_TENSORS} tensors`);
    if (++marks > MOST_MARKS) throw new Error(`a header of more than ${MOST_MARKS} parts`);
  }
  return places;
}

/** Behind the closing quote, or the end. */
function endOfString(bytes: Uint8Array, begin: number): number {
  for (let at = begin + 1; ; at++) {
    at = bytes.indexOf(QUOTE, at);
    if (at < 0) return bytes.length;
    let before = at;
    while (bytes[before - 1] === BACKSLASH) before--;
    if ((at - before) % 2 === 0) return at + 1;
  }
}

function parseEntry(name: string, entry: unknown, dataSize: number): StoredTensor {
  const fail = (what: string): never => {
    throw new Error(`tensor ${quote(name)}: ${what}`);
  };
  if (!isObject(entry)) return fail(`expected a JSON object, got ${quote(entry)}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isStoredDType(dtype)) return fail(dtype === undefined ? "no dtype" : `unknown dtype ${quote(dtype)}`);
  if (!isCounts(shape)) return fail(shape === undefined ? "no shape" : `bad shape ${quote(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) return fail(`bad data_offsets ${quote(offsets)}`);
  const [begin = 0, end = 0] = offsets;
  if (begin > end) return fail(`data_offsets [${begin}, ${end}] are reversed`);
  const expected = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
  if (expected !== end - begin)
    return fail(`${dtype} [${shape}] takes ${expected} bytes, data_offsets hold ${end - begin}`);
  if (end > dataSize) return fail(`its bytes end at ${end}, the file's data at ${dataSize}`);
  return { dtype, shape, begin, end };
}

function checkCoverage(tensors: ReadonlyMap<string, StoredTensor>, dataSize: number): void {
  let covered = 0;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered)
      throw new Error(
        `tensor ${quote(name)}: begins at byte ${begin}, the one before it ends at ${covered}: ${begin < covered ? "they overlap" : "a hole"}`,
      );
    covered = end;
  }
  if (covered !== dataSize) throw new Error(`${dataSize - covered} bytes behind the last tensor`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
