import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** The version of this package, from the package.json that stands above this file, built or not. */
export function packageVersion(): string {
  const schema = z.looseObject({ name: z.string(), version: z.string() });
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = schema.safeParse(readIfThere(join(folder, "package.json")));
    if (found.success && found.data.name === "clip-ts") return found.data.version;
    if (folder === dirname(folder)) throw new Error("clip-ts: its package.json is not where it was installed");
  }
}

function readIfThere(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
