/** A model that knows nothing, pictures of coloured squares and an evaluation's context around them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIP } from "../../src/clip.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { EvalContext } from "../../src/eval/evaluator.ts";
import { imageFeatures } from "../../src/eval/tasks/features.ts";
import type { LabelledImages, Split } from "../../src/eval/tasks/task.ts";
import { type ClipConfig, initialise } from "../../src/model/index.ts";
import { createBpeTokenizer, trainBpe } from "../../src/tokenizer/index.ts";
import { createRunFolder, saveCheckpoint } from "../../src/train/run-folder.ts";
import { COLOURS, MICRO_VIT, microRecipe } from "../train/micro.ts";

export const COLOUR_NAMES = Object.keys(COLOURS);
const RGB = Object.values(COLOURS).map((hex) => [...hex.slice(1)].map((digit) => 17 * Number.parseInt(digit, 16)));

/** An untrained model in a folder that is removed with `close`. */
export async function microClip(engine: Engine, model: ClipConfig = MICRO_VIT) {
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-micro-"));
  const tokenizer = createBpeTokenizer(
    await trainBpe(
      COLOUR_NAMES.map((name) => `a ${name} square, drawn`),
      { vocabSize: 560 },
    ),
  );
  const run = await createRunFolder(join(folder, "run"), microRecipe("none", { model }), tokenizer);
  await saveCheckpoint(run, 1, initialise(run.model, 5));
  const clip = await CLIP.load(run.folder, { engine });
  return {
    clip,
    folder,
    close: async () => {
      await clip.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** `each` pictures of every colour, a little brighter or darker each, on a ground that says nothing. */
export function squares(name: string, each: number): LabelledImages {
  const side = 16;
  const labels = Int32Array.from({ length: each * RGB.length }, (_, i) => i % RGB.length);
  return {
    name,
    count: labels.length,
    classNames: COLOUR_NAMES,
    labels,
    contentHash: `${name} ${each}`,
    image: async (index) => {
      const colour = RGB[labels[index] ?? 0] ?? [];
      const data = new Uint8Array(side * side * 3);
      const ground = 40 * (Math.floor(index / RGB.length) % 6);
      for (let i = 0; i < data.length; i++) {
        const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
        const isInside = x > 3 && x < 13 && y > 3 && y < 13;
        data[i] = isInside ? Math.min(255, (colour[i % 3] ?? 0) + ((7 * index) % 24)) : ground;
      }
      return { width: side, height: side, data };
    },
    describe: (index) => `${name} ${index}`,
  };
}

export function microContext(clip: CLIP, cache: string, changes: Partial<EvalContext> = {}): EvalContext {
  const splits = { train: squares("train", 20), validation: squares("validation", 6), test: squares("test", 10) };
  const kept = new Map<LabelledImages, ReturnType<typeof imageFeatures>>();
  const featuresOf = (images: LabelledImages) => {
    const found = kept.get(images) ?? imageFeatures(clip, images);
    kept.set(images, found);
    return found;
  };
  return {
    clip,
    modelName: "micro",
    task: { name: "colours", metric: "accuracy", test: { kind: "folder", folder: "nowhere" } },
    classNames: COLOUR_NAMES,
    templates: ["a {} square", "{}"],
    template: "a {} square",
    images: async (split: Split) => splits[split],
    features: (split: Split) => featuresOf(splits[split]),
    featuresOf,
    cache,
    seed: 1,
    options: {},
    progress: () => {},
    ...changes,
  };
}
