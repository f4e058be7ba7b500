/**
 * The binomial distribution as a table around its mode. Ours, since simple-statistics counts up from 0 and underflows from
 * some 1,000 trials on, and @stdlib's would bring over a hundred packages.
 */
export interface Binomial {
  /** The count that the first entry of `mass` is the probability of. */
  readonly first: number;
  /** Probabilities of `first`, `first + 1`, ...; what is left out at both ends is below 1e-17 of the mode's. */
  readonly mass: Float64Array;
}

const NEGLIGIBLE = 1e-17;
/** A table of more would take long; its entries are some twenty times the square root. */
const MOST_TRIALS = 2 ** 31;

/** Counts of successes in `trials` trials. @param p chance of one, 0 to 1 @throws one line if either is out of range */
export function binomial(trials: number, p: number): Binomial {
  if (!Number.isSafeInteger(trials) || trials < 0 || trials > MOST_TRIALS)
    throw new Error(`binomial: expected 0 to ${MOST_TRIALS} trials, got ${trials}`);
  if (!(p >= 0 && p <= 1)) throw new Error(`binomial: expected a chance from 0 to 1, got ${p}`);
  if (p === 0 || p === 1) return { first: p * trials, mass: Float64Array.of(1) };
  const mode = Math.min(trials, Math.floor((trials + 1) * p));
  const odds = p / (1 - p);
  const above: number[] = [];
  for (let k = mode, mass = 1; k < trials; k++) {
    mass *= ((trials - k) / (k + 1)) * odds;
    if (mass < NEGLIGIBLE) break;
    above.push(mass);
  }
  const below: number[] = [];
  for (let k = mode, mass = 1; k > 0; k--) {
    mass *= k / ((trials - k + 1) * odds);
    if (mass < NEGLIGIBLE) break;
    below.push(mass);
  }
  const mass = Float64Array.from([...below.reverse(), 1, ...above]);
  const sum = mass.reduce((total, value) => total + value, 0);
  return { first: mode - below.length, mass: mass.map((value) => value / sum) };
}

/** Probability of at most `count` successes. */
export function cumulative({ first, mass }: Binomial, count: number): number {
  let sum = 0;
  for (let i = 0; i <= count - first && i < mass.length; i++) sum += mass[i] ?? 0;
  return Math.min(sum, 1);
}

/** The least count whose cumulative probability reaches `share`. */
export function quantile({ first, mass }: Binomial, share: number): number {
  let sum = 0;
  for (const [i, value] of mass.entries()) {
    sum += value;
    if (sum >= share) return first + i;
  }
  return first + mass.length - 1;
}
