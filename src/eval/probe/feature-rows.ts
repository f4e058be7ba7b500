/** Labelled features that a classifier learns from, in memory or on disk, read by blocks. */
import type { FeatureMatrix } from "../tasks/features.ts";

/** Rows with the class of each. */
export interface LabelledRows {
  readonly rows: FeatureMatrix;
  /** [count], each 0 .. classes - 1. */
  readonly labels: Int32Array;
}

/** Rows one behind the other, such as training and validation for the last fit. */
export function stackedRows(parts: readonly FeatureMatrix[]): FeatureMatrix {
  const width = parts[0]?.width ?? 0;
  for (const part of parts)
    if (part.width !== width) throw new Error(`features: expected rows of ${width} numbers, got ${part.width}`);
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  return {
    count,
    width,
    read: async (start, end) => {
      checkRange(start, end, count);
      const all = new Float32Array((end - start) * width);
      let begin = 0;
      for (const part of parts) {
        const from = Math.max(start, begin);
        const to = Math.min(end, begin + part.count);
        if (from < to) all.set(await part.read(from - begin, to - begin), (from - start) * width);
        begin += part.count;
      }
      return all;
    },
  };
}

/** Labelled rows one behind the other. */
export const stacked = (parts: readonly LabelledRows[]): LabelledRows => ({
  rows: stackedRows(parts.map(({ rows }) => rows)),
  labels: Int32Array.from(parts.flatMap(({ labels }) => [...labels])),
});

/** Some rows [numbers.length, width], in the order of their numbers; read in the order in which they stand. */
export async function pickedRows(rows: FeatureMatrix, numbers: readonly number[]): Promise<Float32Array> {
  const data = new Float32Array(numbers.length * rows.width);
  const order = [...numbers.keys()].sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
  for (const i of order) {
    const number = numbers[i] ?? 0;
    data.set(await rows.read(number, number + 1), i * rows.width);
  }
  return data;
}

/** The rows in blocks, in order, with where each begins. */
export async function* blocksOf(
  rows: FeatureMatrix,
  size: number,
): AsyncGenerator<{ readonly start: number; readonly count: number; readonly data: Float32Array }> {
  for (let start = 0; start < rows.count; start += size) {
    const count = Math.min(size, rows.count - start);
    yield { start, count, data: await rows.read(start, start + count) };
  }
}

/** Refuses labels that are no class, and classes or rows that do not fit together. */
export function checkLabels({ rows, labels }: LabelledRows, classes: number): void {
  if (labels.length !== rows.count)
    throw new Error(`features: expected a label for each of ${rows.count} rows, got ${labels.length}`);
  for (const [i, label] of labels.entries())
    if (!(label >= 0 && label < classes))
      throw new Error(`features: row ${i} has label ${label}, expected one of 0 .. ${classes - 1}`);
}

function checkRange(start: number, end: number, count: number): void {
  if (!(start >= 0 && start <= end && end <= count))
    throw new Error(`features: expected rows within 0 .. ${count}, got ${start} .. ${end}`);
}
