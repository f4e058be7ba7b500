/** SigLIP's tokenizers: `tokenizer.json` of Hugging Face's library, or sentencepiece's `spiece.model`, and what its configuration says around it. */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { checked, readJson } from "../json-file.ts";
import {
  type HuggingFaceTokenizerOptions,
  huggingFaceTokenizer,
  sentencePieceTokenizer,
  type TextCleaning,
  type Tokenizer,
} from "../tokenizer/index.ts";

/** Gemma's, which SigLIP 2 has, takes 35 MB. */
const LARGEST = 2 ** 27;

const token = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);
const configSchema = z.looseObject({ eos_token: token.nullish(), pad_token: token.nullish() });
const kindSchema = z.looseObject({ model: z.looseObject({ type: z.string() }) });

/** What the two generations have around the pieces, where a folder does not say it. */
const USUAL = {
  Unigram: { cleaning: "siglip", end: "</s>", padding: "</s>" },
  BPE: { cleaning: "lower", end: "<eos>", padding: "<pad>" },
} as const satisfies Record<string, HuggingFaceTokenizerOptions>;

/**
 * The tokenizer of a folder; undefined if it has none.
 * @param cleaning of texts @default what transformers does
 * @throws one line that names the file and what in it is missing or not supported
 */
export async function siglipTokenizer(
  folder: string,
  cleaning?: TextCleaning,
): Promise<{ tokenizer: Tokenizer; from: string } | undefined> {
  const [whole, pieces] = [join(folder, "tokenizer.json"), join(folder, "spiece.model")];
  if (existsSync(whole)) {
    const json = await readJson(whole, LARGEST);
    const { model } = checked(kindSchema, json, whole);
    if (model.type !== "Unigram" && model.type !== "BPE")
      throw new Error(`${whole}: model.type: ${JSON.stringify(model.type)} is not supported, Unigram and BPE are`);
    const options = await optionsOf(folder, USUAL[model.type], cleaning);
    return { tokenizer: inFile(whole, () => huggingFaceTokenizer(json, options)), from: "tokenizer.json" };
  }
  if (!existsSync(pieces)) return undefined;
  const { size } = await stat(pieces);
  if (size > LARGEST) throw new Error(`${pieces}: has ${size} bytes, expected at most ${LARGEST}`);
  const bytes = await readFile(pieces);
  const options = await optionsOf(folder, USUAL.Unigram, cleaning);
  return { tokenizer: inFile(pieces, () => sentencePieceTokenizer(bytes, options)), from: "spiece.model" };
}

async function optionsOf(
  folder: string,
  usual: HuggingFaceTokenizerOptions,
  cleaning: TextCleaning | undefined,
): Promise<HuggingFaceTokenizerOptions> {
  const path = join(folder, "tokenizer_config.json");
  const said = existsSync(path) ? checked(configSchema, await readJson(path), path) : undefined;
  return {
    cleaning: cleaning ?? usual.cleaning,
    end: said?.eos_token ?? usual.end,
    padding: said?.pad_token ?? usual.padding,
  };
}

function inFile<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
