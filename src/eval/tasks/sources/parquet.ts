/**
 * Parquet files with the bytes of pictures and their labels, as Hugging Face has its data sets. One row group's pictures are in memory at a
 * time; hyparquet reads them, which is JavaScript all through: nothing native need be installed.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { AsyncBuffer, FileMetaData } from "hyparquet";
import { z } from "zod";
import { contentHash, type HashOptions, unreadable } from "../content-hash.ts";
import type { ImagesSpec } from "../images-spec.ts";
import type { LabelledImages } from "../task.ts";
import { filePart } from "./file-part.ts";
import { checkPages } from "./parquet-pages.ts";
import { numbered } from "./path-source.ts";

/** What a footer, one row group's pictures and a table's rows may need of memory. */
const LARGEST_FOOTER = 1 << 28;
const LARGEST_GROUP = 2 ** 31;
const MOST_ROWS = 2 ** 27;
const MOST_GROUP_ROWS = 2 ** 24;

interface Group {
  readonly path: string;
  readonly size: number;
  /** Of one column and this row group alone. */
  readonly pictures: FileMetaData;
  readonly labels: FileMetaData;
  /** In the file. */
  readonly start: number;
  readonly end: number;
  /** Number of its first picture among all. */
  readonly first: number;
}

/** The `.parquet` files of a path: itself, or those in a folder whose names begin with the split's, if any do. */
export async function parquetFiles(path: string, split?: string): Promise<string[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (!found.isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => name.endsWith(".parquet")).sort();
  const own = split === undefined ? names : names.filter((name) => name.startsWith(split));
  return own.map((name) => join(path, name));
}

/** @throws one line that names the file and what is wrong with it */
export async function openParquet(
  { path, files: given, imageColumn = "image", labelColumn = "label" }: ImagesSpec & { kind: "parquet" },
  options: HashOptions = {},
): Promise<LabelledImages> {
  const files = given ?? (await parquetFiles(path));
  if (files.length === 0) throw new Error(`${path}: expected files that end in .parquet, got none`);
  const groups: Group[] = [];
  const found: (string | number)[] = [];
  let names: readonly string[] | undefined;
  for (const file of files) {
    const table = await openFile(file, found.length, imageColumn, labelColumn);
    groups.push(...table.groups);
    names ??= table.classNames;
    for (const group of table.groups) for (const label of await labelsOf(group, labelColumn)) found.push(label);
  }
  if (found.length === 0) throw new Error(`${path}: expected pictures, got none`);
  const { labels, classNames } = classesOf(path, found, names);
  const count = found.length;
  const load = groupLoader(imageColumn);
  const groupAt = (index: number): Group => {
    const group = index >= 0 && index < count ? groups.findLast(({ first }) => first <= index) : undefined;
    if (!group) throw new Error(`${path}: picture must be in 0 .. ${count - 1}, got ${index}`);
    return group;
  };
  const describe = (index: number): string => {
    const group = groupAt(index);
    return `${group.path} row ${group.start + index - group.first}`;
  };
  return {
    name: path,
    count,
    classNames,
    labels: Int32Array.from(labels),
    contentHash: await contentHash(`parquet ${imageColumn}`, files, options),
    image: async (index) => {
      const group = groupAt(index);
      const bytes = (await load(group))[index - group.first];
      if (bytes === undefined) throw new Error(`${describe(index)}: has no picture in ${JSON.stringify(imageColumn)}`);
      return bytes;
    },
    describe,
  };
}

interface OpenFile {
  readonly groups: readonly Group[];
  /** Of a label column that Hugging Face's `datasets` wrote. */
  readonly classNames: readonly string[] | undefined;
}

