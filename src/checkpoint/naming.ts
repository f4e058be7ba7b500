/** Translates between the official naming and others, by the tables in `namings.ts`. */
import { NAMINGS, type Naming, type NamingKind, type NamingRule, SAYS_NOTHING, type StoredPart } from "./namings.ts";

/** How an official tensor is made of stored ones. */
export interface Assembly extends Pick<NamingRule, "transposed" | "leadingOnes"> {
  readonly parts: readonly StoredPart[];
}

export interface Translation {
  /** By official name: what makes it; of several parts some may be missing from the file. */
  readonly tensors: ReadonlyMap<string, Assembly>;
  /** Stored names that the naming does not have. */
  readonly unknown: readonly string[];
}

/** The naming that a checkpoint's tensors have; the official one if none can be recognised. */
export function namingOf(names: Iterable<string>): NamingKind {
  const all = [...names];
  const some = (...prefixes: readonly string[]): boolean =>
    all.some((name) => prefixes.some((prefix) => name.startsWith(prefix)));
  if (some("vision_model.", "text_model."))
    return some("vision_model.head.", "text_model.head.") ? "huggingFaceSiglip" : "huggingFaceClip";
  if (some("visual.trunk.")) return "openClipSiglip";
  return some("text.") ? "openClipCustomText" : "openai";
}

/**
 * The prefix that training loops put before every name (`module.` of data parallelism, `_orig_mod.` of a compiled model, a
 * wrapper's own): what stands before `logit_scale`, which every CLIP has.
 */
export function prefixOf(names: Iterable<string>): string {
  let found: string | undefined;
  for (const name of names)
    if ((name === "logit_scale" || name.endsWith(".logit_scale")) && name.length < (found?.length ?? Infinity))
      found = name;
  return found?.slice(0, -"logit_scale".length) ?? "";
}

/** What a checkpoint's tensors are in the official naming. */
export function toOfficial(kind: NamingKind, stored: Iterable<string>): Translation {
  const find = finder(NAMINGS[kind], (rule) => rule.stored.map(({ name }) => name));
  const tensors = new Map<string, Assembly>();
  const unknown: string[] = [];
  for (const name of stored) {
    if (SAYS_NOTHING.includes(name.slice(name.lastIndexOf(".") + 1))) continue;
    const found = find(name);
    if (found.length === 0) unknown.push(name);
    for (const { rule, fill } of found) tensors.set(fill(rule.official), assemblyOf(rule, fill));
  }
  return { tensors, unknown };
}

/** How another naming stores an official tensor; undefined if it has no place for it. */
export function toStored(kind: NamingKind, official: string): Assembly | undefined {
  const [found] = finder(NAMINGS[kind], (rule) => [rule.official])(official);
  return found && assemblyOf(found.rule, found.fill);
}

/** Puts the number or the rest into a pattern. */
type Fill = (pattern: string) => string;

function assemblyOf({ stored, transposed, leadingOnes }: NamingRule, fill: Fill): Assembly {
  const parts = stored.map((part) => ({ ...part, name: fill(part.name) }));
  return { parts, ...(transposed && { transposed }), ...(leadingOnes !== undefined && { leadingOnes }) };
}

/** Finds the rules one of whose patterns a name fits: a whole name, else a numbered one, else the beginning of one. */
function finder(
  { rules }: Naming,
  patternsOf: (rule: NamingRule) => readonly string[],
): (name: string) => { readonly rule: NamingRule; readonly fill: Fill }[] {
  const whole = new Map<string, NamingRule[]>();
  const open: [prefix: string, rule: NamingRule][] = [];
  for (const rule of rules)
    for (const pattern of patternsOf(rule))
      if (pattern.endsWith("*")) open.push([pattern.slice(0, -1), rule]);
      else whole.set(pattern, [...(whole.get(pattern) ?? []), rule]);
  return (name) => {
    const plain = whole.get(name);
    if (plain) return plain.map((rule) => ({ rule, fill: (pattern) => pattern }));
    // Layers are numbered without leading zeros; a name that a table has holds one number.
    const number = /(?<=\.)(?:0|[1-9]\d{0,3})(?=\.)/.exec(name)?.[0] ?? "";
    const numbered = number && whole.get(name.replace(`.${number}.`, ".#."));
    if (numbered) return numbered.map((rule) => ({ rule, fill: (pattern) => pattern.replace("#", number) }));
    return open
      .filter(([prefix]) => name.startsWith(prefix))
      .map(([prefix, rule]) => ({ rule, fill: (pattern) => pattern.replace("*", () => name.slice(prefix.length)) }));
  };
}
