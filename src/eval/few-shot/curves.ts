/** Few-shot figures over seeds: curves with their spread, a table, what zero-shot is worth in examples. */
import { Random } from "../../data/index.ts";
import type { EvalDetails, Figure } from "../result.ts";

/** What a method reached with `shots` examples of each class, seed by seed. */
export interface ShotScores {
  readonly method: string;
  readonly shots: number;
  /** The metric for each seed. */
  readonly values: readonly number[];
  /** For each seed, which test pictures were right (1) or not (0); what intervals are made from. */
  readonly right: readonly Uint8Array[];
}

const RESAMPLES = 2000;

export const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Of a sample; 0 where there is only one. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (values.length - 1));
}

/** 95 % interval of the mean accuracy over seeds: both the seeds and the pictures are drawn again. */
export function seedInterval(
  right: readonly Uint8Array[],
  seed: number,
): { readonly low: number; readonly high: number } {
  const random = new Random(seed, right.length);
  const pictures = right[0]?.length ?? 0;
  const values = new Float64Array(RESAMPLES);
  const weights = new Float64Array(pictures);
  for (let i = 0; i < RESAMPLES; i++) {
    weights.fill(0);
    for (let s = 0; s < right.length; s++) {
      const drawn = right[random.int(right.length)];
      for (let p = 0; p < pictures; p++) weights[p] = (weights[p] ?? 0) + (drawn?.[p] ?? 0);
    }
    let sum = 0;
    for (let p = 0; p < pictures; p++) sum += weights[Math.floor(random.uniform() * pictures)] ?? 0;
    values[i] = sum / (pictures * right.length);
  }
  values.sort();
  return { low: values[Math.floor(0.025 * RESAMPLES)] ?? 0, high: values[Math.ceil(0.975 * RESAMPLES) - 1] ?? 1 };
}

/** Figures at the most examples, zero-shot's last. */
export function shotFigures(scores: readonly ShotScores[], metric: string, seed: number): Figure[] {
  const most = Math.max(...scores.map(({ shots }) => shots));
  return scores.flatMap(({ method, shots, values, right }): Figure[] => {
    if (shots !== most) return [];
    const name = `${metric}, ${method}, ${shots} examples`;
    const interval = right.length > 0 ? seedInterval(right, seed) : {};
    return [{ name, value: mean(values), ...interval, samples: values.length, unit: "share" }];
  });
}

export function shotDetails(scores: readonly ShotScores[], zeroShot: number, metric: string): EvalDetails {
  const methods = [...new Set(scores.map(({ method }) => method))];
  const shots = [...new Set(scores.map((score) => score.shots))].sort((a, b) => a - b);
  const at = (method: string, count: number): readonly number[] =>
    scores.find((score) => score.method === method && score.shots === count)?.values ?? [];
  const lines = methods.map((name) => ({
    name,
    points: shots.flatMap((x) => {
      const values = at(name, x);
      return values.length === 0 ? [] : [{ x, y: mean(values), low: Math.min(...values), high: Math.max(...values) }];
    }),
  }));
  return {
    curves: [
      {
        title: "Few-shot learning",
        x: { name: "examples of each class", log: true },
        y: { name: metric, unit: "share" },
        lines: [{ name: "zero-shot", points: shots.map((x) => ({ x, y: zeroShot })) }, ...lines],
      },
    ],
    tables: [
      {
        title: `${metric}, per cent, mean and standard deviation over seeds`,
        head: ["method", ...shots.map(String)],
        rows: [
          ["zero-shot", ...shots.map(() => percent(zeroShot))],
          ...methods.map((method) => [
            method,
            ...shots.map((count) => {
              const values = at(method, count);
              return values.length === 0 ? "" : `${percent(mean(values))} ± ${percent(deviation(values))}`;
            }),
          ]),
        ],
      },
    ],
    notes: [
      "Bands span the lowest and the highest seed.",
      `Examples of each class that a linear probe needs to be as good as zero-shot (CLIP, figure 8): ${worthOf(lines.find(({ name }) => name === "linear probe")?.points ?? [], zeroShot)}.`,
    ],
  };
}

const percent = (share: number): string => (100 * share).toFixed(1);

/** Examples at which a rising curve reaches a value, by interpolation over the logarithm of their number (CLIP, figure 8). */
export function worthOf(points: readonly { readonly x: number; readonly y: number }[], value: number): string {
  const [first] = points;
  if (!first) return "not measured";
  if (first.y >= value) return `at most ${first.x}`;
  for (const [i, to] of points.entries()) {
    const from = points[i - 1];
    if (!from || to.y < value) continue;
    const share = (value - from.y) / (to.y - from.y);
    return (from.x * (to.x / from.x) ** share).toFixed(1);
  }
  return `more than ${points.at(-1)?.x}`;
}
