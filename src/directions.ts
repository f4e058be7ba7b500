/** Arithmetic on features, rows of numbers whose directions count. */

export interface Prediction {
  readonly label: string;
  /**
   * Softmax over the labels of similarity times the model's learned scale. Of models trained with the sigmoid loss (SigLIP), the sigmoid
   * of similarity times scale plus the learned bias: whether this label fits, whatever the others are.
   */
  readonly probability: number;
  /** Cosine of the image with the label's prompts, -1 to 1. */
  readonly similarity: number;
}

/** The answer where no label reaches the threshold. */
export const NONE_OF_THESE = "none of these";

/** A matrix [rows, width] as its rows. */
export function rowsOf(data: Float32Array, width: number): Float32Array[] {
  return Array.from({ length: data.length / width }, (_, i) => data.slice(i * width, (i + 1) * width));
}

function lengthOf(row: Float32Array): number {
  let squares = 0;
  for (const x of row) squares += x * x;
  return Math.sqrt(squares);
}

export function normalized(row: Float32Array): Float32Array {
  const length = lengthOf(row);
  return row.map((x) => x / length);
}

/** Rows of one owner as one: their mean direction, of length 1; a row by itself stays what it is. */
export function averaged(rows: readonly Float32Array[], owners: Int32Array): Float32Array[] {
  const groups: Float32Array[][] = [];
  for (const [i, row] of rows.entries()) {
    const owner = owners[i] ?? 0;
    groups[owner] ??= [];
    groups[owner].push(row);
  }
  return groups.map((parts) => {
    const [alone] = parts;
    return alone && parts.length === 1 ? alone : meanDirection(parts.map(normalized));
  });
}

/** The normalised mean of rows that are normalised. */
export function meanDirection(rows: readonly Float32Array[]): Float32Array {
  const sum = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (row[i] ?? 0);
  return normalized(Float32Array.from(sum, (x) => x / rows.length));
}

export function dotProduct(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** Predictions from normalised features, the best first. */
export function rank(
  features: Float32Array,
  labels: readonly string[],
  weights: readonly Float32Array[],
  scale: number,
  threshold?: number,
  bias?: number,
): Prediction[] {
  const similar = labels.map((label, i) => ({ label, similarity: dotProduct(features, weights[i] ?? features) }));
  if (threshold !== undefined) similar.push({ label: NONE_OF_THESE, similarity: threshold });
  similar.sort((a, b) => b.similarity - a.similarity);
  if (bias !== undefined)
    return similar.map((label) => ({ ...label, probability: 1 / (1 + Math.exp(-scale * label.similarity - bias)) }));
  const highest = similar[0]?.similarity ?? 0;
  const odds = similar.map(({ similarity }) => Math.exp(scale * (similarity - highest)));
  const total = odds.reduce((sum, x) => sum + x, 0);
  return similar.map(({ label, similarity }, i) => ({ label, probability: (odds[i] ?? 0) / total, similarity }));
}
