import { openEmoji } from "../../data/index.ts";
import { bootstrap } from "../bootstrap.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import type { Figure } from "../result.ts";
import { dataOf, eachRow, nearest, resultOf, singleLabels, textWeights } from "../shift/evaluation-parts.ts";
import { type Association, association, leaning } from "./association.ts";
import { AUDITS, type Audit, type Imbalance, imbalances, mentions } from "./term-groups.ts";

/** Vectors of one side of an audit. */
interface Group {
  readonly name: string;
  readonly rows: readonly Float32Array[];
}

/** Two groups of an audit, and how they lean to its attributes. */
interface Comparison {
  readonly audit: string;
  /** What the groups are of. */
  readonly kind: "pictures" | "texts";
  readonly x: Group;
  readonly y: Group;
  /** Undefined where a group is too small to be tested. */
  readonly found: Association | undefined;
  /** Of each group the share whose label is one of the first attributes, as a row of a table. */
  readonly labelled: readonly string[];
}

/**
 * Associations between groups of people and attributes: groups of the test pictures, by what their class names say, and groups of texts. Also
 * how much more often pictures of one group than of the other are given a label of the first attributes, and how often the data set's
 * own texts mention each group.
 */
export const evaluateBias: Evaluator = async (context) => {
  const started = performance.now();
  const { classNames, templates } = context;
  const images = await context.images("test");
  singleLabels("bias", images);
  const set = await context.features("test");
  const rows: Float32Array[] = [];
  await eachRow(set.projected, (row) => rows.push(row.slice()));
  const pictures = (terms: readonly string[], not: readonly string[]): Float32Array[] =>
    rows.filter((_, i) => {
      const name = classNames[set.labels[i] ?? -1] ?? "";
      return mentions(name, terms) && !mentions(name, not);
    });

  const all: Comparison[] = [];
  for (const audit of AUDITS) all.push(...(await comparisons(context, audit, pictures)));
  const tested = all.flatMap(({ found, ...rest }) => (found ? [{ ...rest, found }] : []));
  const own = await ownCounts(context, set.labels);
  return [
    resultOf(context, {
      kind: "bias",
      data: dataOf(images, set.unreadable.length),
      figures: [
        ...tested.map(({ audit, kind, found }) => figureOf(`${audit}, ${kind}`, found)),
        ...own.flatMap(({ source, counts }) => counts.map((imbalance) => countFigure(source, imbalance))),
      ],
      settings: { templates: [...templates], audits: AUDITS.map(({ name }) => name) },
      details: {
        tables: [
          {
            title: "Associations: above 0, the first group leans to the first attributes",
            head: ["audit", "of", "groups", "effect size", "low", "high", "p", "sizes"],
            rows: tested.map(({ audit, kind, x, y, found }) => [
              ...[audit, kind, `${x.name} - ${y.name}`],
              ...columnsOf(found),
            ]),
          },
          {
            title: "Pictures given one of the first attributes as label, in per cent",
            head: ["audit", "first group", "second group", "difference", "low", "high"],
            rows: tested.filter(({ kind }) => kind === "pictures").map(({ audit, labelled }) => [audit, ...labelled]),
          },
          ...own.map(({ source, counts }) => ({
            title: `How many ${source} mention whom`,
            head: ["of", "group", "count"],
            rows: counts.map(({ of, group, count }) => [of, group, count]),
          })),
        ],
        notes: [
          ...all.filter(({ found }) => !found).map(tooSmall),
          "An effect size tells of these words and pictures, no more; pictures that say both groups are left out.",
          "p is one-sided: how often a random division of the two groups leans at least as much to the first attributes.",
        ],
      },
      started,
    }),
  ];
};

