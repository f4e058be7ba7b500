/** What computes each kind of evaluation, loaded when it is asked for. */
import type { Evaluator } from "./evaluator.ts";
import type { EvalKind } from "./result.ts";

interface EvaluatorEntry {
  /** For `clip-ts eval --help`. */
  readonly about: string;
  /** What it takes besides, by name: one word each, without capitals. */
  readonly options?: Readonly<Record<string, string>>;
  /** Of the task: training pictures too, or no pictures at all. @default the test's */
  readonly needs?: "train" | "nothing";
  readonly load: () => Promise<Evaluator>;
}

/** Of all kinds that train: an option has one description. */
const EPOCHS = "passes over the training pictures (default: 20; 10 for fine-tuning, 2 for typographic)";
/** Of both robustness kinds. */
const REFERENCE =
  "results of other models, for natural-shift's line and by whose errors mCE is divided (there also: alexnet)";
const RATES = "learning rates to choose from, with commas between (default: 1e-5,1e-4,1e-3; supervised 3e-4,1e-3,3e-3)";

export const EVALUATORS: Partial<Record<EvalKind, EvaluatorEntry>> = {
  "zero-shot": {
    about: "the class whose name is nearest; what one template and an ensemble of them bring",
    load: async () => (await import("./zero-shot.ts")).evaluateZeroShot,
  },
  "linear-probe": {
    about: "a linear classifier on the features before the projection, as in the paper's appendix A.3",
    needs: "train",
    load: async () => (await import("./probe/evaluate.ts")).evaluateLinearProbe,
  },
  supervised: {
    about: "the same image tower with a linear head, trained from scratch on the task's own pictures",
    options: {
      epochs: EPOCHS,
      rates: RATES,
      save: "file for the tower, a model that linear-probe takes",
    },
    needs: "train",
    load: async () => (await import("./learning/evaluate-supervised.ts")).evaluateSupervised,
  },
  "few-shot": {
    about: "linear probes, Tip-Adapter and CoOp from 1 to 16 examples of each class",
    options: {
      shots: "examples of each class, with commas between (default: 1,2,4,8,16)",
      seeds: "draws of the examples (default: 3)",
      methods: "some of them, with commas between (default: all)",
    },
    needs: "train",
    load: async () => (await import("./few-shot/evaluate.ts")).evaluateFewShot,
  },
  "fine-tuning": {
    about: "end to end, or with a tower locked; weights between the model and the tuned one (WiSE-FT)",
    options: {
      epochs: EPOCHS,
      rates: RATES,
      methods: "some of them, with commas between (default: all)",
    },
    needs: "train",
    load: async () => (await import("./fine-tuning/evaluate.ts")).evaluateFineTuning,
  },
  corruptions: {
    about: "fifteen common corruptions at five strengths: curves, mean corruption error",
    options: { reference: REFERENCE },
    load: async () => (await import("./shift/corruptions-evaluator.ts")).evaluateCorruptions,
  },
  typographic: {
    about: "another class's name written on each picture; defences by prompts, by a linear map, by fine-tuning",
    options: {
      epochs: EPOCHS,
      rates: RATES,
    },
    load: async () => (await import("./failures/typographic-evaluator.ts")).evaluateTypographic,
  },
  counting: {
    about: "how many of the same emoji are on a canvas; no pictures of the task are used",
    options: { most: "the largest number (default: 6)", repeats: "pictures of each thing and number (default: 3)" },
    needs: "nothing",
    load: async () => (await import("./failures/counting-evaluator.ts")).evaluateCounting,
  },
  "fine-grained": {
    about: "pairs of classes with near names, two ways each",
    options: { pairs: "at most (default: 200)" },
    load: async () => (await import("./failures/fine-grained-evaluator.ts")).evaluateFineGrained,
  },
  bias: {
    about: "associations of groups of people with attributes; whom the data set's own texts mention",
    load: async () => (await import("./failures/bias-evaluator.ts")).evaluateBias,
  },
  "natural-shift": {
    about: "pairs of sets of the same classes: accuracy lost to the shift, effective robustness",
    options: {
      shift: "a task whose classes have the same names (default: what is known for the task)",
      reference: REFERENCE,
    },
    load: async () => (await import("./shift/natural-shift-evaluator.ts")).evaluateNaturalShift,
  },
  retrieval: {
    about: "recall at 1, 5 and 10 both ways, of captions or of class names",
    options: {
      captions: "clip-art, clip-art:FOLDER, or a table with columns image and caption (default: class names)",
      block: "rows that are multiplied at once (default: 2048)",
    },
    load: async () => (await import("./retrieval-evaluator.ts")).evaluateRetrieval,
  },
};
