import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version of this package, from the package.json that stands above this file, built or not. */
export function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = readIfThere(join(folder, "package.json"));
    if (isOurs(found)) return found.version;
    if (folder === dirname(folder)) throw new Error("clip-ts: its package.json is not where it was installed");
  }
}

/** Checked by hand: every start of the command asks. */
const isOurs = (json: unknown): json is { readonly version: string } =>
  typeof json === "object" &&
  json !== null &&
  "name" in json &&
  json.name === "clip-ts" &&
  "version" in json &&
  typeof json.version === "string";

function readIfThere(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
