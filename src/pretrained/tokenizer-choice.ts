/** Which tokenizer a model has, and why. */
import type { ClipConfig } from "../model/index.ts";
import { officialTokenizer, type Tokenizer } from "../tokenizer/index.ts";
import type { Place } from "./folder.ts";
import { folderTokenizer } from "./tokenizer-files.ts";

export interface TokenizerChoice {
  readonly tokenizer: Tokenizer | undefined;
  /** Where it is from, or why there is none. */
  readonly from: string;
}

/** Ids of the official vocabulary. */
const OFFICIAL = 49408;

/**
 * @param named what an open_clip configuration asks for (`hf_tokenizer_name`)
 * @param given the caller's, which must fit the vocabulary
 * @throws one line if a tokenizer's files are damaged, or ids of the given one go beyond the vocabulary
 */
export async function chooseTokenizer(
  { kind, folder }: Place,
  { text }: ClipConfig,
  named: string | undefined,
  given: Tokenizer | undefined,
): Promise<TokenizerChoice> {
  const { vocabSize } = text;
  if (given) {
    if (given.vocabSize > vocabSize)
      throw new Error(`tokenizer: has ${given.vocabSize} ids, the model has embeddings of ${vocabSize}`);
    return { tokenizer: given, from: "given" };
  }
  if (kind === "hugging-face") {
    const found = await folderTokenizer(folder);
    if (found && found.tokenizer.vocabSize === vocabSize) return { ...found, from: `${found.from} of the folder` };
    if (found)
      return none(
        `the tokenizer of ${folder} has ${found.tokenizer.vocabSize} ids, the model embeddings of ${vocabSize}`,
      );
  }
  if (named !== undefined) return none(`open_clip_config.json asks for the tokenizer ${named}, which is not supported`);
  if (vocabSize !== OFFICIAL)
    return none(
      `the model has a vocabulary of ${vocabSize}, not the official one of ${OFFICIAL}, and no tokenizer of its own`,
    );
  const tokenizer = await officialTokenizer({ specialTokens: kind === "open_clip" ? "open_clip" : "openai" });
  return { tokenizer, from: "the official vocabulary" };
}

function none(why: string): TokenizerChoice {
  return { tokenizer: undefined, from: `none: ${why}` };
}
