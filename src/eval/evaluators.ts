/** What computes each kind of evaluation, loaded when it is asked for. */
import type { Evaluator } from "./evaluator.ts";
import type { EvalKind } from "./result.ts";

interface EvaluatorEntry {
  /** For `clip-ts eval --help`. */
  readonly about: string;
  readonly load: () => Promise<Evaluator>;
}

export const EVALUATORS: Partial<Record<EvalKind, EvaluatorEntry>> = {
  "linear-probe": {
    about: "a linear classifier on the features before the projection, as in the paper's appendix A.3",
    load: async () => (await import("./probe/evaluate.ts")).evaluateLinearProbe,
  },
  "few-shot": {
    about: "linear probes, Tip-Adapter and CoOp from 1 to 16 examples of each class",
    load: async () => (await import("./few-shot/evaluate.ts")).evaluateFewShot,
  },
};