async function openFile(path: string, first: number, imageColumn: string, labelColumn: string): Promise<OpenFile> {
  const { parquetMetadataAsync } = await import("hyparquet");
  const { size } = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  await checkFooter(path, size);
  const metadata = await reading(path, size, (file) => parquetMetadataAsync(file));
  const [pictures, labels] = [columnOf(path, metadata, imageColumn), columnOf(path, metadata, labelColumn)];
  const groups: Group[] = [];
  let start = 0;
  for (const [i, { num_rows }] of metadata.row_groups.entries()) {
    const rows = Number(num_rows);
    if (!(rows >= 0 && rows <= MOST_GROUP_ROWS && first + start + rows <= MOST_ROWS))
      throw new Error(`${path}: ${num_rows} rows are too many`);
    const own = { path, size, pictures: groupOf(path, pictures, i), labels: groupOf(path, labels, i) };
    groups.push({ ...own, start, end: start + rows, first: first + start });
    start += rows;
  }
  return { groups, classNames: classNamesIn(metadata, labelColumn) };
}

/** What the footer says of one column, and of a struct of it only the bytes: what is not read cannot be wrong. */
function columnOf(path: string, metadata: FileMetaData, name: string): FileMetaData {
  const { schema } = metadata;
  const subtree = (at: number, depth = 0): number => {
    let size = 1;
    if (depth > 100) throw new Error(`${path}: cannot be read as Parquet: its schema is too deep`);
    for (let i = 0; i < (schema[at]?.num_children ?? 0); i++) size += subtree(at + size, depth + 1);
    return size;
  };
  const names: string[] = [];
  for (let at = 1; at < schema.length; at += subtree(at)) {
    const [root, element, ...below] = [schema[0], schema[at], ...schema.slice(at + 1, at + subtree(at))];
    if (element?.name !== name || !root) {
      names.push(element?.name ?? "");
      continue;
    }
    const bytes = below.find((child) => child.name === "bytes" && !child.num_children);
    const own = bytes ? [{ ...element, num_children: 1 }, bytes] : [element];
    const leaf = own.map((one) => one.name).join(".");
    const row_groups = metadata.row_groups.map((group) => ({
      ...group,
      columns: group.columns.filter(({ meta_data: chunk }) => chunk?.path_in_schema.join(".") === leaf),
    }));
    return { ...metadata, schema: [{ ...root, num_children: 1 }, ...own], row_groups };
  }
  const quoted = JSON.stringify(name);
  throw new Error(`${path}: expected a column ${quoted}, got ${names.slice(0, 20).join(", ").slice(0, 200)}`);
}

/** One row group of a column, whose sizes are checked. */
function groupOf(path: string, column: FileMetaData, index: number): FileMetaData {
  const group = column.row_groups[index];
  const chunk = group?.columns[0]?.meta_data;
  if (!group || !chunk || group.columns.length !== 1)
    throw new Error(`${path}: row group ${index} has no ${JSON.stringify(column.schema[1]?.name)}`);
  const bytes = Math.max(Number(chunk.total_uncompressed_size), Number(chunk.total_compressed_size));
  if (!(bytes >= 0 && bytes <= LARGEST_GROUP && Number(chunk.num_values) <= MOST_ROWS))
    throw new Error(`${path}: row group ${index} has ${bytes} bytes, more than ${LARGEST_GROUP}`);
  return { ...column, num_rows: group.num_rows, row_groups: [group] };
}

/** Reads with hyparquet, and waits for all parts that it asked for, which it does not where one of them fails. */
async function reading<T>(
  path: string,
  size: number,
  read: (file: AsyncBuffer) => Promise<T>,
  check: (part: ArrayBuffer) => void = () => {},
): Promise<T> {
  const parts: Promise<ArrayBuffer>[] = [];
  const slice = async (start: number, end: number): Promise<ArrayBuffer> => {
    // A part that a hostile footer names may lie anywhere.
    if (!(start >= 0 && start <= end && end <= size && end - start <= LARGEST_GROUP))
      throw new Error(`expected a part of its ${size} bytes, got ${start} to ${end}`);
    const { buffer, byteOffset, byteLength } = await filePart(path, start, end - start);
    if (!(buffer instanceof ArrayBuffer)) throw new Error("expected bytes of its own");
    const part = buffer.slice(byteOffset, byteOffset + byteLength);
    check(part);
    return part;
  };
  const file: AsyncBuffer = {
    byteLength: size,
    slice: (start, end = size) => {
      const part = slice(start, end);
      parts.push(part);
      return part;
    },
  };
  try {
    return await read(file);
  } catch (error) {
    await Promise.allSettled(parts);
    const message = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Error(`${path}: cannot be read as Parquet: ${message?.slice(0, 200)}`);
  }
}

