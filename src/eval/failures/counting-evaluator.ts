import { createHash } from "node:crypto";
import { heldOutVendorName, openEmoji, Random } from "../../data/index.ts";
import type { RgbImage } from "../../image/index.ts";
import { accuracyInterval, bootstrap } from "../bootstrap.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import type { EvalDetails, EvalResult, Figure } from "../result.ts";
import { dataOf, eachRow, nearest, numberOption, resultOf, textWeights } from "../shift/evaluation-parts.ts";
import type { LabelledImages } from "../tasks/task.ts";
import { canvas, counted, isNoun, type Noun, NUMBERS } from "./counting.ts";

/** Raised whenever the pictures come out otherwise. */
const VERSION = 1;

/** One picture's answer. */
interface Answer {
  readonly count: number;
  readonly said: number;
  /** Whether the thing itself was named rightly among all things, in the right number. */
  readonly named: boolean;
}

/**
 * Counting: pictures with one to `most` copies of the same drawing, of a vendor that training left out, and for each the prompts "one dog", "two
 * dogs"...: which number fits best? Beside it, whether the thing is recognised, so that a failure is one of counting.
 * Options: `most` (6), `repeats` of each thing and number (3).
 */
export const evaluateCounting: Evaluator = async (context) => {
  const most = numberOption(context, "most", 6, 2);
  if (most > NUMBERS.length) throw new Error(`--most: expected at most ${NUMBERS.length}, got ${most}`);
  const plan = { most, repeats: numberOption(context, "repeats", 3, 1), seed: context.seed, vendor: heldOutVendorName };
  const set = await openEmoji();
  try {
    const things = set.drawings.flatMap(({ vendor, concept }, drawing): Thing[] => {
      const name = set.concepts[concept]?.name ?? "";
      return vendor === heldOutVendorName && isNoun(name) ? [{ noun: name, image: set.image(drawing) }] : [];
    });
    return [await countThings(context, things, plan, "counted-emoji")];
  } finally {
    set.close();
  }
};

export interface Thing {
  readonly noun: Noun;
  readonly image: RgbImage;
}

export interface CountingPlan {
  /** The largest number. */
  readonly most: number;
  /** Pictures of each thing and number. */
  readonly repeats: number;
  readonly seed: number;
  /** Whose drawings they are. */
  readonly vendor?: string;
}

/** What a model says of things that are counted. */
export async function countThings(
  context: EvalContext,
  things: readonly Thing[],
  plan: CountingPlan,
  name: string,
): Promise<EvalResult> {
  const started = performance.now();
  const { most, repeats } = plan;
  const images = countedImages(things, plan, name);
  const set = await context.featuresOf(images);
  const weights = await textWeights(context, images.classNames);
  const answers: Answer[] = [];
  await eachRow(set.projected, (row, i) => {
    const label = set.labels[i] ?? 0;
    const noun = Math.floor(label / most);
    const count = (label % most) + 1;
    const numbers = weights.slice(noun * most, (noun + 1) * most);
    const nouns = weights.filter((_, text) => text % most === count - 1);
    answers.push({ count, said: nearest(row, numbers) + 1, named: nearest(row, nouns) === noun });
  });
  return resultOf(context, {
    kind: "counting",
    task: name,
    data: dataOf(images, set.unreadable.length),
    figures: figuresOf(answers, most, context.seed),
    settings: {
      templates: [...context.templates],
      most,
      repeats,
      things: things.map(({ noun }) => noun),
      vendor: plan.vendor ?? "",
    },
    details: detailsOf(answers, most),
    started,
  });
}

/** Thing by thing, number by number; the class is both. */
function countedImages(things: readonly Thing[], { most, repeats, seed }: CountingPlan, name: string): LabelledImages {
  const count = things.length * most * repeats;
  const hash = createHash("sha256").update(JSON.stringify({ version: VERSION, most, repeats, seed }));
  for (const { noun, image } of things) hash.update(noun).update(image.data);
  const cells = Math.ceil(Math.sqrt(most));
  const of = (index: number) => {
    const label = Math.floor(index / repeats);
    const thing = things[Math.floor(label / most)];
    if (!thing) throw new Error(`${name}: picture must be in 0 .. ${count - 1}, got ${index}`);
    return { ...thing, label, number: (label % most) + 1 };
  };
  return {
    ...{ name, count },
    classNames: things.flatMap(({ noun }) => Array.from({ length: most }, (_, i) => counted(noun, i + 1))),
    labels: Int32Array.from({ length: count }, (_, i) => of(i).label),
    contentHash: hash.digest("hex"),
    image: async (index) => canvas(of(index).image, of(index).number, cells, new Random(seed, index)),
    describe: (index) => `${counted(of(index).noun, of(index).number)}, ${index % repeats}`,
  };
}

function figuresOf(answers: readonly Answer[], most: number, seed: number): Figure[] {
  const samples = answers.length;
  const share = (name: string, right: number): Figure => {
    const { value, low, high } = accuracyInterval(right, samples);
    return { name, value, low, high, samples, unit: "share" };
  };
  const off = ({ count, said }: Answer): number => Math.abs(count - said);
  const meanOff = (indices: Uint32Array): number =>
    indices.reduce((sum, i) => sum + off(answers[i] ?? { count: 0, said: 0, named: false }), 0) / indices.length;
  const { value, low, high } = bootstrap(samples, meanOff, { seed });
  // Of somebody who says each number equally often: (n^2 - 1) / 3n.
  const guess = (most * most - 1) / (3 * most);
  return [
    share("right number", answers.filter((answer) => off(answer) === 0).length),
    { name: "mean distance from the number", value, low, high, samples, unit: "score" },
    { name: "mean distance of guessing", value: guess, samples, unit: "score" },
    { name: "right number by guessing", value: 1 / most, samples, unit: "share" },
    share("right thing, number given", answers.filter(({ named }) => named).length),
  ];
}

function detailsOf(answers: readonly Answer[], most: number): EvalDetails {
  const numbers = NUMBERS.slice(0, most);
  const cell = (count: number, said: number): number =>
    answers.filter((answer) => answer.count === count && answer.said === said).length;
  const pairs = numbers
    .flatMap((_, i) => numbers.map((_, j) => ({ i, j, n: cell(i + 1, j + 1) })))
    .filter(({ n }) => n > 0);
  return {
    classNames: [...numbers],
    perClass: numbers.map((_, i) => {
      const samples = answers.filter(({ count }) => count === i + 1).length;
      const { value, low, high } = accuracyInterval(cell(i + 1, i + 1), Math.max(1, samples));
      return { samples, value, low, high };
    }),
    confusion: { actual: pairs.map(({ i }) => i), predicted: pairs.map(({ j }) => j), counts: pairs.map(({ n }) => n) },
    tables: [
      {
        title: "Numbers said, by numbers shown",
        head: ["shown", ...numbers],
        rows: numbers.map((name, i) => [name, ...numbers.map((_, j) => cell(i + 1, j + 1))]),
      },
    ],
  };
}
