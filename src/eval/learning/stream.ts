/** The order in which rows are learned from. */
import { permutation } from "../../data/permutation.ts";

/**
 * Row numbers of each step: epochs are permutations one behind the other, so that every batch is whole and no row is left out for long.
 * @param rows at least 1; where there are fewer than a batch, a batch holds some twice
 */
export function rowStream(rows: number, batch: number, seed: number): (step: number) => number[] {
  let known: { readonly epoch: number; readonly at: (position: number) => number } | undefined;
  return (step) =>
    Array.from({ length: batch }, (_, i) => {
      const position = step * batch + i;
      const epoch = Math.floor(position / rows);
      if (known?.epoch !== epoch) known = { epoch, at: permutation(rows, seed, epoch) };
      return known.at(position % rows);
    });
}

/** Some rows of a matrix [count, width], in the order of their numbers. */
export function gathered(data: Float32Array, width: number, numbers: readonly number[]): Float32Array {
  const rows = new Float32Array(numbers.length * width);
  for (const [i, number] of numbers.entries()) rows.set(data.subarray(number * width, (number + 1) * width), i * width);
  return rows;
}