async function checkFooter(path: string, size: number): Promise<void> {
  if (size < 12) throw new Error(`${path}: is no Parquet file: it has ${size} bytes`);
  const end = await filePart(path, size - 8, 8);
  const view = new DataView(end.buffer, end.byteOffset);
  if (view.getUint32(4, true) !== 0x31524150) throw new Error(`${path}: is no Parquet file: it does not end in PAR1`);
  const length = view.getUint32(0, true);
  if (length > Math.min(LARGEST_FOOTER, size - 8))
    throw new Error(`${path}: a footer of ${length} bytes in a file of ${size}`);
}

const hubInfo = z.object({
  info: z.object({ features: z.record(z.string(), z.looseObject({ names: z.optional(z.array(z.string())) })) }),
});

function classNamesIn({ key_value_metadata: entries = [] }: FileMetaData, column: string): string[] | undefined {
  const text = entries.find(({ key }) => key === "huggingface")?.value;
  if (text === undefined) return undefined;
  try {
    const { features } = hubInfo.parse(JSON.parse(text)).info;
    return Object.hasOwn(features, column) ? features[column]?.names : undefined;
  } catch {
    return undefined; // it says nothing of classes
  }
}

/** The cells of a row group's column. */
async function cellsOf({ path, size, start, end }: Group, metadata: FileMetaData, column: string): Promise<unknown[]> {
  const { parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const { parquetHeader } = await import("hyparquet/src/column.js");
  const rows = await reading(
    path,
    size,
    (file) => parquetReadObjects({ file, metadata, columns: [column], compressors, utf8: false }),
    (part) => checkPages(part, end - start, { column: metadata, compressors, header: parquetHeader }),
  );
  if (rows.length !== end - start) throw new Error(`${path}: expected ${end - start} rows, got ${rows.length}`);
  return rows.map((row): unknown => row[column]);
}

async function labelsOf(group: Group, column: string): Promise<(string | number)[]> {
  return (await cellsOf(group, group.labels, column)).map((value, i) => {
    if (typeof value === "string" && value !== "") return value;
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
    const got = String(value).slice(0, 40);
    throw new Error(`${group.path}: row ${group.start + i}: expected a class in ${JSON.stringify(column)}, got ${got}`);
  });
}

function classesOf(
  path: string,
  found: readonly (string | number)[],
  names: readonly string[] | undefined,
): { readonly labels: readonly number[]; readonly classNames: readonly string[] } {
  const words = found.filter((label) => typeof label === "string");
  if (words.length === found.length) return numbered(words);
  const numbers = found.filter((label) => typeof label === "number");
  if (numbers.length < found.length) throw new Error(`${path}: some labels are numbers and some are texts`);
  const most = numbers.reduce((max, label) => Math.max(max, label), 0);
  if (most >= (names?.length ?? 1 << 20))
    throw new Error(`${path}: expected classes below ${names?.length}, got ${most}`);
  return { labels: numbers, classNames: names ?? Array.from({ length: most + 1 }, (_, i) => String(i)) };
}

/** The pictures of a row group; those of the two that were used last stay in memory. */
function groupLoader(column: string): (group: Group) => Promise<readonly (Uint8Array | undefined)[]> {
  const held: { readonly group: Group; readonly pictures: Promise<readonly (Uint8Array | undefined)[]> }[] = [];
  return (group) => {
    const known = held.find((entry) => entry.group === group);
    if (known) return known.pictures;
    const pictures = picturesOf(group, column);
    held.unshift({ group, pictures });
    held.length = Math.min(held.length, 2);
    return pictures;
  };
}

async function picturesOf(group: Group, column: string): Promise<readonly (Uint8Array | undefined)[]> {
  return (await cellsOf(group, group.pictures, column)).map((cell) => {
    if (cell instanceof Uint8Array) return cell;
    if (typeof cell !== "object" || cell === null || !("bytes" in cell)) return undefined;
    return cell.bytes instanceof Uint8Array ? cell.bytes : undefined;
  });
}
