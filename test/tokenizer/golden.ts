import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const folder = join(import.meta.dirname, "..", "golden", "tokenizer");

/** The caller says the type: the files are ours, copied from the reference fixtures. */
export function golden<T>(name: string): T {
  const bytes = readFileSync(join(folder, name));
  const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return JSON.parse(text) as T;
}
