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
};
