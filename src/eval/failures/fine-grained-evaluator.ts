import { Random } from "../../data/index.ts";
import { dotProduct } from "../../directions.ts";
import { accuracyInterval, bootstrap } from "../bootstrap.ts";
import { classWeights } from "../class-weights.ts";
import type { Evaluator } from "../evaluator.ts";
import type { EvalDetails, Figure } from "../result.ts";
import { dataOf, eachRow, numberOption, resultOf, singleLabels } from "../shift/evaluation-parts.ts";

/** Two classes that are easily taken for each other. */
export interface Pair {
  readonly first: number;
  readonly second: number;
  /** Cosine of the classes' texts. */
  readonly similarity: number;
}

/** The most similar classes: each class's nearest other, every pair once, the nearest first. @param weights unit vectors */
export function nearPairs(
  weights: readonly Float32Array[],
  classes: readonly number[],
  names: readonly string[],
): Pair[] {
  const found = new Map<string, Pair>();
  for (const a of classes) {
    let best: Pair | undefined;
    for (const b of classes) {
      // The same name twice is no pair that anybody could tell apart.
      if (a === b || names[a] === names[b]) continue;
      const similarity = cosine(weights[a], weights[b]);
      if (!best || similarity > best.similarity) best = { first: Math.min(a, b), second: Math.max(a, b), similarity };
    }
    if (best) found.set(`${best.first} ${best.second}`, best);
  }
  return [...found.values()].sort((x, y) => y.similarity - x.similarity || x.first - y.first);
}

function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  return a && b ? dotProduct(a, b) : Number.NaN;
}

/** Pairs that the table shows. */
const SHOWN = 40;

interface PairResult extends Pair {
  readonly pictures: number;
  readonly right: number;
}

/**
 * Pairs of near concepts, two ways each: a picture of either is to be told from the other by the names alone. As many pairs at random are
 * the control. Options: `pairs`, at most (200).
 */
export const evaluateFineGrained: Evaluator = async (context) => {
  const started = performance.now();
  const { clip, classNames, templates, cache, seed } = context;
  const most = numberOption(context, "pairs", 200, 1);
  const images = await context.images("test");
  singleLabels("fine-grained", images);
  const set = await context.features("test");
  const weights = await classWeights(clip, classNames, templates, cache);
  const rows = new Map<number, Float32Array[]>();
  await eachRow(set.projected, (row, i) => {
    const label = set.labels[i] ?? -1;
    rows.set(label, [...(rows.get(label) ?? []), row.slice()]);
  });
  const classes = [...rows.keys()].sort((a, b) => a - b);
  const near = nearPairs(weights, classes, classNames).slice(0, most);
  if (near.length === 0)
    throw new Error(`fine-grained: ${images.name}: expected pictures of two classes with different names`);
  const random = new Random(seed, classes.length);
  const apart = near.map((): Pair => {
    const [first = 0, second = 0] = random.sample(classes, 2);
    return { first, second, similarity: cosine(weights[first], weights[second]) };
  });
  const measured = ({ first, second, similarity }: Pair): PairResult => {
    const right = (of: number, other: number): number =>
      (rows.get(of) ?? []).filter((row) => cosine(row, weights[of]) > cosine(row, weights[other])).length;
    return {
      ...{ first, second, similarity },
      right: right(first, second) + right(second, first),
      pictures: (rows.get(first)?.length ?? 0) + (rows.get(second)?.length ?? 0),
    };
  };
  const [hard, easy] = [near.map(measured), apart.map(measured)];
  return [
    resultOf(context, {
      kind: "fine-grained",
      data: dataOf(images, set.unreadable.length),
      figures: [
        meanFigure("right of two, near pairs", hard, seed),
        meanFigure("right of two, random pairs", easy, seed),
        {
          name: "mean cosine of near pairs' texts",
          value: hard.reduce((sum, { similarity }) => sum + similarity, 0) / hard.length,
          samples: hard.length,
          unit: "score",
        },
      ],
      settings: {
        templates: [...templates],
        pairs: hard.length,
        chosenBy: "each class's nearest other by the cosine of their texts",
      },
      details: detailsOf(hard, classNames),
      started,
    }),
  ];
};

function detailsOf(pairs: readonly PairResult[], classNames: readonly string[]): EvalDetails {
  const name = (label: number): string => classNames[label] ?? "";
  const worst = [...pairs].sort((a, b) => a.right / a.pictures - b.right / b.pictures || b.similarity - a.similarity);
  const rows = worst
    .slice(0, SHOWN)
    .map(({ first, second, similarity, pictures, right }) => [
      ...[name(first), name(second), similarity.toFixed(3), pictures],
      ((100 * right) / pictures).toFixed(1),
    ]);
  const points = pairs.map(({ first, second, similarity, right, pictures }) => ({
    x: similarity,
    y: right / pictures,
    label: `${name(first)}, ${name(second)}`,
  }));
  return {
    tables: [
      {
        title: "Pairs of near concepts, the worst first",
        head: ["one", "other", "cosine of texts", "pictures", "right of two, per cent"],
        rows,
      },
    ],
    curves: [
      {
        title: "Pairs: right of two over the cosine of their texts",
        x: { name: "cosine of texts" },
        y: { name: "right of two", unit: "share" },
        lines: [{ name: "pairs", points }],
      },
    ],
  };
}

/** Mean over pictures; pairs are drawn anew for the interval, since pictures of one pair stand or fall together. */
function meanFigure(name: string, pairs: readonly PairResult[], seed: number): Figure {
  const samples = pairs.reduce((sum, { pictures }) => sum + pictures, 0);
  if (pairs.length === 1) {
    const { value, low, high } = accuracyInterval(pairs[0]?.right ?? 0, samples);
    return { name, value, low, high, samples, unit: "share" };
  }
  const { value, low, high } = bootstrap(
    pairs.length,
    (indices) => {
      let [right, all] = [0, 0];
      for (const i of indices) {
        right += pairs[i]?.right ?? 0;
        all += pairs[i]?.pictures ?? 0;
      }
      return right / all;
    },
    { seed },
  );
  return { name, value, low, high, samples, unit: "share" };
}
