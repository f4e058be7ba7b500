import { Random } from "../../data/index.ts";
import { encodePng } from "../../image/index.ts";
import { accuracyInterval } from "../bootstrap.ts";
import { classWeights } from "../class-weights.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { numbersOption } from "../learning/options.ts";
import type { EvalDetails, Figure } from "../result.ts";
import {
  dataOf,
  eachRow,
  nearest,
  numberOption,
  resultOf,
  singleLabels,
  textWeights,
} from "../shift/evaluation-parts.ts";
import { pixelsOf } from "../tasks/labelled-images.ts";
import type { LabelledImages } from "../tasks/task.ts";
import {
  attacked,
  fitted,
  VARIANTS,
  type Variant,
  variantImages,
  writableClasses,
  writtenClasses,
} from "./attacked-pictures.ts";
import { defenceTraining, fineTunedDefence, type TunedEncoder } from "./fine-tuned-defence.ts";
import { addPair, corrected, correctionSums, linearCorrection } from "./linear-correction.ts";

/** Prompts that may help, given those of the task; the one that does best on validation is taken. */
const PROMPTS: Readonly<Record<string, (template: string) => readonly string[]>> = {
  "as they are": (template) => [template],
  "with a word written on it": (template) => [extended(template, " with a word written on it")],
  "with text on it, and as they are": (template) => [template, extended(template, " with text on it")],
  "not the word written on it": (template) => [extended(template, ", not the word that is written on it")],
};

/** Strengths of the correction that are tried on validation. */
const RIDGES = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1] as const;

const extended = (template: string, by: string): string =>
  template.endsWith(".") ? `${template.slice(0, -1)}${by}.` : `${template}${by}`;

/** Of one picture: unit features without a word, with the name of another class, with letters that say nothing. */
interface Attacked {
  readonly picture: number;
  readonly label: number;
  readonly written: number;
  readonly features: Readonly<Record<Variant, Float32Array>>;
}

/**
 * The typographic attack: the name of another class is written on each test picture (Goh et al. 2021, Multimodal Neurons, section "Typographic
 * attacks"). The same number of random letters is the control: what these cost is covering, not reading. Three defences, all chosen on validation
 * pictures (without such a split, on a seeded half of the test pictures): prompts that mention the writing; a linear map of the features that
 * takes attacked pictures back; and, where there are training pictures, an image tower fine-tuned on pictures with words.
 * Options: `epochs` of fine-tuning (2; 0 leaves it out), `rates` to choose from.
 */
export const evaluateTypographic: Evaluator = async (context) => {
  const started = performance.now();
  const { classNames, templates } = context;
  if (writableClasses(classNames).length < 2)
    throw new Error("typographic: expected two classes whose names can be written in Latin letters");
  const epochs = context.task.train ? numberOption(context, "epochs", 2, 0) : 0;
  const rates = numbersOption(context.options, "rates", "1e-5,1e-4,1e-3");
  const { test, validation, chosenOn } = await splits(context);
  const plain = await classWeights(context.clip, classNames, templates, context.cache);

  const prompt = await bestPrompt(context, validation);
  const { ridge, correction } = learned(validation, plain);
  const repaired = (row: Float32Array): Float32Array => corrected(row, correction);

  const without = measured(test.attacked, plain);
  const prompted = measured(test.attacked, prompt.weights);
  const mapped = measured(test.attacked, plain, repaired);
  const tuned = epochs > 0 ? await fineTuned(context, test.images, plain, rates, epochs) : undefined;
  const { written, unwritten, clean, word, control, fooled } = without;
  const figures: Figure[] = [
    { name: "attack rate", ...written, unit: "share" },
    { name: "taken for that class without the word", ...unwritten, unit: "share" },
    { name: "top-1 without a word", ...clean, unit: "share" },
    { name: "top-1 with another class's name", ...word, unit: "share" },
    { name: "top-1 with random letters", ...control, unit: "share" },
    { name: "right answers lost to the word", ...fooled, unit: "share" },
    { name: "attack rate, chosen prompts", ...prompted.written, unit: "share" },
    { name: "top-1 with a name, chosen prompts", ...prompted.word, unit: "share" },
    { name: "attack rate, linear correction", ...mapped.written, unit: "share" },
    { name: "top-1 with a name, linear correction", ...mapped.word, unit: "share" },
    { name: "top-1 without a word, linear correction", ...mapped.clean, unit: "share" },
  ];
  if (tuned)
    figures.push(
      { name: "attack rate, fine-tuned", ...tuned.result.written, unit: "share" },
      { name: "top-1 with a name, fine-tuned", ...tuned.result.word, unit: "share" },
      { name: "top-1 without a word, fine-tuned", ...tuned.result.clean, unit: "share" },
    );
  return [
    resultOf(context, {
      kind: "typographic",
      data: dataOf(test.images, test.unreadable),
      figures,
      settings: {
        templates: [...templates],
        chosenOn,
        validationPictures: validation.length,
        prompts: prompt.name,
        promptTemplates: [...prompt.templates],
        promptScores: prompt.scores,
        ridge,
        ...(tuned && { fineTuning: { epochs, rates, rate: tuned.rate, trainingPictures: tuned.trainingPictures } }),
      },
      details: {
        tables: [
          defenceTable({
            ...{ none: without, [`prompts ${prompt.name}`]: prompted, "linear correction": mapped },
            ...(tuned && { "fine-tuned image tower": tuned.result }),
          }),
        ],
        worst: await fooledPictures(context, test, plain),
        notes: [
          "Attack rate: pictures that are taken for the class whose name is written on them.",
          `Linear correction: a map of the features, learned by ridge regression from attacked to clean pictures on ${chosenOn}; the encoders stay as they are.`,
        ],
      },
      started,
    }),
  ];
};

