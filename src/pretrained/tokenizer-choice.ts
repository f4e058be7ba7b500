/** Which tokenizer a model has, and why. */
import type { ClipConfig } from "../model/index.ts";
import { officialTokenizer, type Tokenizer } from "../tokenizer/index.ts";
import type { Place } from "./folder.ts";
import { siglipTokenizer } from "./siglip-tokenizer.ts";
import { folderTokenizer } from "./tokenizer-files.ts";

export interface TokenizerChoice {
  readonly tokenizer: Tokenizer | undefined;
  /** Where it is from, or why there is none. */
  readonly from: string;
}

/** Ids of the official vocabulary. */
const OFFICIAL = 49408;

/** What an open_clip configuration says of its tokenizer. */
export interface NamedTokenizer {
  readonly name: string;
  /** `tokenizer_kwargs.clean`: how texts are cleaned. @default "whitespace" */
  readonly clean: string | undefined;
}

/**
 * @param named what an open_clip configuration asks for (`hf_tokenizer_name`)
 * @param given the caller's, which must fit the vocabulary
 * @throws one line if a tokenizer's files are damaged, or ids of the given one go beyond the vocabulary
 */
export async function chooseTokenizer(
  place: Place,
  config: ClipConfig,
  named: NamedTokenizer | undefined,
  given: Tokenizer | undefined,
): Promise<TokenizerChoice> {
  const { vocabSize } = config.text;
  if (given) {
    if (given.vocabSize > vocabSize)
      throw new Error(`tokenizer: has ${given.vocabSize} ids, the model has embeddings of ${vocabSize}`);
    return { tokenizer: given, from: "given" };
  }
  if (named && named.clean !== "canonicalize")
    return none(
      `the tokenizer ${named.name} with clean ${JSON.stringify(named.clean ?? "whitespace")} is not supported`,
    );
  const found = await ofFolder(place, config, named);
  if (found && found.tokenizer.vocabSize > vocabSize)
    return none(
      `${found.from} of ${place.folder} has ${found.tokenizer.vocabSize} ids, the model embeddings of ${vocabSize}`,
    );
  if (found) return { ...found, from: `${found.from} of the folder` };
  if (named) return none(`the files of the tokenizer ${named.name} are not in ${place.folder}`);
  if (vocabSize !== OFFICIAL)
    return none(
      `the model has a vocabulary of ${vocabSize}, not the official one of ${OFFICIAL}, and no tokenizer of its own`,
    );
  const tokenizer = await officialTokenizer({ specialTokens: place.kind === "open_clip" ? "open_clip" : "openai" });
  return { tokenizer, from: "the official vocabulary" };
}

/** What stands beside a model's configuration; open_clip's models without a named tokenizer have the official one, whatever is beside. */
async function ofFolder(
  { kind, folder }: Place,
  { vision }: ClipConfig,
  named: NamedTokenizer | undefined,
): Promise<{ tokenizer: Tokenizer; from: string } | undefined> {
  if (kind === "open_clip") return named && siglipTokenizer(folder, "canonicalize");
  if (kind !== "hugging-face") return undefined;
  const isSiglip = vision.kind === "vit" && vision.pool === "map";
  return isSiglip ? siglipTokenizer(folder) : folderTokenizer(folder);
}

function none(why: string): TokenizerChoice {
  return { tokenizer: undefined, from: `none: ${why}` };
}
