import {
  type EmojiPackages,
  type EmojiVendor,
  emojiVendors,
  type IconSet,
  trainingVendors,
  type UnicodeEmoji,
} from "./emoji-packages.ts";

/** What a drawing shows: one entry of Unicode's list. */
export interface EmojiConcept {
  readonly emoji: string;
  /** Lower case, without punctuation that captions lack: "flag of france", "star struck". */
  readonly name: string;
  readonly keywords: readonly string[];
  readonly group: string;
  readonly subgroup: string;
  /** Kept out of training altogether: no drawing and no caption of it is trained on. */
  readonly unseen: boolean;
}

export interface EmojiDrawing {
  readonly vendor: EmojiVendor;
  /** Index into the concepts. */
  readonly concept: number;
  /** The icon's name in the vendor's set. */
  readonly icon: string;
}

export interface JoinedEmoji {
  readonly concepts: readonly EmojiConcept[];
  /** Vendor by vendor, training vendors first. */
  readonly drawings: readonly EmojiDrawing[];
}

/** Sets whose own list of code points is taken as the truth about names, aliases included. */
const namingVendors: readonly EmojiVendor[] = ["twemoji", "openmoji", "fluent-emoji-flat"];

const variationSelector = "fe0f";
const skinTone = /1f3f[b-f]/;
const skinToneName = /-(light|medium|dark)(-|$)/;

const withoutSelector = (hex: string): string =>
  hex
    .split("-")
    .filter((codePoint) => codePoint !== variationSelector)
    .join("-");

const hexOf = (emoji: string): string =>
  withoutSelector([...emoji].map((character) => character.codePointAt(0)?.toString(16)).join("-"));

