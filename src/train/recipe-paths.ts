import { existsSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { SourceSpec } from "../data/index.ts";
import type { Recipe } from "./recipe.ts";

/**
 * A recipe with its relative paths as the process finds them.
 * @param folder where they are meant to begin; what is not there stays as it is, and begins in the current folder
 */
export function recipeFrom(recipe: Recipe, folder: string): Recipe {
  const found = (path: string): string => {
    const place = join(folder, path);
    return isAbsolute(path) || resolve(place) === resolve(path) || !existsSync(place) ? path : place;
  };
  const { tokenizer, source } = recipe;
  return {
    ...recipe,
    source: sourceWith(source, found),
    tokenizer: tokenizer.kind === "file" ? { ...tokenizer, path: found(tokenizer.path) } : tokenizer,
  };
}

function sourceWith(source: SourceSpec, found: (path: string) => string): SourceSpec {
  switch (source.kind) {
    case "emoji":
      return { ...source, ...(source.cacheDir !== undefined && { cacheDir: found(source.cacheDir) }) };
    case "table":
      return {
        ...source,
        table: found(source.table),
        ...(source.folder !== undefined && { folder: found(source.folder) }),
      };
    case "sidecar":
      return { ...source, folder: found(source.folder) };
    case "clip-art":
      return { ...source, ...(source.folder !== undefined && { folder: found(source.folder) }) };
  }
}
