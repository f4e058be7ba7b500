/** The supervised baseline of a task. */
import { writeModel } from "../../checkpoint/index.ts";
import { initialise } from "../../model/index.ts";
import type { EvalContext, Evaluator } from "../evaluator.ts";
import { classificationDetails, figuresOf, resultOf } from "../outcome.ts";
import { criterionOf } from "../probe/criteria.ts";
import { scoredFrom } from "../scoring.ts";
import { labelledPictures, numbersOption, wholeOption } from "./options.ts";
import { type SupervisedModel, trainSupervised } from "./supervised.ts";

export const evaluateSupervised: Evaluator = async (context) => {
  const begun = performance.now();
  const { clip, task, classNames, seed, signal, options } = context;
  const epochs = wholeOption(options, "epochs", 20);
  const rates = numbersOption(options, "rates", "3e-4,1e-3,3e-3");
  const classes = classNames.length;
  const criterion = criterionOf(task.metric);
  const [train, validation] = [await labelledPictures(context, "train"), await labelledPictures(context, "validation")];
  const tried: { rate: number; validation: number }[] = [];
  let best: { readonly model: SupervisedModel; readonly rate: number; readonly score: number } | undefined;
  try {
    for (const rate of rates) {
      const model = await trainSupervised(clip, train, classes, {
        ...{ epochs, rate, seed },
        ...(signal ? { signal } : {}),
        onStep: (done, total) => context.progress(`supervised, rate ${rate}`, done, total),
      });
      const score = criterion(await model.scores(validation), validation);
      tried.push({ rate, validation: score });
      const worse = best && score <= best.score ? model : best?.model;
      if (!best || score > best.score) best = { model, rate, score };
      await worse?.close();
    }
    if (!best) throw new Error("supervised: expected a rate to try, got none");
    const test = await context.features("test");
    const scored = scoredFrom(test, await best.model.scores(await labelledPictures(context, "test")));
    if (options.save !== undefined) await save(String(options.save), context, best.model);
    const { vision, imageSize } = clip.config;
    const settings = {
      ...{ epochs, rate: best.rate, tried, trainingPictures: train.labels.length },
      chosenBy: `${task.metric} on ${validation.labels.length} pictures of validation`,
      architecture: `${vision.kind} of width ${vision.width}, layers ${vision.layers}, ${imageSize} pixels`,
    };
    const head = { kind: "supervised", settings, begun } as const;
    const details = await classificationDetails(context, await context.images("test"), test, scored);
    return [await resultOf(context, head, figuresOf(task.metric, scored, seed), details)];
  } finally {
    await best?.model.close();
  }
};

/** As a model whose image tower is the baseline's, for linear probes of it; its text tower has learned nothing. */
async function save(path: string, { clip, seed }: EvalContext, { weights }: SupervisedModel): Promise<void> {
  await writeModel(path, { config: clip.config, tensors: { ...initialise(clip.config, seed), ...weights } });
}
