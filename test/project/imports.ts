/** Who imports whom in `src`, and what is wrong with it. */
import { dirname, join, normalize } from "node:path/posix";

export interface Import {
  readonly from: string;
  /** A file of `src`, or the specifier of a package. */
  readonly to: string;
  readonly relative: boolean;
  /** `import type` vanishes when compiled; `import { type X }` loads the module all the same. */
  readonly kind: "value" | "type" | "dynamic";
}

/** Which rooms a room may import; DESIGN.md, "The rooms, and who may call whom". A path with a dot is one file. */
const BELOW = [
  "graph",
  "engine",
  "model",
  "tokenizer",
  "image",
  "checkpoint",
  "data",
  "train",
  "hub",
  "plugins",
  "explain",
  "nodes",
] as const;
const MAY_IMPORT: Readonly<Record<string, readonly string[] | "anything">> = {
  graph: [],
  page: [],
  cache: [],
  download: [],
  engine: ["graph", "cache"],
  nodes: [],
  model: ["graph"],
  tokenizer: [],
  image: [],
  checkpoint: ["model", "graph", "json-file.ts"],
  hub: ["checkpoint", "download", "lock.ts"],
  plugins: ["cache", "download", "lock.ts"],
  explain: ["engine/engine.ts", "graph", "model", "image"],
  data: ["tokenizer", "image", "cache", "json-file.ts"],
  train: [
    "page",
    "model",
    "engine/engine.ts",
    "graph",
    "data",
    "checkpoint",
    "tokenizer",
    "image",
    "nodes",
    "lock.ts",
    "json-file.ts",
  ],
  pretrained: ["json-file.ts", "checkpoint", "tokenizer", "image", "model", "engine/engine.ts", "graph", "train"],
  convert: ["pretrained", "checkpoint", "tokenizer", "image", "model", "engine", "graph", "towers.ts"],
  eval: [
    ...[
      "clip.ts",
      "towers.ts",
      "ahead.ts",
      "directions.ts",
      "data",
      "graph",
      "model",
      "engine/engine.ts",
      "image",
      "tokenizer",
    ],
    ...["checkpoint", "train", "page", "json-file.ts"],
  ],
  doctor: ["cache", "plugins", "engine", "graph", "image"],
  cli: "anything",
  "ahead.ts": [],
  "lock.ts": [],
  "json-file.ts": [],
  "directions.ts": [],
  "towers.ts": ["engine/engine.ts", "graph", "model", "ahead.ts", "directions.ts"],
  "clip.ts": [...BELOW, "pretrained", "towers.ts", "ahead.ts", "directions.ts"],
  "index.ts": [...BELOW, "pretrained", "convert", "clip.ts", "eval"],
};

/** Packages with native code, which a browser or another platform cannot load: only where they are used, by `import()`. */
const NATIVE = ["onnxruntime-node", "koffi", "sharp"];

const VAGUE = /(^|[/-])(utils?|helpers?|common|managers?|misc|shared)([.-]|\/|$)/;
const LONGEST = 400;

/** The imports of one file's text; a comment or a string that mentions one is none. */
export function importsOf(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|(?<=[\s;{(,])\/\/.*$/gm, "");
  const found: Import[] = [];
  const add = (specifier: string | undefined, kind: Import["kind"]): void => {
    if (specifier === undefined) return;
    const relative = specifier.startsWith(".");
    found.push({ from, to: relative ? normalize(join(dirname(from), specifier)) : specifier, relative, kind });
  };
  for (const [, type, specifier] of code.matchAll(/^(?:import|export)(\s+type)?\s[^"';]*?\sfrom\s*["']([^"']+)["']/gm))
    add(specifier, type ? "type" : "value");
  for (const [, specifier] of code.matchAll(/^import\s*["']([^"']+)["']/gm)) add(specifier, "value");
  for (const [, specifier] of code.matchAll(/\bimport\(\s*["'`]([^"'`]+)["'`]/g)) add(specifier, "dynamic");
  return found;
}

const room = (file: string): string => file.split("/")[0] ?? file;

function allowed(from: string, to: string): boolean {
  if (room(from) === room(to)) return true;
  const list = MAY_IMPORT[room(from)];
  return list === "anything" || (list ?? []).some((entry) => entry === to || entry === room(to));
}

/** What is wrong with a tree of sources (paths below `src`), a line each. */
export function problems(files: ReadonlyMap<string, string>): string[] {
  const imports = [...files].flatMap(([file, text]) => importsOf(file, text));
  const found: string[] = [];
  for (const [file, text] of files) {
    const lines = text.split("\n").length - 1;
    if (lines > LONGEST) found.push(`${file} has ${lines} lines, more than ${LONGEST}`);
    if (VAGUE.test(file)) found.push(`${file} is not named for what it holds`);
    if (MAY_IMPORT[room(file)] === undefined) found.push(`${file} is in no room of the design`);
  }
  for (const { from, to, relative, kind } of imports) {
    if (!relative) {
      const native = NATIVE.find((name) => to === name || to.startsWith(`${name}/`));
      if (native !== undefined && kind === "value") found.push(`${from} loads ${native} when it is itself loaded`);
    } else if (to.startsWith("../")) {
      if (room(from) !== "cli") found.push(`${from} may not import ${to}, outside src`);
    } else if (!files.has(to)) found.push(`${from} imports ${to}, which is not there`);
    else if (!allowed(from, to)) found.push(`${from} may not import ${to}`);
  }
  return [...found, ...cycles(files, imports)];
}

/** A line for each cycle that a walk from every file finds; types count, since readers go around them too. */
function cycles(files: ReadonlyMap<string, string>, imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to, relative } of imports) if (relative) next.set(from, [...(next.get(from) ?? []), to]);
  const found: string[] = [];
  const closed = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push(`cycle: ${[...path.slice(start), file].join(" -> ")}`);
    if (start >= 0 || closed.has(file)) return;
    path.push(file);
    for (const to of next.get(file) ?? []) visit(to);
    path.pop();
    closed.add(file);
  };
  for (const file of files.keys()) visit(file);
  return found;
}
