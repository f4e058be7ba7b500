/** sentencepiece's own files (`spiece.model`), as what Hugging Face's tokenizer.json would say. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { huggingFaceTokenizer } from "./hugging-face.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { HuggingFaceTokenizerOptions } from "./tokenizer-json.ts";

/** Numbers of fields and kinds in sentencepiece_model.proto. */
const PIECES = 1;
const TRAINER_SPEC = 2;
const NORMALIZER_SPEC = 3;
const UNIGRAM = 1;
const SPECIAL_KINDS: ReadonlySet<number> = new Set([2, 3]); // unknown, control
/** mT5's has 250,100. */
const MOST_PIECES = 2 ** 21;

interface Parsed {
  readonly vocab: [piece: string, score: number][];
  readonly special: number[];
  modelType: number;
  unknown: number;
  byteFallback: boolean;
  charsmap: Uint8Array;
  dummyPrefix: boolean;
}

/**
 * A tokenizer from a sentencepiece unigram model, with what SigLIP's models have around it unless told otherwise.
 * @throws one line if the bytes are no such model
 */
export function sentencePieceTokenizer(
  model: Uint8Array,
  options: HuggingFaceTokenizerOptions = { cleaning: "siglip", end: "</s>", padding: "</s>" },
): Tokenizer {
  const { vocab, special, modelType, unknown, byteFallback, charsmap, dummyPrefix } = parsed(model);
  if (modelType !== UNIGRAM)
    throw new Error(`sentencepiece model: expected a unigram model (type ${UNIGRAM}), got type ${modelType}`);
  const json = {
    added_tokens: special.map((id) => ({ id, content: vocab[id]?.[0], special: true, normalized: false })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Precompiled", precompiled_charsmap: base64(charsmap) },
        { type: "Replace", pattern: { Regex: "^ +| +$" }, content: "" },
        { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
      ],
    },
    pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: dummyPrefix ? "always" : "never" },
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [{ type: "ByteFallback" }, { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always" }],
    },
    model: { type: "Unigram", unk_id: unknown, vocab, byte_fallback: byteFallback },
  };
  return huggingFaceTokenizer(json, options);
}

function parsed(model: Uint8Array): Parsed {
  const out: Parsed = {
    vocab: [],
    special: [],
    modelType: UNIGRAM,
    unknown: 0,
    byteFallback: false,
    charsmap: new Uint8Array(0),
    dummyPrefix: true,
  };
  try {
    each(new BinaryReader(model), {
      [PIECES]: (reader) => piece(new BinaryReader(reader.bytes()), out),
      [TRAINER_SPEC]: (reader) =>
        each(new BinaryReader(reader.bytes()), {
          3: (spec) => (out.modelType = spec.int32()),
          35: (spec) => (out.byteFallback = spec.bool()),
          40: (spec) => (out.unknown = spec.int32()),
        }),
      [NORMALIZER_SPEC]: (reader) =>
        each(new BinaryReader(reader.bytes()), {
          2: (spec) => (out.charsmap = spec.bytes()),
          3: (spec) => (out.dummyPrefix = spec.bool()),
        }),
    });
  } catch (error) {
    throw new Error(`sentencepiece model: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  if (out.vocab.length === 0) throw new Error("sentencepiece model: there are no pieces");
  return out;
}

function piece(reader: BinaryReader, { vocab, special }: Parsed): void {
  let [text, score, kind] = ["", 0, 1];
  each(reader, {
    1: (field) => (text = field.string()),
    2: (field) => (score = field.float()),
    3: (field) => (kind = field.int32()),
  });
  if (vocab.length >= MOST_PIECES) throw new Error(`more than ${MOST_PIECES} pieces`);
  if (SPECIAL_KINDS.has(kind)) special.push(vocab.length);
  vocab.push([text, score]);
}

/** Calls what belongs to each field; the others are skipped. */
function each(reader: BinaryReader, fields: Readonly<Record<number, (reader: BinaryReader) => unknown>>): void {
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    const read = fields[field];
    if (!read) reader.skip(wire, field);
    else if (Object.values(WireType).includes(wire)) read(reader);
  }
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
