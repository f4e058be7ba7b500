/** Options of the command line that kinds of evaluation share. */
import type { EvalContext } from "../evaluator.ts";
import type { FeatureSet } from "../tasks/features.ts";
import type { Split } from "../tasks/task.ts";
import type { LabelledPictures } from "./supervised.ts";

type Options = EvalContext["options"];

/** @throws one line if it is no whole number above 0 */
export function wholeOption(options: Options, name: string, otherwise: number): number {
  const value = Number(options[name] ?? otherwise);
  if (!(Number.isSafeInteger(value) && value > 0))
    throw new Error(`--${name}: expected a whole number above 0, got ${options[name]}`);
  return value;
}

/** Numbers with commas between. @throws one line if one is not above 0 */
export function numbersOption(options: Options, name: string, otherwise: string): number[] {
  return String(options[name] ?? otherwise)
    .split(",")
    .map((each) => {
      const value = Number(each);
      if (!(Number.isFinite(value) && value > 0))
        throw new Error(`--${name}: expected numbers above 0 with commas between, got ${each}`);
      return value;
    });
}

/** Some names with commas between, all by default. @throws one line if one is unknown */
export function namesOption<Name extends string>(options: Options, name: string, known: readonly Name[]): Name[] {
  return String(options[name] ?? known.join(","))
    .split(",")
    .map((each) => {
      const found = known.find((one) => one === each.trim());
      if (found === undefined) throw new Error(`--${name}: expected some of ${known.join(",")}, got ${each}`);
      return found;
    });
}

/** The pictures of a split that could be read, with one class each. @throws one line where pictures have several */
export async function labelledPictures(context: EvalContext, split: Split): Promise<LabelledPictures> {
  const { labels, indices, several }: FeatureSet = await context.features(split);
  if (several) throw new Error(`${context.task.name}: pictures have several labels: no classifier of one is trained`);
  return { images: await context.images(split), indices, labels };
}
