/** JSON files, many of them of strangers: of bounded size, checked against a schema, with errors of one line that name file and field. */
import { readFile, stat } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { z } from "zod";

/** Configurations have a few thousand bytes. */
const LARGEST = 2 ** 24;

/** @throws one line that names the file, if it is not there, too large or no JSON */
export async function readJson(path: string, most = LARGEST): Promise<unknown> {
  const text = await readText(path, most);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: is no JSON: ${lineOf(error)}`);
  }
}

/** What a .json file has, or the default export of a JavaScript module, which runs. @throws one line that names the file */
export async function readDefinition(path: string): Promise<unknown> {
  if (extname(path) === ".json") return readJson(path);
  let module: { readonly default?: unknown };
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    throw new Error(`${path}: ${lineOf(error)}`);
  }
  if (module.default === undefined) throw new Error(`${path}: has no default export`);
  return module.default;
}

/** @throws one line that names the file, if it is not there or too large */
export async function readText(path: string, most = LARGEST): Promise<string> {
  try {
    // Opening a pipe would wait for whoever writes into it.
    const stats = await stat(path);
    if (!stats.isFile()) throw new Error("is no file");
    if (stats.size > most) throw new Error(`has ${stats.size} bytes, expected at most ${most}`);
    return await readFile(path, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Error(`${path}: ${missing ? "there is no such file" : lineOf(error)}`);
  }
}

/**
 * @param name what a message begins with: the file, and what it should be
 * @throws one line that says the first field that is wrong, and what is wrong with it
 */
export function checked<Output>(schema: z.ZodType<Output>, value: unknown, name: string): Output {
  const { data, error } = schema.safeParse(value);
  if (!error) return data;
  const [issue] = error.issues;
  const field = issue?.path.join(".");
  const message = (issue?.message ?? "is wrong")
    .replace(/^Invalid input: (.*), received undefined$/, "is missing, $1")
    .replace(/^Invalid input: /, "");
  throw new Error(`${name}: ${field ? `${field}: ` : ""}${message}`);
}

const lineOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