interface Split {
  readonly images: LabelledImages;
  readonly attacked: readonly Attacked[];
  readonly unreadable: number;
}

async function splits(context: EvalContext) {
  const { task, seed } = context;
  const all = await attack(context, await context.images("test"));
  if (task.train || task.validation) {
    const { attacked } = await attack(context, await context.images("validation"));
    return { test: all, validation: attacked, chosenOn: "validation" };
  }
  const random = new Random(seed, 0x7a1f);
  const coins = all.attacked.map(() => random.uniform() < 0.5);
  return {
    test: { ...all, attacked: all.attacked.filter((_, i) => coins[i]) },
    validation: all.attacked.filter((_, i) => !coins[i]),
    chosenOn: "a seeded half of the test pictures, which is in no figure",
  };
}

async function attack(context: EvalContext, images: LabelledImages, featuresOf = context.featuresOf): Promise<Split> {
  singleLabels("typographic", images);
  const words = writtenClasses(images.labels, context.classNames, context.seed);
  const variant = async (name: Variant) => {
    const set = await featuresOf(variantImages(context, images, words, name));
    const rows = new Map<number, Float32Array>();
    await eachRow(set.projected, (row, i) => rows.set(set.indices[i] ?? -1, row.slice()));
    return { rows, unreadable: set.unreadable.length };
  };
  const found = { clean: await variant("clean"), word: await variant("word"), nonsense: await variant("nonsense") };
  const rows = [...found.clean.rows].flatMap(([picture, clean]): Attacked[] => {
    const [word, noise] = [found.word.rows.get(picture), found.nonsense.rows.get(picture)];
    const [label, written] = [images.labels[picture] ?? -1, words[picture] ?? -1];
    return word && noise ? [{ picture, label, written, features: { clean, word, nonsense: noise } }] : [];
  });
  return { images, attacked: rows, unreadable: found.clean.unreadable };
}

type Repair = (row: Float32Array) => Float32Array;
const asIs: Repair = (row) => row;

function accuracy(
  rows: readonly Attacked[],
  variant: Variant,
  weights: readonly Float32Array[],
  repair = asIs,
): number {
  const right = rows.filter(({ features, label }) => nearest(repair(features[variant]), weights) === label);
  return right.length / Math.max(1, rows.length);
}

type Share = Required<Pick<Figure, "value" | "low" | "high" | "samples">>;

interface Measured {
  readonly clean: Share;
  readonly word: Share;
  readonly control: Share;
  /** Taken for the class that is written; and for the same one without it. */
  readonly written: Share;
  readonly unwritten: Share;
  /** Of those that were right without the word, those that are wrong with it. */
  readonly fooled: Share;
}

function measured(rows: readonly Attacked[], weights: readonly Float32Array[], repair = asIs): Measured {
  const all = rows.map(({ features, label, written }) => {
    const answer = (variant: Variant): number => nearest(repair(features[variant]), weights);
    const [clean, word, control] = [answer("clean"), answer("word"), answer("nonsense")];
    return {
      ...{ clean: clean === label, word: word === label, control: control === label },
      ...{ written: word === written, unwritten: clean === written },
    };
  });
  const share = (count: number, samples: number): Share => {
    if (samples === 0) return { value: 0, low: 0, high: 1, samples };
    const { value, low, high } = accuracyInterval(count, samples);
    return { value, low, high, samples };
  };
  const count = (name: "clean" | "word" | "control" | "written" | "unwritten"): Share =>
    share(all.filter((answers) => answers[name]).length, all.length);
  const known = all.filter(({ clean }) => clean);
  return {
    clean: count("clean"),
    word: count("word"),
    control: count("control"),
    written: count("written"),
    unwritten: count("unwritten"),
    fooled: share(known.filter(({ word }) => !word).length, known.length),
  };
}

/** The prompts that do best on validation pictures, with and without a word, and the scores of all. */
async function bestPrompt({ clip, classNames, templates }: EvalContext, validation: readonly Attacked[]) {
  const candidates: { name: string; weights: readonly Float32Array[]; templates: readonly string[]; score: number }[] =
    [];
  for (const [name, of] of Object.entries(PROMPTS)) {
    const prompts = templates.flatMap(of);
    const weights = await textWeights({ clip, templates: prompts }, classNames);
    const score = (accuracy(validation, "clean", weights) + accuracy(validation, "word", weights)) / 2;
    candidates.push({ name, weights, templates: prompts, score });
  }
  const best = candidates.reduce((first, candidate) => (candidate.score > first.score ? candidate : first));
  return { ...best, scores: Object.fromEntries(candidates.map(({ name, score }) => [name, score])) };
}

