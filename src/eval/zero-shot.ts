/** Zero-shot classification (CLIP, section 3.1), and what prompts bring. */
import { accuracyDifference, bootstrap } from "./bootstrap.ts";
import { classWeights } from "./class-weights.ts";
import type { EvalContext, Evaluator } from "./evaluator.ts";
import { type Scored, statisticOf } from "./metrics.ts";
import { classificationDetails, figureOf, figuresOf, resamplesFor, resultOf } from "./outcome.ts";
import { TEMPLATES } from "./prompts.ts";
import type { EvalDetails, Figure } from "./result.ts";
import { scoredBy } from "./scoring.ts";

/** Prompts of one kind, and what they reached. */
interface Prompted {
  readonly name: string;
  readonly templates: readonly string[];
  readonly scored: Scored;
  readonly figure: Figure;
}

/** The ensemble's figures come first; the label alone and one template are measured beside it. */
export const evaluateZeroShot: Evaluator = async (context) => {
  const begun = performance.now();
  const { clip, task, classNames, seed } = context;
  const features = await context.features("test");
  const all: Prompted[] = [];
  for (const { name, templates } of promptsOf(context)) {
    context.progress(`class weights: ${name}`, all.length, 3);
    const weights = await classWeights(clip, classNames, templates, context.cache);
    const scored = await scoredBy(features, weights, {
      metric: task.metric,
      probability: { logitScale: clip.logitScale, logitBias: clip.logitBias },
      ...(context.signal && { signal: context.signal }),
    });
    all.push({ name, templates, scored, figure: figureOf(name, task.metric, scored, seed) });
  }
  const best = all.at(-1);
  if (!best) throw new Error(`${task.name}: expected prompts, got none`);
  const figures = figuresOf(task.metric, best.scored, seed);
  const details = await classificationDetails(context, await context.images("test"), features, best.scored);
  const settings = { prompts: Object.fromEntries(all.map(({ name, templates }) => [name, [...templates]])) };
  return [
    await resultOf(context, { kind: "zero-shot", settings, begun }, figures, {
      ...details,
      tables: [gainTable(all, context)],
    }),
  ];
};

/** From the least to the most; those that would be the same are there once. */
function promptsOf({ templates, template }: EvalContext): readonly Omit<Prompted, "scored" | "figure">[] {
  const bare = { name: "label alone", templates: TEMPLATES.bare };
  const one = { name: "one template", templates: [template] };
  const ensemble = { name: `ensemble of ${templates.length}`, templates };
  if (templates.length > 1) return template === "{}" ? [bare, ensemble] : [bare, one, ensemble];
  return templates[0] === "{}" ? [bare] : [bare, { ...one, templates }];
}

/** Each kind of prompts beside the one before it, on the same pictures. */
function gainTable(all: readonly Prompted[], { task, seed }: EvalContext): NonNullable<EvalDetails["tables"]>[number] {
  const percent = (share: number): string => (100 * share).toFixed(1);
  return {
    title: "Prompts",
    head: ["prompts", `${task.metric} %`, "95 % from", "to", "gain in points", "95 % from", "to"],
    rows: all.map(({ name, scored, figure }, i) => {
      const before = all[i - 1];
      const { value, low = value, high = value } = figure;
      const gain = before && gainOf(before.scored, scored, { task, seed });
      return [
        name,
        ...[value, low, high].map(percent),
        ...(gain ? [gain.value, gain.low, gain.high].map(percent) : ["", "", ""]),
      ];
    }),
  };
}

function gainOf(before: Scored, after: Scored, { task, seed }: Pick<EvalContext, "task" | "seed">) {
  const total = after.labels.length;
  if (task.metric === "accuracy") {
    let [onlyFirst, onlySecond] = [0, 0];
    for (const [row, rank] of after.ranks.entries()) {
      if ((rank === 0) === (before.ranks[row] === 0)) continue;
      if (rank === 0) onlyFirst++;
      else onlySecond++;
    }
    return accuracyDifference({ onlyFirst, onlySecond, total });
  }
  const [one, two] = [statisticOf(task.metric, before), statisticOf(task.metric, after)];
  const strata = after.classes === 2 && !after.several ? { strata: after.labels } : {};
  return bootstrap(total, (rows) => two(rows) - one(rows), { seed, resamples: resamplesFor(total), ...strata });
}
