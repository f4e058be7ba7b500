/** The model that training starts from. */

import type { HostTensors } from "../engine/engine.ts";
import { modelPath } from "../hub/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../model/index.ts";
import { openPretrained } from "../pretrained/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { Recipe } from "../train/recipe.ts";
import { createDownloadBar } from "./download-bar.ts";

export interface StartingModel {
  /** What it decides of the recipe. */
  readonly recipe: Pick<Recipe, "from" | "model" | "tokenizer" | "templates" | "interpolation" | "background">;
  readonly tokenizer: Tokenizer;
  /** Parameters and running statistics by published name. */
  readonly weights: HostTensors;
}

/** @throws one line if it cannot be read, or training cannot go on with it */
export async function openStartingModel(name: string): Promise<StartingModel> {
  const bar = createDownloadBar();
  const model = await modelPath(name, bar.hub)
    .then((path) => openPretrained(path))
    .finally(() => bar.end());
  try {
    const { config, tokenizer, tokenizerFrom, preprocess, templates } = model;
    if (!tokenizer) throw new Error(`${name}: has no tokenizer (${tokenizerFrom}), which training needs`);
    if (tokenizer.vocabSize !== config.text.vocabSize)
      throw new Error(`${name}: its tokenizer has ${tokenizer.vocabSize} ids, the model ${config.text.vocabSize}`);
    const same = (a: readonly number[], b: readonly number[]): boolean => a.every((x, i) => x === b[i]);
    if (!same(preprocess.mean, PIXEL_MEAN) || !same(preprocess.deviation, PIXEL_DEVIATION))
      throw new Error(
        `${name}: its pixels have mean [${preprocess.mean}] and deviation [${preprocess.deviation}]; training has the official ones`,
      );
    const { interpolation, background } = preprocess;
    return {
      recipe: {
        ...{ from: name, model: config, tokenizer: { kind: "from" }, templates },
        ...(interpolation === "bilinear" || interpolation === "bicubic" ? { interpolation } : {}),
        ...(background !== undefined && { background }),
      },
      tokenizer,
      weights: await model.readWeights(),
    };
  } finally {
    await model.close();
  }
}
