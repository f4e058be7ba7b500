import type { Random } from "../../data/index.ts";

/** Standard normal numbers (Box and Muller 1958). */
export function normal(random: Random): () => number {
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const kept = spare;
      spare = undefined;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const angle = 2 * Math.PI * random.uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/**
 * Poisson numbers by inversion: the distribution function as a table, searched for a uniform number. Exact to rounding for means up to
 * some 700, where exp(-mean) is still a number.
 */
export function poissonTable(mean: number): Float64Array {
  const end = Math.ceil(mean + 12 * Math.sqrt(mean) + 20);
  const table = new Float64Array(end + 1);
  let probability = Math.exp(-mean);
  let sum = 0;
  for (let k = 0; k <= end; k++) {
    sum += probability;
    table[k] = sum;
    probability *= mean / (k + 1);
  }
  return table;
}

/** The first number whose distribution function is above `uniform`. */
export function searched(table: Float64Array, uniform: number): number {
  let low = 0;
  let high = table.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table[middle] ?? 1) > uniform) high = middle;
    else low = middle + 1;
  }
  return low;
}
