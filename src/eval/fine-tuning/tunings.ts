/** Ways to fine-tune a CLIP on a task, and the weights between the model and what became of it. */
import type { CLIP } from "../../clip.ts";
import { Random } from "../../data/index.ts";
import { meanDirection, normalized, rowsOf } from "../../directions.ts";
import type { HostTensors } from "../../engine/engine.ts";
import { type HostTensor, hostTensor } from "../../graph/index.ts";
import { shortensTexts } from "../../model/index.ts";
import type { Tuning } from "../learning/tower-training.ts";

export const TUNINGS = {
  /** WiSE-FT's (arXiv 2109.01903): the image tower, and a classifier that begins as the zero-shot one. */
  "end to end": (scale: number): Tuning => ({ kind: "classifier", trainsClassifier: true, scale }),
  /** The image tower alone: the prompts mean what they meant. */
  "text locked": (scale: number): Tuning => ({ kind: "classifier", trainsClassifier: false, scale }),
  /** LiT's (arXiv 2111.07991): the text tower alone, on features that are computed once. */
  "image locked": (scale: number): Tuning => ({ kind: "texts", trainsImages: false, scale }),
  "both towers": (scale: number): Tuning => ({ kind: "texts", trainsImages: true, scale }),
} as const satisfies Record<string, (scale: number) => Tuning>;

export type TuningName = keyof typeof TUNINGS;
export const TUNING_NAMES = Object.keys(TUNINGS).filter((name): name is TuningName => Object.hasOwn(TUNINGS, name));

/** (1 - alpha) times the model's weights plus alpha times the tuned ones (WiSE-FT, equation 1). */
export function interpolated(model: HostTensors, tuned: HostTensors, alpha: number): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(model).map(([name, value]) => {
      const other = tuned[name];
      if (!other) return [name, value];
      const data = Float32Array.from(value.data, (x, i) => (1 - alpha) * x + alpha * (other.data[i] ?? Number.NaN));
      return [name, { dtype: "f32", shape: value.shape, data }];
    }),
  );
}

/** Every template with every name, as ids. */
export interface Prompts {
  /** i32 [classes, length], one for each template. */
  readonly tokens: readonly HostTensor[];
  readonly length: number;
}

export function promptsOf(clip: CLIP, names: readonly string[], templates: readonly string[]): Prompts {
  const { contextLength } = clip.config.text;
  const rows = templates.map((template) =>
    clip.tokenizer.tokenize(
      names.map((name) => template.replaceAll("{}", () => name)),
      { contextLength, longText: "truncate" },
    ),
  );
  const longest = Math.max(...rows.flatMap(({ lengths }) => [...lengths]));
  const length = shortensTexts(clip.config) ? longest : contextLength;
  const tokens = rows.map(({ ids }) => {
    const cut = new Int32Array(names.length * length);
    for (let i = 0; i < names.length; i++)
      cut.set(ids.subarray(i * contextLength, i * contextLength + length), i * length);
    return hostTensor("i32", [names.length, length], cut);
  });
  return { tokens, length };
}

/** A template for each step, drawn with the seed. */
export const drawnPrompts =
  ({ tokens }: Prompts, seed: number) =>
  (step: number): HostTensor =>
    new Random(seed, step).pick(tokens);

/** The classifier that a text tower makes of its prompts: one normalised row for each class, [classes, embedDim]. */
export async function ensemble(
  encodeTexts: (tokens: Int32Array, count: number, length: number) => Promise<Float32Array>,
  { tokens, length }: Prompts,
  embedDim: number,
): Promise<Float32Array> {
  const perTemplate: Float32Array[][] = [];
  for (const { data, shape } of tokens) {
    const features = await encodeTexts(Int32Array.from(data), shape[0] ?? 0, length);
    perTemplate.push(rowsOf(features, embedDim).map(normalized));
  }
  const classes = perTemplate[0]?.length ?? 0;
  const rows = Array.from({ length: classes }, (_, c) =>
    meanDirection(perTemplate.flatMap((own) => own.slice(c, c + 1))),
  );
  return Float32Array.from(rows.flatMap((row) => [...row]));
}
