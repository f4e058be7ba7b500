/** Which pictures a few-shot classifier learns from. */
import { Random } from "../../data/index.ts";

/** Tells draws for training and for validation apart. */
const PURPOSES = { examples: 0, validation: 1 } as const;

/**
 * `perClass` row numbers of each class, drawn with the seed, class by class; all of a class that has no more. A larger draw with the
 * same seed contains the smaller one, so that curves over the number of examples compare nested sets.
 */
export function drawExamples(
  labels: ArrayLike<number>,
  classes: number,
  perClass: number,
  seed: number,
  purpose: keyof typeof PURPOSES,
): number[] {
  const rows: number[][] = Array.from({ length: classes }, () => []);
  for (let i = 0; i < labels.length; i++) rows[labels[i] ?? -1]?.push(i);
  return rows.flatMap((own, label) => {
    const random = new Random(seed, PURPOSES[purpose], label);
    const shuffled = [...own];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j] ?? 0, shuffled[i] ?? 0];
    }
    return shuffled.slice(0, perClass).sort((a, b) => a - b);
  });
}