/** The correction whose strength does best on a third of the validation pictures, then learned from all of them. */
function learned(rows: readonly Attacked[], weights: readonly Float32Array[]) {
  const width = rows[0]?.features.clean.length ?? 0;
  const solve = (from: readonly Attacked[], ridge: number): Float64Array => {
    const sums = correctionSums(width);
    for (const { features } of from) for (const variant of VARIANTS) addPair(sums, features[variant], features.clean);
    return linearCorrection(sums, ridge);
  };
  const [learn, choose] = [rows.filter((_, i) => i % 3 !== 0), rows.filter((_, i) => i % 3 === 0)];
  if (learn.length === 0) throw new Error("typographic: expected at least 2 validation pictures");
  const scores = RIDGES.map((ridge) => {
    const repair: Repair = (row) => corrected(row, correction);
    const correction = solve(learn, ridge);
    return accuracy(choose, "clean", weights, repair) + accuracy(choose, "word", weights, repair);
  });
  const ridge = RIDGES[scores.indexOf(Math.max(...scores))] ?? 1;
  return { ridge, correction: solve(rows, ridge) };
}

/** Validation pictures that choose the rate, at most: each costs three encodings a rate. */
const MOST_CHOOSING = 300;

/** The tower of the rate that does best on validation, measured on the test pictures. */
async function fineTuned(
  context: EvalContext,
  test: LabelledImages,
  weights: readonly Float32Array[],
  rates: readonly number[],
  epochs: number,
) {
  const training = await defenceTraining(context);
  if (training.length === 0) throw new Error("typographic: none of the training pictures can be read");
  const all = await context.images("validation");
  const choosing = { ...all, count: Math.min(all.count, MOST_CHOOSING), labels: all.labels.subarray(0, MOST_CHOOSING) };
  let best: { readonly rate: number; readonly score: number; readonly encoder: TunedEncoder } | undefined;
  for (const rate of rates) {
    const encoder = await fineTunedDefence(context, training, { weights, rate, epochs });
    const { attacked: rows } = await attack(context, choosing, encoder.featuresOf);
    const score = accuracy(rows, "clean", weights) + accuracy(rows, "word", weights);
    const isBetter = !best || score > best.score;
    await (isBetter ? best?.encoder : encoder)?.close();
    if (isBetter) best = { rate, score, encoder };
  }
  if (!best) throw new Error("typographic: expected a rate to try, got none");
  try {
    const { attacked: rows } = await attack(context, test, best.encoder.featuresOf);
    return { rate: best.rate, trainingPictures: training.length, result: measured(rows, weights) };
  } finally {
    await best.encoder.close();
  }
}

function defenceTable(by: Readonly<Record<string, Measured>>): NonNullable<EvalDetails["tables"]>[number] {
  const percent = ({ value }: Share): string => (100 * value).toFixed(1);
  return {
    title: "Typographic attack in per cent",
    head: ["defence", "top-1 without a word", "with random letters", "with another class's name", "attack rate"],
    rows: Object.entries(by).map(([name, { clean, control, word, written }]) => [
      name,
      ...[clean, control, word, written].map(percent),
    ]),
  };
}

/** Pictures at most that a page shows. */
const SHOWN = 12;

/** Pictures that were named rightly and are taken for what is written on them. */
async function fooledPictures(
  { classNames, seed, clip }: EvalContext,
  { images, attacked: rows }: Split,
  weights: readonly Float32Array[],
): Promise<NonNullable<EvalDetails["worst"]>> {
  const taken = rows.filter(({ features, label, written }) => {
    return nearest(features.clean, weights) === label && nearest(features.word, weights) === written;
  });
  const pictures = taken.slice(0, SHOWN).map(async ({ picture, label, written, features }) => {
    const name = classNames[written] ?? "";
    const image = fitted(await pixelsOf(images, picture), Math.min(96, clip.config.imageSize), clip.preprocess);
    const png = Buffer.from(await encodePng(await attacked("word", image, name, new Random(seed, picture))));
    const cosines = weights.map((weight) => weight.reduce((sum, x, i) => sum + x * (features.word[i] ?? 0), 0));
    const highest = Math.max(...cosines);
    const total = cosines.reduce((sum, cosine) => sum + Math.exp(clip.logitScale * (cosine - highest)), 0);
    return {
      picture: {
        name: images.describe(picture),
        index: picture,
        thumbnail: `data:image/png;base64,${png.toString("base64")}`,
      },
      label: classNames[label] ?? "",
      predicted: name,
      confidence: 1 / total,
    };
  });
  return Promise.all(pictures);
}
