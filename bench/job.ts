/** What all sides of a workload are given: one file of plain data, one of the fixed inputs, the same bytes for all. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEmojiCache } from "../src/data/emoji-cache.ts";
import { createLoader, emojiTrainingSource, openEmoji, Random, trainingVendors } from "../src/data/index.ts";
import type { LoaderOptions } from "../src/data/loader-options.ts";
import type { ClipConfig } from "../src/model/index.ts";
import { officialTokenizer, type Tokenizer } from "../src/tokenizer/index.ts";
import type { AdamW } from "../src/train/optimizer.ts";
import type { PairBatch } from "../src/train/step-inputs.ts";
import { tokenizerOf } from "../src/train/vocabulary.ts";
import type { Workload } from "./workloads.ts";

export interface Job {
  readonly config: ClipConfig;
  readonly batch: number;
  readonly adam: AdamW;
  readonly learningRate: number;
  readonly peer: Workload["peer"];
  readonly threads: number;
  /** Fixed inputs: of each batch u8 pictures [batch, size, size, 3], then i32 tokens [batch, context]. */
  readonly fixed: {
    readonly file: string;
    /** Longest text of each batch, both marks included. */
    readonly longest: readonly number[];
    /** Mean length of all texts. */
    readonly mean: number;
  };
  /** For our loader. */
  readonly loader?: LoaderOptions;
  /** The same pairs for the peers, which crop, draw captions and tokenize them by themselves. */
  readonly pairs?: {
    readonly file: string;
    readonly size: number;
    readonly concepts: readonly { readonly name: string; readonly keywords: readonly string[] }[];
    /** Positions in the file, and the concept of each. */
    readonly drawings: readonly (readonly [drawing: number, concept: number])[];
    readonly templates: readonly string[];
    /** Texts and their ids by our tokenizer: the other one must give the same. */
    readonly sample: readonly { readonly text: string; readonly ids: readonly number[] }[];
  };
}

const FIXED_BATCHES = 8;
const SEED = 0;

/** Writes the inputs of a workload into a folder. @returns the job and the path of its file */
export async function writeJob(
  workload: Workload,
  threads: number,
  folder: string,
): Promise<{ readonly job: Job; readonly path: string }> {
  const { recipe, batch, adam, peer } = workload;
  const tokenizer = recipe ? await tokenizerOf(recipe) : await officialTokenizer();
  const { text } = workload.config;
  const config = { ...workload.config, text: { ...text, vocabSize: tokenizer.vocabSize } };
  const loader: LoaderOptions | undefined = recipe && {
    source: recipe.source,
    tokenizer: tokenizer.toJSON(),
    contextLength: text.contextLength,
    imageSize: config.imageSize,
    cropScale: recipe.cropScale,
    batchSize: batch,
    seed: SEED,
  };
  const batches = loader
    ? await loaderBatches(loader)
    : await captionBatches(config, batch, tokenizer, workload.fullTexts ?? false);
  const lengths = batches.map(({ tokens }) => textLengths(tokens, batch));
  const fixed = {
    file: join(folder, "fixed.bin"),
    longest: lengths.map((all) => Math.max(...all)),
    mean: lengths.flat().reduce((sum, length) => sum + length, 0) / lengths.flat().length,
  };
  writeFileSync(fixed.file, Buffer.concat(batches.flatMap(({ images, tokens }) => [images, bytesOf(tokens)])));
  const pairs = recipe && (await emojiPairs(recipe.templates, tokenizer));
  const job: Job = {
    ...{ config, batch, adam, peer, threads, fixed, learningRate: 1e-4 },
    ...(loader && pairs ? { loader, pairs } : {}),
  };
  const path = join(folder, "job.json");
  writeFileSync(path, JSON.stringify(job));
  return { job, path };
}

/** The fixed inputs of a job. */
export function readFixed({ fixed, batch, config }: Job): PairBatch[] {
  const bytes = readFileSync(fixed.file);
  const imageBytes = batch * config.imageSize ** 2 * 3;
  const ids = batch * config.text.contextLength;
  return fixed.longest.map((_, i) => {
    const start = i * (imageBytes + ids * 4);
    const images = Uint8Array.from(bytes.subarray(start, start + imageBytes));
    const tokens = new Int32Array(
      Uint8Array.from(bytes.subarray(start + imageBytes, start + imageBytes + ids * 4)).buffer,
    );
    return { images, tokens };
  });
}

/** Up to the end-of-text, the highest id of each row. */
function textLengths(tokens: Int32Array, batch: number): number[] {
  const context = tokens.length / batch;
  return Array.from({ length: batch }, (_, row) => {
    const ids = tokens.subarray(row * context, (row + 1) * context);
    return ids.indexOf(Math.max(...ids)) + 1;
  });
}

const bytesOf = (tokens: Int32Array): Uint8Array => new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);

async function loaderBatches(options: LoaderOptions): Promise<PairBatch[]> {
  const loader = await createLoader({ ...options, workers: 0 });
  try {
    const batches: PairBatch[] = [];
    for (let step = 0; step < FIXED_BATCHES; step++) batches.push(await loader.batch(step));
    return batches;
  } finally {
    await loader.close();
  }
}

/** Emoji's captions by the official vocabulary beside noise: pictures' values do not change how long a step takes. */
async function captionBatches(
  config: ClipConfig,
  batch: number,
  tokenizer: Tokenizer,
  full: boolean,
): Promise<PairBatch[]> {
  const source = emojiTrainingSource(await openEmoji());
  const random = new Random(SEED);
  const batches = Array.from({ length: FIXED_BATCHES }, () => {
    const drawn = Array.from({ length: batch }, () => source.caption(random.int(source.length), random));
    const captions = full ? drawn.map((caption) => `${caption} `.repeat(config.text.contextLength)) : drawn;
    const { contextLength } = config.text;
    const { ids } = tokenizer.tokenize(captions, { contextLength, longText: "truncate" });
    const images = Uint8Array.from({ length: batch * config.imageSize ** 2 * 3 }, () => random.bits() & 255);
    return { images, tokens: ids };
  });
  source.close?.();
  return batches;
}

async function emojiPairs(templates: readonly string[], tokenizer: Tokenizer): Promise<NonNullable<Job["pairs"]>> {
  const { rawPath, size, concepts, drawings } = await openEmojiCache();
  const trained = drawings.flatMap(({ vendor, concept }, index) =>
    trainingVendors.some((name) => name === vendor) && !concepts[concept]?.unseen ? [[index, concept] as const] : [],
  );
  const texts = concepts.slice(0, 200).map(({ name, keywords }) => [name, ...keywords].join(", "));
  return {
    ...{ file: rawPath, size, drawings: trained, templates },
    concepts: concepts.map(({ name, keywords }) => ({ name, keywords })),
    sample: texts.map((text) => ({ text, ids: tokenizer.encode(text) })),
  };
}
