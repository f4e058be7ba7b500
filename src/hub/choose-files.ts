/** Which files of a repository a model needs: its weights once, in the safest format there is, and what belongs to them. */

/** Said in both formats; those that are there are fetched. */
const TOKENIZER = [
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.json",
  "merges.txt",
  "special_tokens_map.json",
  "added_tokens.json",
  "spiece.model",
  "sentencepiece.bpe.model",
];

interface Format {
  /** Says the architecture; without it the weights are another program's. */
  readonly config: string;
  readonly extra: readonly string[];
  /** The best first. */
  readonly weights: readonly string[];
}

const OPEN_CLIP = { config: "open_clip_config.json", extra: [] };
const HUGGING_FACE = { config: "config.json", extra: ["preprocessor_config.json", "processor_config.json"] };

/** Safetensors before pickles; where both libraries' weights are there, open_clip's, whose configuration says more. */
const FORMATS: readonly Format[] = [
  { ...OPEN_CLIP, weights: ["open_clip_model.safetensors"] },
  { ...HUGGING_FACE, weights: ["model.safetensors"] },
  { ...OPEN_CLIP, weights: ["open_clip_pytorch_model.bin"] },
  { ...HUGGING_FACE, weights: ["pytorch_model.bin"] },
];

/** `model-00001-of-00002.safetensors`, `pytorch_model-00001-of-00002.bin`. */
const SHARD = /^(.*)-(\d{5})-of-(\d{5})(\.[a-z]+)$/;

/**
 * The names of the files that are needed.
 * @returns undefined if the weights, a part of them, or their configuration are not among the names
 */
export function chooseFiles(names: readonly string[]): string[] | undefined {
  const there = new Set(names);
  for (const { config, extra, weights } of FORMATS) {
    if (!there.has(config)) continue;
    const parts = weights.map((file) => partsOf(file, there)).find((found) => found !== undefined);
    if (parts) return [config, ...[...extra, ...TOKENIZER].filter((name) => there.has(name)), ...parts];
  }
  return undefined;
}

/** The file, or its index and all its shards. */
function partsOf(file: string, there: ReadonlySet<string>): string[] | undefined {
  if (there.has(file)) return [file];
  const index = `${file}.index.json`;
  if (!there.has(index)) return undefined;
  const shards = [...there].flatMap((name) => {
    const [, stem, , count, extension] = SHARD.exec(name) ?? [];
    return `${stem}${extension}` === file ? [{ name, count: Number(count) }] : [];
  });
  const expected = shards[0]?.count;
  if (expected === undefined || shards.length !== expected || shards.some(({ count }) => count !== expected))
    return undefined;
  return [index, ...shards.map(({ name }) => name).sort()];
}
