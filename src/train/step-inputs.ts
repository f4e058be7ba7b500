/** What the programs of a step are fed: pictures, texts without their padding, the patches that are seen, the numbers of the update. */
import type { HostTensors } from "../engine/engine.ts";
import { hostTensor } from "../graph/index.ts";
import type { StepShape } from "./graphs.ts";
import { updateScalars } from "./optimizer.ts";
import { drawPatches, keptPatches } from "./patch-dropout.ts";
import { packTexts, ROW_BLOCK } from "./text-packing.ts";

/** Pairs as the loader gives them. */
export interface PairBatch {
  /** u8 [batch, size, size, 3]. */
  readonly images: Uint8Array;
  /** [batch, context], padded with 0. */
  readonly tokens: Int32Array;
}

/** How the pairs of a micro-batch become inputs. */
export interface Feed {
  readonly shape: StepShape;
  /** The part of all rows that this process feeds. */
  readonly rows: { readonly index: number; readonly of: number };
  /** Whether texts go in without their padding, and whether to few sizes. */
  readonly packs: boolean;
  readonly fewSizes: boolean;
  /** Of the patches that are drawn. */
  readonly seed: number;
}

/** Of `count` consecutive rows, those that this process feeds. */
export const ownRows = ({ rows: { index, of } }: Feed, count: number): { first: number; count: number } => ({
  first: (index * count) / of,
  count: count / of,
});

/** @param row of the first pair, in the step's whole batch */
export const pairInputs = (feed: Feed, { images, tokens }: PairBatch, step: number, row: number): HostTensors => ({
  images: pictureInput(feed, images),
  ...textInputs(feed, tokens),
  ...patchInputs(feed, step, row),
});

function pictureInput(feed: Feed, images: Uint8Array) {
  const { batch, config } = feed.shape;
  const { count } = ownRows(feed, batch);
  return hostTensor("u8", [count, config.imageSize, config.imageSize, 3], images);
}

/** Their shapes say how long the texts are, where they are packed. */
export function textInputs(feed: Feed, tokens: Int32Array): HostTensors {
  const { batch, config, textParts = 1 } = feed.shape;
  const { packs, fewSizes } = feed;
  const context = config.text.contextLength;
  if (!packs) return { tokens: hostTensor("i32", [ownRows(feed, batch).count, context], tokens) };
  const { length, rows, places, tokens: cut } = packTexts(tokens, batch, context, { fewSizes, parts: textParts });
  return {
    tokens: hostTensor("i32", [batch, length], cut),
    rows: hostTensor("i32", [textParts, rows.length / textParts / ROW_BLOCK, ROW_BLOCK], rows),
    places: hostTensor("i32", [batch, length], places),
  };
}

function patchInputs(feed: Feed, step: number, row: number): HostTensors {
  const { batch, config, patches: kept } = feed.shape;
  if (kept === undefined) return {};
  const { first, count } = ownRows(feed, batch);
  const drawn = drawPatches({ seed: feed.seed, step, row: row + first }, count, keptPatches(config, 0), kept);
  return { patches: hostTensor("i32", [count, kept], drawn) };
}

export const scalarInputs = ({ shape: { adam } }: Feed, learningRate: number, step: number): HostTensors =>
  Object.fromEntries(
    Object.entries(updateScalars(adam, learningRate, step)).map(([name, value]) => [
      name,
      hostTensor("f32", [], [value]),
    ]),
  );