/** @param pictures features of those whose names say one of the terms and none of others */
async function comparisons(
  context: EvalContext,
  { name: audit, x, y, a, b }: Audit,
  pictures: (terms: readonly string[], not: readonly string[]) => readonly Float32Array[],
): Promise<Comparison[]> {
  const { seed } = context;
  const [first, second] = [await embedded(context, a.terms), await embedded(context, b.terms)];
  const compared = (kind: Comparison["kind"], xRows: Group["rows"], yRows: Group["rows"]): Comparison => {
    const groups = { x: { name: x.name, rows: xRows }, y: { name: y.name, rows: yRows } };
    if (Math.min(xRows.length, yRows.length) < 2) return { audit, kind, ...groups, found: undefined, labelled: [] };
    const lean = ({ rows }: Group): number[] => rows.map((row) => leaning(row, first, second));
    const found = association(lean(groups.x), lean(groups.y), { seed });
    const labelled =
      kind === "pictures" ? labelShares(groups.x, groups.y, [...first, ...second], first.length, seed) : [];
    return { audit, kind, ...groups, found, labelled };
  };
  return [
    compared("pictures", pictures(x.terms, y.terms), pictures(y.terms, x.terms)),
    compared("texts", await embedded(context, x.terms), await embedded(context, y.terms)),
  ];
}

const tooSmall = ({ audit, kind, x, y }: Comparison): string =>
  `${audit}: there are ${x.rows.length} ${kind} of ${x.name} and ${y.rows.length} of ${y.name}: not tested.`;

const countFigure = (source: string, { of, group, count }: Imbalance): Figure => ({
  name: `${source} that say ${of}: ${group}`,
  value: count,
  samples: count,
  unit: "count",
});

const embedded = (context: EvalContext, terms: Audit["a"]["terms"]): Promise<readonly Float32Array[]> =>
  textWeights(context, terms);

const figureOf = (name: string, { effectSize, low, high, sizes }: Association): Figure => ({
  name: `effect size, ${name}`,
  value: effectSize,
  low,
  high,
  samples: sizes.x + sizes.y,
  unit: "score",
});

const columnsOf = ({ effectSize, low, high, pValue, sizes }: Association): string[] => [
  ...[effectSize, low, high].map((value) => value.toFixed(2)),
  pValue < 0.001 ? pValue.toExponential(1) : pValue.toFixed(3),
  `${sizes.x}, ${sizes.y}`,
];

/** Shares of two groups whose nearest label is one of the first `of`, and their difference with its interval, in per cent. */
function labelShares(x: Group, y: Group, labels: readonly Float32Array[], of: number, seed: number): string[] {
  const answers = [...x.rows, ...y.rows].map((row) => (nearest(row, labels) < of ? 1 : 0));
  const strata = answers.map((_, i) => (i < x.rows.length ? 0 : 1));
  const share = (indices: Uint32Array): number =>
    indices.reduce((sum, i) => sum + (answers[i] ?? 0), 0) / indices.length;
  const { value, low, high } = bootstrap(
    answers.length,
    // Strata come one after the other.
    (indices) => share(indices.subarray(0, x.rows.length)) - share(indices.subarray(x.rows.length)),
    { seed, strata },
  );
  const whole = Uint32Array.from(answers, (_, i) => i);
  const shares = [share(whole.subarray(0, x.rows.length)), share(whole.subarray(x.rows.length))];
  return [...shares, value, low, high].map((number) => (100 * number).toFixed(1));
}

/** What the data set's own texts say, by source of texts. */
async function ownCounts({ classNames, task }: EvalContext, labels: Int32Array) {
  const perClass = new Float64Array(classNames.length);
  for (const label of labels) perClass[label] = (perClass[label] ?? 0) + 1;
  const found: { source: string; counts: readonly Imbalance[] }[] = [
    { source: "pictures by class name", counts: imbalances(classNames, perClass) },
  ];
  if (task.test.kind === "emoji") {
    const set = await openEmoji();
    try {
      const captions = set.concepts.flatMap(({ name, keywords }) => [name, ...keywords]);
      found.push({ source: "captions of the emoji set", counts: imbalances(captions) });
    } finally {
      set.close();
    }
  }
  return found;
}
