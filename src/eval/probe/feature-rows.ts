/** Labelled features that a classifier learns from, in memory or on disk, read by blocks. */
import type { FeatureMatrix } from "../tasks/features.ts";

/** What rows are. */
export interface Truth {
  /** [count], each 0 .. classes - 1. */
  readonly labels: Int32Array;
  /** Where a row may be of several classes, in place of its label, [count, classes]: 1 it is, 0 it is not, -1 not counted. */
  readonly several?: Int8Array;
}

export interface LabelledRows extends Truth {
  readonly rows: FeatureMatrix;
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
export function stacked(parts: readonly LabelledRows[]): LabelledRows {
  const rows = stackedRows(parts.map((part) => part.rows));
  const labels = new Int32Array(rows.count);
  const several = parts.flatMap((part) => part.several ?? []);
  if (several.length > 0 && several.length !== parts.length)
    throw new Error("features: expected rows of one class each or of several, got both");
  const all = new Int8Array(several.reduce((sum, { length }) => sum + length, 0));
  let [at, begin] = [0, 0];
  for (const part of parts) {
    labels.set(part.labels, at);
    at += part.labels.length;
    all.set(part.several ?? [], begin);
    begin += part.several?.length ?? 0;
  }
  return { rows, labels, ...(several.length > 0 ? { several: all } : {}) };
}

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
export function checkLabels({ rows, labels, several }: LabelledRows, classes: number): void {
  if (several && several.length !== rows.count * classes)
    throw new Error(`features: expected ${rows.count} x ${classes} labels, got ${several.length}`);
  if (labels.length !== rows.count)
    throw new Error(`features: expected a label for each of ${rows.count} rows, got ${labels.length}`);
  if (several) return;
  for (const [i, label] of labels.entries())
    if (!(label >= 0 && label < classes))
      throw new Error(`features: row ${i} has label ${label}, expected one of 0 .. ${classes - 1}`);
}

function checkRange(start: number, end: number, count: number): void {
  if (!(start >= 0 && start <= end && end <= count))
    throw new Error(`features: expected rows within 0 .. ${count}, got ${start} .. ${end}`);
}
