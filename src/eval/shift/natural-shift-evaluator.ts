import { heldOutVendorName, openClipArt, trainingVendors } from "../../data/index.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { type EvalResult, readResults } from "../result.ts";
import { contentHash } from "../tasks/content-hash.ts";
import { findTask } from "../tasks/find-task.ts";
import type { ImagesSpec } from "../tasks/images-spec.ts";
import { openImages } from "../tasks/open-images.ts";
import type { LabelledImages, Task } from "../tasks/task.ts";
import { shiftResult } from "./natural-shift.ts";

/** Clip art whose titles are the names of classes: there are no labels of it. */
interface ClipArtByName {
  readonly kind: "clip-art";
}

/** Two sets of pictures of the same classes that differ in how these look. */
interface Shift {
  readonly name: string;
  readonly base: ImagesSpec;
  readonly shifted: ImagesSpec | ClipArtByName;
  /** What supervised models learn from: pictures like those of `base`. */
  readonly train?: ImagesSpec;
}

/** Shifts that are known for a task. Others: option `shift`. */
function shiftsOf({ test, train }: Task): readonly Shift[] {
  if (test.kind !== "emoji") return [];
  const { classes } = test;
  const emoji = (vendors: readonly string[], concepts: "seen" | "unseen" | "all"): ImagesSpec => ({
    ...{ kind: "emoji", classes, vendors, concepts },
    ...(test.cacheDir !== undefined && { cacheDir: test.cacheDir }),
  });
  const others = emoji(trainingVendors, "unseen");
  const vendors: Shift = {
    name: "from the vendors that were trained on to another, concepts that were not",
    base: others,
    shifted: emoji([heldOutVendorName], "unseen"),
    // Names of unseen concepts have no pictures to learn from; groups have.
    ...(classes === "group" && train && { train: emoji(trainingVendors, "seen") }),
  };
  const drawings: Shift = {
    name: "from emoji to clip art",
    base: emoji([heldOutVendorName], "all"),
    shifted: { kind: "clip-art" },
    train: emoji(trainingVendors, "all"),
  };
  return classes === "group" ? [vendors] : [vendors, drawings];
}

/**
 * Accuracy on pairs of data sets with the same classes, and effective robustness: what is left under the shift beyond the line through supervised
 * models. Those are ridge classifiers of the pixels, trained on pictures like the unshifted ones, and models whose results are given.
 * Options: `shift`, a task whose classes have the same names as those of the task at hand; `data`, where data sets are; `reference`, a file of results of
 * this kind.
 */
export const evaluateNaturalShift: Evaluator = async (context) => {
  const { task, options } = context;
  const known = await given(context);
  if (known.length === 0)
    throw new Error(
      `natural-shift: no shift is known for ${task.name}; name a task with the same classes: --shift TASK`,
    );
  const references = options.reference === undefined ? [] : await readResults(String(options.reference));
  const results: EvalResult[] = [];
  const left: string[] = [];
  for (const shift of known)
    try {
      results.push(await measured(context, shift, references));
    } catch (error) {
      // Clip art may not be installed; the other shift is worth its figures all the same.
      if (!(shift.shifted.kind === "clip-art" && known.length > 1)) throw error;
      left.push(error instanceof Error ? error.message : String(error));
    }
  if (results.length === 0) throw new Error(left[0] ?? "natural-shift: nothing was measured");
  return results;
};

async function given({ task, options }: EvalContext): Promise<readonly Shift[]> {
  if (options.shift === undefined) return shiftsOf(task);
  const other = await findTask(String(options.shift), String(options.data ?? process.env.CLIP_TS_DATA ?? "data"));
  return [
    {
      name: `from ${task.name} to ${other.name}`,
      base: task.test,
      shifted: other.test,
      ...(task.train && { train: task.train }),
    },
  ];
}

async function measured(context: EvalContext, shift: Shift, references: readonly EvalResult[]): Promise<EvalResult> {
  const hashing = { cache: context.cache };
  const opened: LabelledImages[] = [];
  const open = async (spec: Shift["shifted"], classNames: readonly string[] = []): Promise<LabelledImages> => {
    const images =
      spec.kind === "clip-art" ? await clipArtOf(classNames, context.cache) : await openImages(spec, hashing);
    opened.push(images);
    return images;
  };
  try {
    const base = await open(shift.base);
    const shifted = await open(shift.shifted, base.classNames);
    const train = shift.train && (await open(shift.train));
    return await shiftResult(context, { name: shift.name, base, shifted, ...(train && { train }) }, references);
  } finally {
    for (const images of opened) await images.close?.();
  }
}

async function clipArtOf(classNames: readonly string[], cache: string): Promise<LabelledImages> {
  const set = await openClipArt();
  const place = new Map(classNames.map((name, i) => [name.toLowerCase(), i]));
  const chosen = set.drawings.flatMap(({ title }, drawing) => {
    const label = place.get(title.toLowerCase());
    return label === undefined ? [] : [{ drawing, label }];
  });
  const files = chosen.map(({ drawing: i }) => set.drawings[i]?.path ?? "");
  const drawing = (index: number): number => chosen[index]?.drawing ?? -1;
  return {
    name: set.name,
    count: chosen.length,
    classNames,
    labels: Int32Array.from(chosen, ({ label }) => label),
    contentHash: await contentHash("svg at 224", files, { cache }),
    image: (index) => set.image(drawing(index)),
    describe: (index) => set.drawings[drawing(index)]?.name ?? "",
  };
}
