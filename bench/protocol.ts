/** What each side is asked, one JSON line a question, and what is answered, one JSON line each. */

export type Question<Mode extends string = string> =
  /** Compile and run once what steps of each mode will need. */
  | { readonly ask: "prepare" }
  | { readonly ask: "run"; readonly mode: Mode; readonly warmup: number; readonly steps: number };

export interface Prepared {
  readonly versions: Readonly<Record<string, string>>;
  readonly parameters: number;
  /** Seconds until the first step was done, compiling included. */
  readonly firstStep: number;
  /** Seconds of compiling so far, for all lengths of text: on PyTorch's sides what the steps of this took beyond a usual one. */
  readonly compiling: number;
}

export interface Ran {
  /** Of each timed step. */
  readonly seconds: readonly number[];
  /** Of the last step: a side that does not learn measures nothing. */
  readonly loss: number;
  /** As above, where some was compiled since. */
  readonly compiling?: number;
}
