/** What computes each kind of evaluation, loaded when it is asked for. */
import type { Evaluator } from "./evaluator.ts";
import type { EvalKind } from "./result.ts";

interface EvaluatorEntry {
  /** For `clip-ts eval --help`. */
  readonly about: string;
  readonly load: () => Promise<Evaluator>;
}

export const EVALUATORS: Partial<Record<EvalKind, EvaluatorEntry>> = {};
