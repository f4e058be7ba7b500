import { bootstrap } from "./bootstrap.ts";
import { openCaptions } from "./captioned-images.ts";
import { classWeights } from "./class-weights.ts";
import type { EvalContext, Evaluator } from "./evaluator.ts";
import { thumbnail } from "./outcome.ts";
import type { EvalDetails, Figure } from "./result.ts";
import { type Ranks, recall, retrievalRanks } from "./retrieval.ts";
import { engineProducts } from "./retrieval-products.ts";
import { dataOf, numberOption, resultOf, singleLabels, textWeights } from "./shift/evaluation-parts.ts";
import { type FeatureMatrix, type FeatureSet, memoryMatrix, normalizedMatrix } from "./tasks/features.ts";
import type { LabelledImages } from "./tasks/task.ts";

/** What is looked for with what. Each item of the first side has exactly one partner of the second. */
interface Sides {
  readonly images: LabelledImages;
  readonly set: FeatureSet;
  readonly first: { readonly name: string; readonly matrix: FeatureMatrix };
  readonly second: { readonly name: string; readonly matrix: FeatureMatrix };
  readonly owners: Int32Array;
  readonly captions: readonly string[];
  readonly templates: readonly string[];
}

/** Products from which an engine is quicker than this thread. */
const LARGE = 2 ** 27;

/**
 * Retrieval both ways. Option `captions`: a table of pictures and captions, or `clip-art`; without it the names of the task's classes are the texts:
 * then a picture's name is looked for among all names, and for each name the best of its pictures among all pictures. Option
 * `block`: rows that are multiplied at once.
 */
export const evaluateRetrieval: Evaluator = async (context) => {
  const started = performance.now();
  const { clip, seed, options } = context;
  const block = numberOption(context, "block", 2048, 1);
  const sides =
    options.captions === undefined ? await names(context) : await captioned(context, String(options.captions));
  const { images, set, first, second, owners, captions, templates } = sides;
  const isLarge = first.matrix.count * second.matrix.count * first.matrix.width >= LARGE;
  const engine = isLarge ? engineProducts(clip.engine) : undefined;
  let ranks: Ranks;
  const begun = performance.now();
  try {
    ranks = await retrievalRanks(first.matrix, second.matrix, owners, {
      block,
      ...(engine && { products: engine.products }),
      ...(context.signal && { signal: context.signal }),
      onProgress: (done, total) => context.progress("retrieval", done, total),
    });
  } finally {
    await engine?.close();
  }
  const ranking = (performance.now() - begun) / 1000;
  return [
    resultOf(context, {
      kind: "retrieval",
      ...(options.captions !== undefined && { task: images.name }),
      data: { ...dataOf(images, set.unreadable.length), classes: captions.length },
      figures: [
        ...figuresOf(`${first.name} to ${second.name}`, ranks.textToImage, seed),
        ...figuresOf(`${second.name} to ${first.name}`, ranks.imageToText, seed),
      ],
      settings: {
        templates: [...templates],
        captions: String(options.captions ?? "class names"),
        [first.name]: first.matrix.count,
        [second.name]: second.matrix.count,
        block,
        arithmetic: isLarge ? clip.engine.name : "double precision",
        rankingSeconds: ranking,
      },
      details: {
        curves: [recallCurve(sides, ranks)],
        ...(options.captions === undefined ? {} : { examples: [await shown(sides)] }),
        notes: ["Of equal scores the one with the lower number comes first.", ...sameTexts(captions)],
      },
      started,
    }),
  ];
};

async function captioned(context: EvalContext, said: string): Promise<Sides> {
  const { clip } = context;
  const given = await openCaptions(said, clip.config.imageSize, {
    cache: context.cache,
    onProgress: (done, total) => context.progress("titles and hashes", done, total),
  });
  const set = await context.featuresOf(given.images);
  // Pictures that cannot be read are no candidates, and their captions no queries.
  const rowOf = new Map([...set.indices].map((index, row) => [index, row]));
  const kept = given.captions.flatMap((caption, i) => {
    const row = rowOf.get(given.owners[i] ?? -1);
    return row === undefined ? [] : [{ caption, row }];
  });
  if (kept.length === 0) throw new Error(`${said}: expected pictures with captions, got none`);
  const captions = kept.map(({ caption }) => caption);
  const templates = given.areNames ? context.templates : ["{}"];
  const rows = given.areNames ? await textWeights(context, captions) : await encoded(context, captions);
  return {
    ...{ images: given.images, set, captions, templates },
    first: { name: "texts", matrix: stacked(rows) },
    second: { name: "pictures", matrix: normalizedMatrix(set.projected) },
    owners: Int32Array.from(kept, ({ row }) => row),
  };
}

