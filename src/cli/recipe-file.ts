import { existsSync } from "node:fs";
import { dirname, extname } from "node:path";
import emojiL from "../../recipes/emoji-l.ts";
import emojiS from "../../recipes/emoji-s.ts";
import emojiVit from "../../recipes/emoji-vit.ts";
import { readDefinition } from "../json-file.ts";
import { checkRecipe, type Recipe } from "../train/recipe.ts";
import { recipeFrom } from "../train/recipe-paths.ts";

/** The recipes that come with the package. */
export const RECIPES = { "emoji-s": emojiS, "emoji-vit": emojiVit, "emoji-l": emojiL } as const satisfies Record<
  string,
  Recipe
>;

/** A recipe by name, or from a `.js`, `.mjs` (its default export) or `.json` file, from where its paths are. @throws one line */
export async function loadRecipe(nameOrPath: string): Promise<Recipe> {
  if (Object.hasOwn(RECIPES, nameOrPath)) return RECIPES[nameOrPath as keyof typeof RECIPES];
  const known = Object.keys(RECIPES).join(", ");
  if (!existsSync(nameOrPath)) throw new Error(`no recipe and no file ${nameOrPath}; recipes: ${known}`);
  if (![".js", ".mjs", ".json"].includes(extname(nameOrPath)))
    throw new Error(`${nameOrPath}: a recipe is a .js, .mjs or .json file, or one of ${known}`);
  return recipeFrom(checkRecipe(await readDefinition(nameOrPath), nameOrPath), dirname(nameOrPath));
}
