/** Hugging Face's files of a byte-pair tokenizer of CLIP's kind. */
import { byteCharacters, endOfWord } from "../tokenizer/bytes.ts";
import type { HuggingFaceTokenizerOptions, Tokenizer } from "../tokenizer/index.ts";

const START = "<|startoftext|>";
const END = "<|endoftext|>";

/** Contents by file name: `vocab.json`, `merges.txt`, `tokenizer.json` and what tells transformers how to use them. */
export function huggingFaceTokenizer(tokenizer: Tokenizer, contextLength: number): Readonly<Record<string, string>> {
  const saved = tokenizer.toJSON();
  if ("kind" in saved) return foreignTokenizer(saved.tokenizer, saved.options, contextLength);
  const { merges } = saved;
  const tokens = [
    ...byteCharacters,
    ...byteCharacters.map((character) => character + endOfWord),
    ...merges.map((merge) => merge.replace(" ", "")),
    START,
    END,
  ];
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const mark = (content: string, normalized: boolean) => ({
    content,
    lstrip: false,
    normalized,
    rstrip: false,
    single_word: false,
  });
  const [start, end] = [mark(START, true), mark(END, false)];
  const special = [start, end].map((token, i) => ({ id: tokens.length - 2 + i, ...token, special: true }));
  const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
  return {
    "vocab.json": JSON.stringify(vocabulary),
    "merges.txt": `#version: 0.2\n${merges.map((merge) => `${merge}\n`).join("")}`,
    "special_tokens_map.json": json({ bos_token: start, eos_token: end, pad_token: END, unk_token: end }),
    "tokenizer_config.json": json({
      tokenizer_class: "CLIPTokenizer",
      model_max_length: contextLength,
      bos_token: START,
      eos_token: END,
      pad_token: END,
      unk_token: END,
      do_lower_case: true,
      add_prefix_space: false,
      errors: "replace",
    }),
    "tokenizer.json": JSON.stringify({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special,
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "NFC" },
          { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
          { type: "Lowercase" },
        ],
      },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          {
            type: "Split",
            // The official pattern (CLIP, simple_tokenizer.py).
            pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
            behavior: "Removed",
            invert: true,
          },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: {
        type: "RobertaProcessing",
        sep: [END, tokens.length - 1],
        cls: [START, tokens.length - 2],
        trim_offsets: false,
        add_prefix_space: false,
      },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: END,
        continuing_subword_prefix: "",
        end_of_word_suffix: endOfWord,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: vocabulary,
        merges,
      },
    }),
  };
}

/** One of Hugging Face's own. */
function foreignTokenizer(
  tokenizer: unknown,
  { end, padding, start }: HuggingFaceTokenizerOptions,
  contextLength: number,
): Readonly<Record<string, string>> {
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: contextLength,
    eos_token: end,
    pad_token: padding,
    ...(start !== undefined && { bos_token: start }),
  };
  return {
    "tokenizer.json": JSON.stringify(tokenizer),
    "tokenizer_config.json": `${JSON.stringify(config, undefined, 2)}\n`,
  };
}
