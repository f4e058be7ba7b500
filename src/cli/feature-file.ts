/**
 * Files of features that grow: rows and the log of inputs go into two files beside the result, flushed a batch at a time, so
 * that a run that was stopped goes on; at the end the header gets the number of rows and both get their names.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { featureHeader, HEADER_BYTES, type RowFormat, rowBytes } from "./feature-rows.ts";
import { splitLines } from "./lines.ts";

export const FEATURE_FORMATS = ["safetensors", "npy", "jsonl"] as const satisfies readonly RowFormat[];

/** What the rows are of; a run goes on only with the same. */
export interface FeatureMeaning {
  /** Of the model. */
  readonly fingerprint: string;
  readonly width: number;
  readonly normalized: boolean;
  readonly kind: "images" | "texts";
  readonly longText: string;
}

/** An input and its row, or why it has none. */
export type Entry =
  | { readonly name: string; readonly features: Float32Array }
  | { readonly name: string; readonly error: string };

/** An input in the log. */
export interface Logged {
  readonly name: string;
  readonly error?: string;
}

export interface FeatureFile {
  /** Inputs that an earlier run has done, in order: they are not to be given again. */
  done(): AsyncGenerator<Logged>;
  append(entries: readonly Entry[]): Promise<void>;
  /**
   * Makes the result, and beside it (but for .jsonl, which has them) the names of its rows, and where there are some, the
   * inputs without a row. Nothing is made where there are no rows.
   */
  finish(): Promise<{ readonly rows: number; readonly failed: number }>;
  /** Keeps what is there for a later run. */
  pause(): Promise<void>;
}

export function featureFormat(path: string): RowFormat {
  const format = FEATURE_FORMATS.find((name) => path.endsWith(`.${name}`));
  if (!format) throw new Error(`${path}: expected a name that ends in .${FEATURE_FORMATS.join(", .")}`);
  return format;
}

/** Names of a file's rows, a JSON string a line. */
export const namesPath = (path: string): string => `${path}.names.jsonl`;
/** Inputs that have no row: a line of JSON each, with name and error. */
export const errorsPath = (path: string): string => `${path}.errors.jsonl`;

const partialPaths = (path: string) => ({ rows: `${path}.partial`, log: `${path}.partial.log` });

/**
 * Opens what an earlier run left, or begins.
 * @throws one line if that run had another model or other options
 */
export async function openFeatureFile(path: string, meaning: FeatureMeaning): Promise<FeatureFile> {
  const format = featureFormat(path);
  const partial = partialPaths(path);
  const first = `${JSON.stringify({ format, ...meaning })}\n`;
  const found = await recover(partial, first);
  const [rows, log] = [await open(partial.rows, found ? "r+" : "w+"), await open(partial.log, found ? "r+" : "w+")];
  const state = found ?? { count: 0, failed: 0, rowsEnd: format === "jsonl" ? 0 : HEADER_BYTES, logEnd: 0 };
  await rows.truncate(state.rowsEnd);
  await log.truncate(state.logEnd);
  if (!found) state.logEnd += await writeAt(log, Buffer.from(first), 0);

  return {
    done: () => logged(partial.log),
    async append(entries) {
      const pieces: Uint8Array[] = [];
      const lines: string[] = [];
      let end = state.rowsEnd;
      for (const entry of entries) {
        if ("error" in entry) {
          lines.push(JSON.stringify({ name: entry.name, error: entry.error }));
          continue;
        }
        const bytes = rowBytes(entry, format);
        pieces.push(bytes);
        end += bytes.length;
        lines.push(JSON.stringify({ name: entry.name, end }));
      }
      state.rowsEnd += await writeAt(rows, Buffer.concat(pieces), state.rowsEnd);
      state.count += pieces.length;
      state.failed += entries.length - pieces.length;
      await rows.datasync(); // before the log says that they are there
      state.logEnd += await writeAt(log, Buffer.from(lines.map((line) => `${line}\n`).join("")), state.logEnd);
      await log.datasync();
    },
    async finish() {
      if (state.count === 0) {
        await rows.close();
        await log.close();
        await rm(partial.rows);
        await rm(partial.log);
        return { rows: 0, failed: state.failed };
      }
      if (format !== "jsonl") await writeAt(rows, featureHeader(format, state.count, meaning), 0);
      await rows.sync();
      await rows.close();
      await log.close();
      if (format !== "jsonl") await writeFileAtomic(namesPath(path), nameLines(partial.log));
      const { count: rowCount, failed } = state;
      if (failed > 0) await writeFileAtomic(errorsPath(path), errorLines(partial.log));
      else await rm(errorsPath(path), { force: true });
      await rename(partial.rows, path);
      await rm(partial.log);
      return { rows: rowCount, failed };
    },
    async pause() {
      await rows.close();
      await log.close();
    },
  };
}

interface Found {
  /** Rows. */
  count: number;
  /** Inputs without one. */
  failed: number;
  rowsEnd: number;
  logEnd: number;
}

/** Where rows and log of an earlier run end that belong together; what was written after that was cut off with it. */
async function recover(partial: ReturnType<typeof partialPaths>, first: string): Promise<Found | undefined> {
  const [rows, log] = await Promise.all([partial.rows, partial.log].map((file) => stat(file).catch(() => undefined)));
  if (!rows || !log) return undefined;
  let found: Found | undefined;
  for await (const line of linesOf(partial.log)) {
    const bytes = Buffer.byteLength(line) + 1;
    if (!found) {
      if (bytes > log.size) return undefined; // cut off in its first line: nothing is lost
      if (`${line}\n` !== first)
        throw new Error(`${partial.rows}: is of another model or other options; remove it to begin anew`);
      found = { count: 0, failed: 0, rowsEnd: first.includes('"format":"jsonl"') ? 0 : HEADER_BYTES, logEnd: bytes };
      continue;
    }
    const entry = entryOf(line);
    const end = entry?.end ?? found.rowsEnd;
    if (!entry || found.logEnd + bytes > log.size || end > rows.size) break;
    if (entry.end === undefined) found.failed++;
    else found.count++;
    found.rowsEnd = end;
    found.logEnd += bytes;
  }
  return found;
}

async function* logged(path: string): AsyncGenerator<Logged> {
  let isFirst = true;
  for await (const line of linesOf(path)) {
    const entry = isFirst ? undefined : entryOf(line);
    isFirst = false;
    if (entry) yield entry.error === undefined ? { name: entry.name } : { name: entry.name, error: entry.error };
  }
}

async function* nameLines(path: string): AsyncGenerator<Uint8Array> {
  for await (const { name, error } of logged(path))
    if (error === undefined) yield Buffer.from(`${JSON.stringify(name)}\n`);
}

const linesOf = (path: string): AsyncIterable<string> => splitLines(createReadStream(path));

async function* errorLines(path: string): AsyncGenerator<Uint8Array> {
  for await (const entry of logged(path))
    if (entry.error !== undefined) yield Buffer.from(`${JSON.stringify(entry)}\n`);
}

/** A line of the log, or nothing if it was not written whole. */
function entryOf(line: string): (Logged & { readonly end?: number }) | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("name" in value) || typeof value.name !== "string")
    return undefined;
  const { name } = value;
  if ("end" in value && typeof value.end === "number") return { name, end: value.end };
  return "error" in value && typeof value.error === "string" ? { name, error: value.error } : undefined;
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
  return bytes.length;
}
