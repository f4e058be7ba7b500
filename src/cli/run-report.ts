import { writeFileAtomic } from "../checkpoint/index.ts";
import { type CLIP, dotProduct, rank } from "../clip.ts";
import { openSource, type PairSource, Random } from "../data/index.ts";
import { classWeights } from "../eval/class-weights.ts";
import { type EmojiResult, evaluateEmoji, openUnseenEmoji } from "../eval/emoji.ts";
import { pixelsOf } from "../eval/tasks/labelled-images.ts";
import type { LabelledImages } from "../eval/tasks/task.ts";
import { type DecodedImage, preprocess, type RgbImage } from "../image/index.ts";
import { type ReportPicture, type ReportPrediction, type ReportTable, reportPage } from "../train/report.ts";
import { onDisk, type RunFolder, readMetrics, reportPath } from "../train/run-folder.ts";

const GRID = 48;
const MATRIX = 12;
/** Captions, unlike prompts, may be longer than the context. */
const CUT = { normalize: true, longText: "truncate" } as const;

/** Evaluates what can be evaluated of a run and writes its report.html. @returns the figures of an emoji run, else none */
export async function reportRun(run: RunFolder, clip: CLIP): Promise<readonly EmojiResult[]> {
  const { source, steps } = run.recipe;
  const metrics = await readMetrics(run.folder);
  const results = source.kind === "emoji" ? await evaluateEmoji(clip, run.folder, source.cacheDir) : [];
  const { title, pictures } = await predictionsOf(run, clip);
  const done = metrics.at(-1)?.step ?? 0;
  const page = reportPage({
    title: run.recipe.name,
    summary: `${done} of ${steps} steps, batch ${run.recipe.batch}, seed ${run.recipe.seed}`,
    metrics,
    tables: results.length > 0 ? [emojiTable(results)] : [],
    predictionsTitle: title,
    predictions: pictures,
    similarity: await similarityOf(run, clip),
  });
  const path = reportPath(run.folder);
  await onDisk(path, () => writeFileAtomic(path, new TextEncoder().encode(page)));
  return results;
}

export function emojiTable(results: readonly EmojiResult[]): ReportTable {
  return {
    title: "Drawings it never saw",
    head: ["task", "prompts", "ways", "drawings", "top-1 %", "top-5 %", "mean per class %"],
    rows: results.map(({ task, prompts, classes, images, top1, top5, meanPerClass }) => [
      task,
      prompts,
      String(classes),
      String(images),
      ...[top1, top5, meanPerClass].map((share) => (100 * share).toFixed(1)),
    ]),
  };
}

/** Some drawings of the held-out vendor with their best names; of one's own data, pairs with the best of their captions. */
async function predictionsOf(
  run: RunFolder,
  clip: CLIP,
): Promise<{ readonly title: string; readonly pictures: readonly ReportPrediction[] }> {
  const { source, seed } = run.recipe;
  if (source.kind === "emoji") {
    const pictures: ReportPrediction[] = [];
    const unseen = await openUnseenEmoji(source.cacheDir);
    for (const { images } of unseen) {
      pictures.push(...(await labelledPredictions(run, clip, images, GRID / unseen.length)));
      await images.close?.();
    }
    return { title: "Drawings of a vendor it never saw, then of concepts it never saw", pictures };
  }
  const pairs = await openSource(source);
  try {
    const chosen = await somePairs(pairs, GRID, seed);
    const captions = [...new Set(chosen.map(({ caption }) => caption))];
    const features = await clip.encodeImage(
      chosen.map(({ image }) => image),
      { normalize: true },
    );
    const texts = await clip.encodeText(captions, CUT);
    const pictures = chosen.map(async ({ image, caption }, i) => ({
      picture: await dataAddress(image, clip),
      caption,
      predictions: rank(features[i] ?? new Float32Array(), captions, texts, clip.logitScale).slice(0, 3),
    }));
    return { title: "Pairs it was trained on, among each other's captions", pictures: await Promise.all(pictures) };
  } finally {
    pairs.close?.();
  }
}

async function labelledPredictions(
  run: RunFolder,
  clip: CLIP,
  source: LabelledImages,
  count: number,
): Promise<ReportPrediction[]> {
  const random = new Random(run.recipe.seed, source.count);
  const indices = random.sample([...Array(source.count).keys()], count);
  const weights = await classWeights(clip, source.classNames, run.recipe.templates, run.folder);
  const images = await Promise.all(indices.map((index) => pixelsOf(source, index)));
  const features = await clip.encodeImage(images, { normalize: true });
  return Promise.all(
    indices.map(async (index, i) => ({
      picture: await dataAddress(images[i], clip),
      caption: source.classNames[source.labels[index] ?? -1] ?? "",
      predictions: rank(features[i] ?? new Float32Array(), source.classNames, weights, clip.logitScale).slice(0, 3),
    })),
  );
}

async function similarityOf(
  run: RunFolder,
  clip: CLIP,
): Promise<{ readonly pairs: readonly ReportPicture[]; readonly cosines: readonly (readonly number[])[] }> {
  const source = await openSource(run.recipe.source);
  try {
    const chosen = await somePairs(source, MATRIX, run.recipe.seed + 1);
    const images = await clip.encodeImage(
      chosen.map(({ image }) => image),
      { normalize: true },
    );
    const texts = await clip.encodeText(
      chosen.map(({ caption }) => caption),
      CUT,
    );
    const pairs = await Promise.all(
      chosen.map(async ({ image, caption }) => ({ picture: await dataAddress(image, clip), caption })),
    );
    return { pairs, cosines: images.map((image) => texts.map((text) => dotProduct(image, text))) };
  } finally {
    source.close?.();
  }
}

/** Pairs at random places; those whose picture cannot be read are left out. */
async function somePairs(
  source: PairSource,
  count: number,
  seed: number,
): Promise<{ readonly image: DecodedImage; readonly caption: string }[]> {
  const random = new Random(seed, source.length);
  const tried = Array.from({ length: Math.min(count, source.length) }, () => random.int(source.length));
  const pairs = [];
  for (const index of new Set(tried)) {
    const image = await source.image(index).catch(() => undefined);
    if (image) pairs.push({ image, caption: source.caption(index, random) });
  }
  return pairs;
}

/** The picture as the model sees it, for a page without references. */
async function dataAddress(image: DecodedImage | undefined, clip: CLIP): Promise<string> {
  if (!image) return "data:,";
  const { default: sharp } = await import("sharp");
  const { data, width, height }: RgbImage = preprocess(image, clip.preprocess);
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png({ palette: true })
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}
