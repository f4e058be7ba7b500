import { tokenizerFromJson } from "../tokenizer/index.ts";
import { type Batch, batchesPerEpoch, createBatchMaker, foreseenTokens, type MadeBatch } from "./batch.ts";
import { checkLoaderOptions, type LoaderOptions } from "./loader-options.ts";
import { startWorkerPool } from "./loader-worker-pool.ts";
import { openSource } from "./source-spec.ts";

export interface Loader {
  /** Number of pairs of the source. */
  readonly length: number;
  readonly batchesPerEpoch: number;
  /**
   * The batch of a training step, counted from 0 over all epochs. A pure function of the options and `step`: a run that
   * resumes in the middle of an epoch only asks for that step.
   */
  batch(step: number): Promise<Batch>;
  /** The tokens of a batch to come, i32 [rows, contextLength], as they are if all of its pictures can be read: what to prepare for. */
  foreseenTokens(step: number): Int32Array;
  /** Pictures among the batches handed out that could not be read, and up to a hundred of them, one line each. */
  badImages(): { readonly count: number; readonly names: readonly string[] };
  /** Captions among the batches handed out that were longer than the context. */
  truncatedCaptions(): number;
  /** Ends the workers. A program does not end before it is called. */
  close(): Promise<void>;
}

export interface LoaderHooks {
  /** How far a source that is prepared once (the emoji are drawn) has come. */
  readonly onProgress?: (done: number, total: number) => void;
}

const namedBadImages = 100;

/** @throws one line if the source cannot be opened, an option is out of range or an epoch has no whole batch. */
export async function createLoader(options: LoaderOptions, hooks: LoaderHooks = {}): Promise<Loader> {
  const { batchSize, workers = 1, prefetch = Math.max(4, workers) } = options;
  checkLoaderOptions(options);
  const tokenizer = tokenizerFromJson(options.tokenizer);
  // Opened here first: whatever is wrong with it is said once, and what is prepared once is ready for the workers.
  const source = await openSource(options.source, hooks);
  const perEpoch = batchesPerEpoch(source, batchSize);
  if (perEpoch < 1) {
    source.close?.();
    throw new Error(`${source.name}: a batch of ${batchSize} needs at least as many pairs, got ${source.length}`);
  }

  const pool = workers > 0 ? startWorkerPool(options, workers) : undefined;
  const make = pool ? pool.make : createBatchMaker(source, tokenizer, options);
  const ahead = new Map<number, Promise<MadeBatch>>();
  const bad = new Set<number>();
  const names: string[] = [];
  let truncated = 0;
  let closed = false;

  function request(step: number): Promise<MadeBatch> {
    const known = ahead.get(step);
    if (known) return known;
    const made = make(step);
    made.catch(() => {}); // said when this step is asked for; one that never is must not end the program
    ahead.set(step, made);
    return made;
  }

  return {
    length: source.length,
    batchesPerEpoch: perEpoch,
    async batch(step) {
      if (closed) throw new Error("loader: closed");
      if (!(Number.isSafeInteger(step) && step >= 0)) {
        throw new Error(`loader: step must be a whole number of at least 0, got ${step}`);
      }
      const last = pool ? step + prefetch : step;
      for (const known of ahead.keys()) if (known < step || known > last) ahead.delete(known);
      const asked = request(step);
      for (let next = step + 1; next <= last; next++) void request(next);
      ahead.delete(step); // its buffers belong to the caller from here on
      const made = await asked;
      truncated += made.truncated;
      for (const { index, message } of made.bad) {
        if (bad.has(index)) continue;
        bad.add(index);
        if (names.length < namedBadImages) names.push(message);
      }
      return made.batch;
    },
    foreseenTokens: (step) => foreseenTokens(source, tokenizer, options, step),
    badImages: () => ({ count: bad.size, names: [...names] }),
    truncatedCaptions: () => truncated,
    async close() {
      if (closed) return;
      closed = true;
      ahead.clear();
      await pool?.close();
      source.close?.();
    },
  };
}
