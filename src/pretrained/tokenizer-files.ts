/** CLIP's byte-pair tokenizer from Hugging Face's files: `vocab.json` with `merges.txt`, or `tokenizer.json`. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { checked, readJson, readText } from "../json-file.ts";
import { byteCharacters, endOfWord } from "../tokenizer/bytes.ts";
import { createBpeTokenizer, type Merge, type Tokenizer } from "../tokenizer/index.ts";

/** The official 49,408 entries and their merges take 4 MB. */
const LARGEST = 2 ** 24;

const START = "<|startoftext|>";
const END = "<|endoftext|>";

const vocabulary = z.record(z.string(), z.int());
const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })).default([]),
  model: z.looseObject({
    type: z.literal("BPE"),
    end_of_word_suffix: z.literal(endOfWord),
    vocab: vocabulary,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/**
 * The tokenizer of a folder; undefined if it has none of CLIP's kind of files.
 * @throws one line that names the file and the token whose id is not what CLIP's tokenizer gives it
 */
export async function folderTokenizer(folder: string): Promise<{ tokenizer: Tokenizer; from: string } | undefined> {
  const [vocab, merges, whole] = ["vocab.json", "merges.txt", "tokenizer.json"].map((name) => join(folder, name));
  if (vocab && merges && existsSync(vocab) && existsSync(merges)) {
    const ids = new Map(Object.entries(checked(vocabulary, await readJson(vocab, LARGEST), vocab)));
    // No more than can be true: lines of a few bytes take many times their size in memory.
    const lines = (await readText(merges, LARGEST)).split("\n", ids.size + 3);
    const list = lines.filter((line) => line.trim() !== "" && !line.startsWith("#version"));
    if (list.length > ids.size)
      throw new Error(`${merges}: more merges than ${basename(vocab)} has tokens (${ids.size})`);
    return { tokenizer: tokenizerOf(list, merges, ids, vocab), from: "vocab.json and merges.txt" };
  }
  if (!whole || !existsSync(whole)) return undefined;
  const { model, added_tokens: added } = checked(tokenizerJson, await readJson(whole, LARGEST), whole);
  const ids = new Map([...Object.entries(model.vocab), ...added.map(({ content, id }) => [content, id] as const)]);
  return { tokenizer: tokenizerOf(model.merges, whole, ids, whole), from: "tokenizer.json" };
}

function tokenizerOf(
  lines: readonly (string | readonly [string, string])[],
  mergesFile: string,
  ids: ReadonlyMap<string, number>,
  vocabularyFile: string,
): Tokenizer {
  const merges = lines.map((line, rank): Merge => {
    const [left, right, more] = typeof line === "string" ? line.replace(/\r$/, "").split(" ") : line;
    if (!left || !right || more !== undefined)
      throw new Error(`${mergesFile}: merge ${rank}: expected two tokens, got ${JSON.stringify(line)}`);
    return [left, right];
  });
  // Ids follow from the merges in CLIP's tokenizer; a file that numbers its tokens otherwise is of another one.
  const inOrder = [
    ...byteCharacters,
    ...byteCharacters.map((character) => character + endOfWord),
    ...merges.map((merge) => merge.join("")),
    START,
    END,
  ];
  for (const [id, token] of inOrder.entries())
    if (ids.get(token) !== id)
      throw new Error(
        `${vocabularyFile}: token ${JSON.stringify(token)} has id ${ids.get(token) ?? "none"}, expected ${id}: no tokenizer of CLIP's kind`,
      );
  try {
    return createBpeTokenizer(merges);
  } catch (error) {
    throw new Error(`${mergesFile}: ${error instanceof Error ? error.message : error}`);
  }
}
