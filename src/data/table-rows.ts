import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { parse } from "csv-parse";

/** One row of a table: which picture, what is said of it, where it stands. */
export interface TableRow {
  readonly line: number;
  readonly image: string;
  readonly captions: readonly string[];
}

export interface TableColumns {
  readonly image: string;
  readonly caption: string;
}

/** No caption is longer; a quote that is never closed must not swallow a table of gigabytes. */
const maxRecordCharacters = 1 << 20;

const LINE_FEED = 10;

/** Rows of a CSV, TSV or JSON Lines file, by its extension. @throws one line with the file and the line. */
export function readRows(file: string, columns: TableColumns): AsyncGenerator<TableRow> {
  const extension = /\.([^.]*)$/.exec(file)?.[1]?.toLowerCase();
  switch (extension) {
    case "csv":
      return readCsv(file, columns, ",");
    case "tsv":
      return readCsv(file, columns, "\t");
    case "jsonl":
    case "ndjson":
      return readJsonLines(file, columns);
    default:
      throw new Error(`${file}: expected a table that ends in .csv, .tsv or .jsonl`);
  }
}

async function* readText(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of createReadStream(file)) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError)
      throw new Error(`${file}: line ${await firstWrongLine(file)}: expected UTF-8, got another encoding`);
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Error(missing ? `${file}: there is no such file` : `${file}: cannot be read: ${error}`);
  }
}

/** The first line that is not UTF-8. Lines are decoded one by one, since no character has a line feed among its bytes. */
async function firstWrongLine(file: string): Promise<number> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  try {
    for await (const chunk of createReadStream(file)) {
      const bytes: Uint8Array = chunk;
      let from = 0;
      for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, from)) {
        decoder.decode(bytes.subarray(from, end));
        from = end + 1;
        line++;
      }
      decoder.decode(bytes.subarray(from), { stream: true });
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return line; // or it is cut off in its last character
}

async function* readCsv(file: string, columns: TableColumns, delimiter: string): AsyncGenerator<TableRow> {
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: maxRecordCharacters,
  });
  let reading: Error | undefined;
  pipeline(readText(file), parser, (error) => {
    reading = error ?? undefined;
  });
  let imageAt = -1;
  let captionAt = -1;
  let header: readonly string[] | undefined;
  try {
    for await (const item of parser) {
      const { record, info }: { record: readonly string[]; info: { lines: number } } = item;
      if (!header) {
        header = record;
        imageAt = columnAt(file, header, columns.image);
        captionAt = columnAt(file, header, columns.caption);
        continue;
      }
      const cell = (at: number, name: string): string => nonEmpty(record[at], file, info.lines, name);
      yield {
        line: info.lines,
        image: cell(imageAt, columns.image),
        captions: [cell(captionAt, columns.caption)],
      };
    }
  } catch (error) {
    const { message } = reading ?? (error instanceof Error ? error : new Error(String(error)));
    throw new Error(message.startsWith(file) ? message : `${file}: ${oneLine(message)}`);
  }
}

function columnAt(file: string, header: readonly string[], name: string): number {
  const at = header.indexOf(name);
  const quoted = JSON.stringify(name);
  if (at < 0) {
    const has = header.map((column) => JSON.stringify(column)).join(", ");
    throw new Error(`${file}: line 1: expected a header with a column ${quoted}, got ${has.slice(0, 200)}`);
  }
  if (header.lastIndexOf(name) !== at) throw new Error(`${file}: line 1: column ${quoted} is there twice`);
  return at;
}

async function* readJsonLines(file: string, columns: TableColumns): AsyncGenerator<TableRow> {
  let line = 0;
  for await (const text of readLines(file)) {
    line++;
    if (text.trim() === "") continue;
    let row: unknown;
    try {
      row = JSON.parse(text);
    } catch (error) {
      throw new Error(`${file}: line ${line}: expected JSON: ${oneLine(error instanceof Error ? error.message : "")}`);
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      throw new Error(`${file}: line ${line}: expected an object, got ${kindOf(row)}`);
    }
    const fields = new Map<string, unknown>(Object.entries(row));
    const image = nonEmpty(fields.get(columns.image), file, line, columns.image);
    const name = fields.has(columns.caption) ? columns.caption : "captions";
    const said = fields.get(name);
    const list: readonly unknown[] = Array.isArray(said) ? said : [fields.has(name) ? said : undefined];
    if (list.length === 0) throw new Error(`${file}: line ${line}: ${JSON.stringify(name)} is an empty list`);
    const shown = fields.has(name) ? name : columns.caption;
    yield { line, image, captions: list.map((caption) => nonEmpty(caption, file, line, shown)) };
  }
}

/** Lines without their ends and without a byte order mark. */
async function* readLines(file: string): AsyncGenerator<string> {
  let rest = "";
  let count = 0;
  for await (const text of readText(file)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxRecordCharacters) {
      throw new Error(`${file}: line ${count + lines.length + 1}: more than ${maxRecordCharacters} characters`);
    }
    count += lines.length;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

function nonEmpty(value: unknown, file: string, line: number, column: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  const got = value === undefined ? "nothing" : value === "" ? "an empty one" : kindOf(value);
  throw new Error(`${file}: line ${line}: expected a text in ${JSON.stringify(column)}, got ${got}`);
}

/** Parsers quote what they stumbled over, line breaks included. */
const oneLine = (message: string): string => message.replace(/\s+/g, " ").trim();

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") return "only white space";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
