import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import emojiL from "../../recipes/emoji-l.ts";
import emojiS from "../../recipes/emoji-s.ts";
import emojiVit from "../../recipes/emoji-vit.ts";
import { checkRecipe, type Recipe } from "../train/recipe.ts";

/** The recipes that come with the package. */
export const RECIPES = { "emoji-s": emojiS, "emoji-vit": emojiVit, "emoji-l": emojiL } as const satisfies Record<
  string,
  Recipe
>;

/** A recipe by name, or from a `.js`, `.mjs` (its default export) or `.json` file. @throws one line */
export async function loadRecipe(nameOrPath: string): Promise<Recipe> {
  if (Object.hasOwn(RECIPES, nameOrPath)) return RECIPES[nameOrPath as keyof typeof RECIPES];
  const known = Object.keys(RECIPES).join(", ");
  if (!existsSync(nameOrPath)) throw new Error(`no recipe and no file ${nameOrPath}; recipes: ${known}`);
  switch (extname(nameOrPath)) {
    case ".json":
      return checkRecipe(parsed(await readFile(nameOrPath, "utf8"), nameOrPath), nameOrPath);
    case ".js":
    case ".mjs": {
      const module: { readonly default?: unknown } = await import(pathToFileURL(resolve(nameOrPath)).href).catch(
        (error: unknown) => {
          throw new Error(`${nameOrPath}: ${error instanceof Error ? error.message : error}`);
        },
      );
      if (module.default === undefined) throw new Error(`${nameOrPath}: has no default export`);
      return checkRecipe(module.default, nameOrPath);
    }
    default:
      throw new Error(`${nameOrPath}: a recipe is a .js, .mjs or .json file, or one of ${known}`);
  }
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}
