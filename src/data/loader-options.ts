import type { TokenizerJson } from "../tokenizer/index.ts";
import type { BatchOptions } from "./batch.ts";
import type { SourceSpec } from "./source-spec.ts";

/** Plain data throughout: it goes to the workers as it is. */
export interface LoaderOptions extends BatchOptions {
  readonly source: SourceSpec;
  readonly tokenizer: TokenizerJson;
  /** Threads that make batches ahead; 0 makes them in the calling thread when asked. @default 1 */
  readonly workers?: number;
  /** How many batches beyond the one last asked for are made ahead. @default 4, or one a worker where that is more */
  readonly prefetch?: number;
}

/** @throws one line that names the option, what was expected and what came. */
export function checkLoaderOptions(options: LoaderOptions): void {
  const { contextLength, imageSize, batchSize, workers = 1, prefetch = 4, seed, cropScale, part } = options;
  const limits = {
    contextLength: [contextLength, 2],
    imageSize: [imageSize, 1],
    batchSize: [batchSize, 1],
    workers: [workers, 0],
    prefetch: [prefetch, 0],
  } as const;
  for (const [name, [value, least]] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value >= least) continue;
    throw new Error(`loader: ${name} must be a whole number of at least ${least}, got ${value}`);
  }
  if (!Number.isSafeInteger(seed)) throw new Error(`loader: seed must be a whole number, got ${seed}`);
  if (part && !(Number.isSafeInteger(part.index) && part.index >= 0 && part.index < part.of))
    throw new Error(`loader: part: expected one of 0 to ${part.of - 1}, got ${part.index}`);
  if (part && batchSize % part.of !== 0)
    throw new Error(`loader: a batch of ${batchSize} does not divide into ${part.of} equal parts`);
  const [min, max] = cropScale;
  if (min > 0 && min <= max && max <= 1) return;
  throw new Error(`loader: cropScale must be 0 < min <= max <= 1, got [${min}, ${max}]`);
}
