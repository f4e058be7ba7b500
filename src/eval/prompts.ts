import { emojiTemplates } from "../data/index.ts";

/** Prompts by name, `{}` being the label. Several are an ensemble: their features are averaged (CLIP, section 3.1.4). */
export const TEMPLATES = {
  /** The label alone. */
  bare: ["{}"],
  /** The paper's default. */
  photo: ["a photo of a {}."],
  "emoji-single": ["an emoji of {}"],
  emoji: emojiTemplates,
} as const satisfies Record<string, readonly string[]>;

export type TemplatesName = keyof typeof TEMPLATES;

/** Prompts by name, or a text with `{}` as the only prompt. @throws one line */
export function templatesOf(nameOrText: string): readonly string[] {
  if (Object.hasOwn(TEMPLATES, nameOrText)) return TEMPLATES[nameOrText as TemplatesName];
  if (nameOrText.includes("{}")) return [nameOrText];
  throw new Error(`prompts: expected one of ${Object.keys(TEMPLATES).join(", ")} or a text with {}, got ${nameOrText}`);
}