/** The form in which icon sets spell names: "star-struck". */
const slugOf = (text: string): string =>
  text
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/&/g, "and")
    .replace(/[’'“”"!.,():]/g, "")
    .replace(/[^a-z0-9#*]+/g, "-")
    .replace(/^-|-$/g, "");

/** The form in which captions spell names and keywords. */
const captionForm = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[_\-–—]+/g, " ")
    .replace(/[’]/g, "'")
    .replace(/[“”"]/g, "")
    .replace(/\s+/g, " ")
    .trim();

/** Follows aliases to the name of an icon. */
function resolveAlias(set: IconSet, name: string): string {
  for (let hops = 0; hops < 5 && !set.icons.has(name); hops++) {
    const parent = set.aliases.get(name);
    if (parent === undefined) break;
    name = parent;
  }
  return name;
}

/**
 * Which drawing shows which concept. Sets that list code points join by these; names learned there (descriptions,
 * icon names, aliases) join the others.
 */
export function joinEmoji(packages: EmojiPackages): JoinedEmoji {
  const names = learnNames(packages);
  const iconsOf = new Map(emojiVendors.map((vendor) => [vendor, joinVendor(vendor, packages.sets[vendor], names)]));

  const trainingVendorsOf = (entry: UnicodeEmoji): number =>
    trainingVendors.filter((vendor) => iconsOf.get(vendor)?.has(entry)).length;
  const keywordsOf = new Map([...packages.keywords].map(([emoji, words]) => [emoji.replace(/\ufe0f/g, ""), words]));
  const concepts = packages.unicode.map((entry): EmojiConcept => {
    const description = captionForm(entry.description);
    const extra = keywordsOf.get(entry.emoji.replace(/\ufe0f/g, "")) ?? [];
    const keywords = new Set([...entry.keywords, ...extra].map(captionForm));
    keywords.delete("");
    keywords.delete(description);
    return {
      emoji: entry.emoji,
      name: captionForm(entry.description.replace(/^flag: (.*)$/, "flag of $1")),
      keywords: [...keywords],
      group: entry.group,
      subgroup: entry.subgroup,
      unseen: !["flags", "symbols"].includes(entry.group) && trainingVendorsOf(entry) >= 3 && isHeldOut(entry),
    };
  });

  const conceptOf = new Map(packages.unicode.map((entry, index) => [entry, index]));
  const drawings: EmojiDrawing[] = [];
  for (const vendor of emojiVendors) {
    for (const [entry, icons] of iconsOf.get(vendor) ?? []) {
      const concept = conceptOf.get(entry);
      if (concept === undefined) continue;
      for (const icon of icons) drawings.push({ vendor, concept, icon });
    }
  }
  return { concepts, drawings };
}

/** A tenth of the concepts, by a hash of the code points (FNV-1a), so that new entries do not move the split. */
function isHeldOut(entry: UnicodeEmoji): boolean {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(hexOf(entry.emoji))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % 10 === 0;
}

interface Names {
  readonly byHex: ReadonlyMap<string, UnicodeEmoji>;
  readonly bySlug: ReadonlyMap<string, UnicodeEmoji>;
  /** By the slug without hyphens. */
  readonly byFlatSlug: ReadonlyMap<string, UnicodeEmoji>;
}

function learnNames(packages: EmojiPackages): Names {
  const byHex = new Map(packages.unicode.map((entry) => [hexOf(entry.emoji), entry]));
  const bySlug = new Map<string, UnicodeEmoji>();
  const learn = (slug: string, entry: UnicodeEmoji): void => {
    if (!bySlug.has(slug)) bySlug.set(slug, entry);
  };
  for (const entry of packages.unicode) {
    learn(slugOf(entry.description), entry);
    if (entry.description.startsWith("flag: ")) learn(`flag-for-${slugOf(entry.description.slice(6))}`, entry);
  }
  for (const vendor of namingVendors) {
    const set = packages.sets[vendor];
    const entryOf = new Map<string, UnicodeEmoji>();
    for (const [hex, icon] of set.chars) {
      const entry = entryOfChar(hex, byHex);
      if (!entry) continue;
      entryOf.set(resolveAlias(set, icon), entry);
      learn(icon, entry);
    }
    for (const alias of set.aliases.keys()) {
      const entry = entryOf.get(resolveAlias(set, alias));
      if (entry) learn(alias, entry);
    }
  }
  const byFlatSlug = new Map([...bySlug].map(([slug, entry]) => [slug.replace(/-/g, ""), entry]));
  return { byHex, bySlug, byFlatSlug };
}

/** The entry of a key of `chars.json`; none for variants of skin. */
function entryOfChar(hex: string, byHex: ReadonlyMap<string, UnicodeEmoji>): UnicodeEmoji | undefined {
  const bare = withoutSelector(hex);
  return skinTone.test(bare) ? undefined : byHex.get(bare);
}

/** The icons of each entry that a vendor draws; only streamline draws some more than once. */
function joinVendor(vendor: EmojiVendor, set: IconSet, names: Names): Map<UnicodeEmoji, string[]> {
  const found = new Map<UnicodeEmoji, string[]>();
  const used = new Set<string>();
  const add = (entry: UnicodeEmoji, icon: string): void => {
    const icons = found.get(entry) ?? [];
    if (!icons.includes(icon)) icons.push(icon);
    found.set(entry, icons);
    used.add(icon);
  };
  const severalAnEntry = vendor === "streamline-emojis";

  for (const [hex, name] of set.chars) {
    const entry = entryOfChar(hex, names.byHex);
    const icon = resolveAlias(set, name);
    if (entry && set.icons.has(icon) && !found.has(entry)) add(entry, icon);
  }
  for (const icon of set.icons.keys()) {
    if (used.has(icon) || skinToneName.test(icon) || icon.includes("skin-tone")) continue;
    const numbered = severalAnEntry ? icon.replace(/-\d$/, "") : icon;
    const entry =
      names.bySlug.get(icon) ??
      names.bySlug.get(numbered) ??
      (vendor === "fxemoji" ? names.byFlatSlug.get(icon) : undefined);
    if (entry && (severalAnEntry || !found.has(entry))) add(entry, icon);
  }
  for (const alias of set.aliases.keys()) {
    const icon = resolveAlias(set, alias);
    if (!set.icons.has(icon) || skinToneName.test(alias) || skinToneName.test(icon)) continue;
    const entry = names.bySlug.get(alias);
    if (entry && !found.has(entry)) add(entry, icon);
  }
  return found;
}

/** The drawing as an SVG of `size` pixels. */
export function emojiSvg(set: IconSet, icon: string, size: number): string {
  const found = set.icons.get(icon);
  if (!found) throw new Error(`emoji: no icon ${icon} in the set`);
  const { viewBox } = set;
  const { left = viewBox.left, top = viewBox.top, width = viewBox.width, height = viewBox.height } = found;
  const body = found.body.replace(/currentColor/g, "#000");
  const namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  return `<svg ${namespaces} width="${size}" height="${size}" viewBox="${left} ${top} ${width} ${height}">${body}</svg>`;
}
