import { createBpeTokenizer, type Tokenizer } from "./tokenizer.ts";
import { parseClipVocabulary } from "./vocabulary.ts";

/**
 * The official tokenizer from its merges file (`bpe_simple_vocab_16e6.txt`), plain or gzip. Node only.
 * @throws if the file cannot be read or is not such a file; the message names it.
 */
export async function loadClipTokenizer(path: string): Promise<Tokenizer> {
  const { readFile } = await import("node:fs/promises");
  const { gunzipSync } = await import("node:zlib");
  try {
    const bytes = await readFile(path);
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    // far above the official 3 MB, and a bound for a file that unpacks without end
    const text = isGzip ? gunzipSync(bytes, { maxOutputLength: 2 ** 28 }) : bytes;
    return createBpeTokenizer(parseClipVocabulary(text.toString("utf8")));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`loadClipTokenizer: ${path}: ${reason}`, { cause: error });
  }
}
