/** Retrieval both ways between pictures and their captions, without ever holding the matrix of all scores. */
import { mapAhead } from "../ahead.ts";
import type { FeatureMatrix } from "./tasks/features.ts";

/** Products of all pairs: rows [n, width] and columns [m, width] make [n, m]. Near ties are decided in double precision behind it. */
export type Products = (
  rows: Float32Array,
  columns: Float32Array,
  width: number,
) => Float32Array | Promise<Float32Array>;

export interface RetrievalOptions {
  /** What multiplies blocks; an engine's product is a hundred times as fast as the plain one. @default in double precision, here */
  readonly products?: Products;
  /** Rows of texts, and of pictures, that are multiplied at once: memory is about 8 x (block^2 + 2 x block x width) bytes. @default 2048 */
  readonly block?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Ranks {
  /** [texts]: how many pictures come before the text's own. */
  readonly textToImage: Int32Array;
  /** [pictures]: how many texts come before the best of the picture's own; -1 where it has none. */
  readonly imageToText: Int32Array;
}

/** Some texts and some pictures. */
interface Block {
  readonly rows: Float32Array;
  readonly columns: Float32Array;
  /** Texts t0 to t1, pictures i0 to i1. */
  readonly at: { readonly t0: number; readonly t1: number; readonly i0: number; readonly i1: number };
}

/** What the right answers score: nothing else need be known of them to tell what comes before. */
interface RightAnswers {
  /** [texts]: the number of each text's picture. */
  readonly owners: Int32Array;
  /** [texts]: with its picture. */
  readonly textScores: Float64Array;
  /** [pictures]: the text of it that scores highest; -1 where it has none. */
  readonly bestTexts: Int32Array;
  /** [pictures]: with that text; infinite where there is none, since nothing comes before it. */
  readonly imageScores: Float64Array;
}

/** Scores of unit vectors that differ by less may come out in either order in single precision. */
const NEAR = 4e-6;

/**
 * Where the right answer comes: 0 is first. Of equal scores the lower number comes first, so that the result is the same on every
 * engine. Time grows with texts x pictures x width, memory only with the block.
 * @param owners [texts]: the number of each text's picture
 * @throws one line if the sizes do not fit
 */
export async function retrievalRanks(
  texts: FeatureMatrix,
  images: FeatureMatrix,
  owners: Int32Array,
  { products = plainProducts, block = 2048, signal, onProgress }: RetrievalOptions = {},
): Promise<Ranks> {
  const { width } = texts;
  if (images.width !== width) throw new Error(`retrieval: texts have ${width} numbers each, pictures ${images.width}`);
  if (owners.length !== texts.count) throw new Error(`retrieval: ${texts.count} texts have ${owners.length} owners`);
  const right = await rightAnswers(texts, images, owners, block);
  const ranks: Ranks = {
    textToImage: new Int32Array(texts.count),
    imageToText: right.bestTexts.map((text) => (text < 0 ? -1 : 0)),
  };
  const total = texts.count * images.count;
  let done = 0;
  const multiplied = async (one: Block) => ({ ...one, scores: await products(one.rows, one.columns, width) });
  // While a block is counted, the next one is multiplied.
  for await (const { scores, ...one } of mapAhead(blocksOf(texts, images, block), 2, multiplied)) {
    signal?.throwIfAborted();
    countBefore(ranks, scores, one, width, right);
    done += (one.at.t1 - one.at.t0) * (one.at.i1 - one.at.i0);
    onProgress?.(done, total);
  }
  return ranks;
}

/** @throws one line if a text belongs to a picture that there is not */
async function rightAnswers(
  texts: FeatureMatrix,
  images: FeatureMatrix,
  owners: Int32Array,
  block: number,
): Promise<RightAnswers> {
  const textScores = new Float64Array(texts.count);
  const imageScores = new Float64Array(images.count).fill(Number.NEGATIVE_INFINITY);
  const bestTexts = new Int32Array(images.count).fill(-1);
  for (let t0 = 0; t0 < texts.count; t0 += block) {
    const t1 = Math.min(texts.count, t0 + block);
    const rows = await texts.read(t0, t1);
    let from = -1;
    let columns: Float32Array = new Float32Array(0);
    // Texts mostly come in their pictures' order, so that a few blocks of pictures are read once each.
    const order = Array.from({ length: t1 - t0 }, (_, i) => t0 + i).sort(
      (a, b) => (owners[a] ?? 0) - (owners[b] ?? 0) || a - b,
    );
    for (const text of order) {
      const image = owners[text] ?? -1;
      if (!(image >= 0 && image < images.count))
        throw new Error(`retrieval: text ${text} belongs to picture ${image}, there are ${images.count}`);
      const start = image - (image % block);
      if (start !== from) {
        columns = await images.read(start, Math.min(images.count, start + block));
        from = start;
      }
      const score = exact(rows, text - t0, columns, image - start, texts.width);
      textScores[text] = score;
      if (score > (imageScores[image] ?? 0) || (score === imageScores[image] && text < (bestTexts[image] ?? 0))) {
        imageScores[image] = score;
        bestTexts[image] = text;
      }
    }
  }
  for (const [image, text] of bestTexts.entries()) if (text < 0) imageScores[image] = Number.POSITIVE_INFINITY;
  return { owners, textScores, bestTexts, imageScores };
}

async function* blocksOf(texts: FeatureMatrix, images: FeatureMatrix, block: number): AsyncGenerator<Block> {
  for (let t0 = 0; t0 < texts.count; t0 += block) {
    const t1 = Math.min(texts.count, t0 + block);
    const rows = await texts.read(t0, t1);
    for (let i0 = 0; i0 < images.count; i0 += block) {
      const i1 = Math.min(images.count, i0 + block);
      yield { rows, columns: await images.read(i0, i1), at: { t0, t1, i0, i1 } };
    }
  }
}

/** Adds to the ranks what of a block of scores comes before the right answers of its texts and of its pictures. */
function countBefore(
  { textToImage, imageToText }: Ranks,
  scores: Float32Array,
  { rows, columns, at: { t0, t1, i0, i1 } }: Block,
  width: number,
  { owners, textScores, bestTexts, imageScores }: RightAnswers,
): void {
  const across = i1 - i0;
  for (let text = t0; text < t1; text++) {
    const own = textScores[text] ?? 0;
    const owner = owners[text] ?? -1;
    const row = (text - t0) * across;
    let before = 0;
    for (let image = i0; image < i1; image++) {
      const score = scores[row + image - i0] ?? 0;
      const best = imageScores[image] ?? 0;
      if (Math.abs(score - own) < NEAR || Math.abs(score - best) < NEAR) {
        const precise = exact(rows, text - t0, columns, image - i0, width);
        if (image !== owner && (precise > own || (precise === own && image < owner))) before++;
        const first = bestTexts[image] ?? -1;
        if (text !== first && (precise > best || (precise === best && text < first)))
          imageToText[image] = (imageToText[image] ?? 0) + 1;
      } else {
        if (score > own) before++;
        if (score > best) imageToText[image] = (imageToText[image] ?? 0) + 1;
      }
    }
    textToImage[text] = (textToImage[text] ?? 0) + before;
  }
}

function exact(rows: Float32Array, row: number, columns: Float32Array, column: number, width: number): number {
  let sum = 0;
  for (let i = 0, a = row * width, b = column * width; i < width; i++)
    sum += (rows[a + i] ?? 0) * (columns[b + i] ?? 0);
  return sum;
}

function plainProducts(rows: Float32Array, columns: Float32Array, width: number): Float32Array {
  const across = columns.length / width;
  const out = new Float32Array((rows.length / width) * across);
  for (let i = 0; i < out.length; i++) out[i] = exact(rows, Math.floor(i / across), columns, i % across, width);
  return out;
}

export interface Recall {
  readonly queries: number;
  /** Share whose answer is among the first 1, 5 and 10. */
  readonly recall1: number;
  readonly recall5: number;
  readonly recall10: number;
  /** Counted from 1, as the field reports them. */
  readonly meanRank: number;
  readonly medianRank: number;
}

/** Figures of ranks; those below 0 are of no query. */
export function recall(ranks: ArrayLike<number>): Recall {
  const known = Float64Array.from(Array.from(ranks).filter((rank) => rank >= 0)).sort();
  const n = known.length;
  const within = (k: number): number => known.reduce((sum, rank) => sum + (rank < k ? 1 : 0), 0) / n;
  const middle = [known[(n - 1) >> 1] ?? 0, known[n >> 1] ?? 0];
  return {
    queries: n,
    recall1: within(1),
    recall5: within(5),
    recall10: within(10),
    meanRank: known.reduce((sum, rank) => sum + rank, 0) / n + 1,
    medianRank: ((middle[0] ?? 0) + (middle[1] ?? 0)) / 2 + 1,
  };
}