/** Captions by themselves, what is too long of them cut off, as the published evaluations do. */
async function encoded({ clip, signal, progress }: EvalContext, captions: readonly string[]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let start = 0; start < captions.length; start += 1024) {
    signal?.throwIfAborted();
    rows.push(
      ...(await clip.encodeText(captions.slice(start, start + 1024), { normalize: true, longText: "truncate" })),
    );
    progress("captions", rows.length, captions.length);
  }
  return rows;
}

async function names(context: EvalContext): Promise<Sides> {
  const { clip, classNames, templates, cache } = context;
  const images = await context.images("test");
  singleLabels("retrieval", images);
  const set = await context.features("test");
  const rows = await classWeights(clip, classNames, templates, cache);
  return {
    ...{ images, set, captions: classNames, templates },
    first: { name: "pictures", matrix: normalizedMatrix(set.projected) },
    second: { name: "names", matrix: stacked(rows) },
    owners: set.labels,
  };
}

function stacked(rows: readonly Float32Array[]): FeatureMatrix {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return memoryMatrix(data, width);
}

function figuresOf(way: string, ranks: Int32Array, seed: number): Figure[] {
  const known = ranks.filter((rank) => rank >= 0);
  const { recall1, recall5, recall10, medianRank, meanRank } = recall(known);
  const samples = known.length;
  const share = (k: number, value: number): Figure => {
    const within = (indices: Uint32Array): number =>
      indices.reduce((sum, i) => sum + ((known[i] ?? k) < k ? 1 : 0), 0) / indices.length;
    const { low, high } = bootstrap(samples, within, { seed, resamples: 1000 });
    return { name: `recall@${k} ${way}`, value, low, high, samples, unit: "share" };
  };
  return [
    ...[share(1, recall1), share(5, recall5), share(10, recall10)],
    { name: `median rank ${way}`, value: medianRank, samples, unit: "score" },
    { name: `mean rank ${way}`, value: meanRank, samples, unit: "score" },
  ];
}

function recallCurve({ first, second }: Sides, ranks: Ranks): NonNullable<EvalDetails["curves"]>[number] {
  const line = (name: string, all: Int32Array) => {
    const known = all.filter((rank) => rank >= 0);
    const points = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
      .filter((k) => k <= Math.max(first.matrix.count, second.matrix.count))
      .map((k) => ({ x: k, y: known.filter((rank) => rank < k).length / known.length }));
    return { name, points };
  };
  return {
    title: "Recall among the first k",
    x: { name: "k", log: true },
    y: { name: "recall", unit: "share" },
    lines: [
      line(`${first.name} to ${second.name}`, ranks.textToImage),
      line(`${second.name} to ${first.name}`, ranks.imageToText),
    ],
  };
}

/** Captions that several pictures have: of these, all but one picture count as wrong. */
function sameTexts(captions: readonly string[]): string[] {
  const same = captions.length - new Set(captions).size;
  return same === 0
    ? []
    : [`${same} of ${captions.length} texts stand more than once; only each one's own picture counts.`];
}

const SHOWN = { queries: 8, answers: 4 } as const;

/** For a few captions, spread over all, the pictures that were found. */
async function shown({ images, set, first, second, owners, captions }: Sides) {
  const queries = Array.from({ length: Math.min(SHOWN.queries, captions.length) }, (_, i) =>
    Math.floor(((i + 0.5) * captions.length) / Math.min(SHOWN.queries, captions.length)),
  );
  const { width } = first.matrix;
  const texts = await Promise.all(queries.map((query) => first.matrix.read(query, query + 1)));
  const best: { row: number; score: number }[][] = queries.map(() => []);
  for (let start = 0; start < second.matrix.count; start += 512) {
    const end = Math.min(second.matrix.count, start + 512);
    const rows = await second.matrix.read(start, end);
    for (const [q, text] of texts.entries()) {
      const found = best[q] ?? [];
      for (let row = start; row < end; row++) {
        const at = (row - start) * width;
        found.push({ row, score: text.reduce((sum, x, i) => sum + x * (rows[at + i] ?? 0), 0) });
      }
      best[q] = found.sort((a, b) => b.score - a.score || a.row - b.row).slice(0, SHOWN.answers);
    }
  }
  const rows = queries.map(async (query, q) => ({
    query: { text: captions[query] ?? "" },
    answers: await Promise.all(
      (best[q] ?? []).map(async ({ row, score }) => ({
        picture: await pictureOf(images, set.indices[row] ?? -1),
        score,
        right: row === owners[query],
      })),
    ),
  }));
  return { title: "Pictures found for captions, with their cosines", rows: await Promise.all(rows) };
}

const pictureOf = async (images: LabelledImages, index: number) => ({
  name: images.describe(index),
  index,
  thumbnail: await thumbnail(images, index),
});
