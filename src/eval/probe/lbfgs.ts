/**
 * Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 7.5).
 * Ours, because the packages that have one take only functions that answer at once; here an engine computes the loss, or a file is read.
 */
import { type LinePoint, strongWolfe } from "./line-search.ts";

/** The value at x; its gradient is written over `gradient`, which has as many elements. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number | Promise<number>;

export interface LbfgsOptions {
  /** @default 1000, as in the paper's linear probes (CLIP, appendix A.3) */
  readonly maxIterations?: number;
  /** Pairs of steps and gradient changes that stand for the Hessian. @default 10, as SciPy's */
  readonly memory?: number;
  /** Stops where no element of the gradient is larger. @default 1e-6 */
  readonly gradientTolerance?: number;
  /** Stops where an iteration lowers the value by no more than this share of it. @default 64 times the rounding of a double, as scikit-learn */
  readonly decreaseTolerance?: number;
  /** Relative error of the objective's values, where they are computed in less than double precision. @default 0 */
  readonly noise?: number;
  readonly signal?: AbortSignal;
  /** Called after each iteration. */
  readonly onIteration?: (progress: { readonly iteration: number; readonly value: number }) => void;
}

export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  /** The largest element of the gradient, without sign. */
  readonly gradient: number;
  readonly iterations: number;
  /** Times the objective was computed. */
  readonly evaluations: number;
  /** What ended the search; "precision": no step along the steepest descent lowers the value any more. */
  readonly stopped: "gradient" | "decrease" | "iterations" | "precision";
}

/**
 * Minimises a smooth function.
 * @param start is not changed
 * @throws if the objective is not finite at the start, or the signal aborts
 */
export async function minimise(
  objective: Objective,
  start: Float64Array,
  options: LbfgsOptions = {},
): Promise<Minimum> {
  const { maxIterations = 1000, memory = 10, gradientTolerance = 1e-6, noise = 0, signal, onIteration } = options;
  const { decreaseTolerance = Math.max(64 * Number.EPSILON, noise) } = options;
  const x = start.slice();
  const gradient = new Float64Array(x.length);
  const trial = new Float64Array(x.length);
  const trialGradient = new Float64Array(x.length);
  const direction = new Float64Array(x.length);
  const pairs: Pair[] = [];
  let evaluations = 0;
  const evaluate = async (at: Float64Array, into: Float64Array): Promise<number> => {
    signal?.throwIfAborted();
    evaluations++;
    return objective(at, into);
  };
  let value = await evaluate(x, gradient);
  if (!Number.isFinite(value)) throw new Error(`lbfgs: the objective is ${value} at the start`);

  const probe = async (step: number): Promise<LinePoint> => {
    for (let i = 0; i < x.length; i++) trial[i] = (x[i] ?? 0) + step * (direction[i] ?? 0);
    const there = await evaluate(trial, trialGradient);
    return { step, value: there, slope: product(trialGradient, direction) };
  };

  let iterations = 0;
  let stopped: Minimum["stopped"] = "iterations";
  for (;;) {
    if (largest(gradient) <= gradientTolerance) stopped = "gradient";
    if (stopped === "gradient" || iterations >= maxIterations) break;
    descend(direction, gradient, pairs);
    let slope = product(direction, gradient);
    if (!(slope < 0)) {
      // Rounding has spoilt the memory: the steepest descent always descends.
      pairs.length = 0;
      descend(direction, gradient, pairs);
      slope = product(direction, gradient);
    }
    const first = pairs.length > 0 ? 1 : Math.min(1, 1 / Math.sqrt(-slope));
    const point = await strongWolfe(probe, { step: 0, value, slope }, first, noise);
    if (!point) {
      if (pairs.length === 0) {
        stopped = "precision";
        break;
      }
      pairs.length = 0;
      continue;
    }
    // What was accepted may not be what was computed last.
    if (!isAt(trial, x, direction, point.step)) await probe(point.step);
    remember(pairs, memory, { x, gradient, trial, trialGradient });
    x.set(trial);
    gradient.set(trialGradient);
    const fell = value - point.value;
    const size = Math.max(Math.abs(value), Math.abs(point.value), Number.MIN_VALUE);
    value = point.value;
    iterations++;
    onIteration?.({ iteration: iterations, value });
    if (fell <= decreaseTolerance * size) {
      stopped = largest(gradient) <= gradientTolerance ? "gradient" : "decrease";
      break;
    }
  }
  return { x, value, gradient: largest(gradient), iterations, evaluations, stopped };
}

/** A step and how the gradient changed along it. */
interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  /** 1 / (change . step). */
  readonly rho: number;
}

/** Algorithm 7.4: minus the inverse Hessian's estimate times the gradient. */
function descend(direction: Float64Array, gradient: Float64Array, pairs: readonly Pair[]): void {
  for (let i = 0; i < direction.length; i++) direction[i] = -(gradient[i] ?? 0);
  const shares = new Float64Array(pairs.length);
  for (let k = pairs.length - 1; k >= 0; k--) {
    const pair = pairs[k];
    if (!pair) continue;
    const share = pair.rho * product(pair.step, direction);
    shares[k] = share;
    addScaled(direction, -share, pair.change);
  }
  const newest = pairs.at(-1);
  if (newest) {
    const scale = 1 / (newest.rho * product(newest.change, newest.change)); // equation 7.20
    for (let i = 0; i < direction.length; i++) direction[i] = scale * (direction[i] ?? 0);
  }
  for (const [k, pair] of pairs.entries())
    addScaled(direction, (shares[k] ?? 0) - pair.rho * product(pair.change, direction), pair.step);
}

interface Move {
  readonly x: Float64Array;
  readonly gradient: Float64Array;
  readonly trial: Float64Array;
  readonly trialGradient: Float64Array;
}

/** Keeps a move as the newest pair, in the arrays of the oldest where there are enough. */
function remember(pairs: Pair[], memory: number, { x, gradient, trial, trialGradient }: Move): void {
  const reused = pairs.length >= memory ? pairs.shift() : undefined;
  const step = reused?.step ?? new Float64Array(x.length);
  const change = reused?.change ?? new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    step[i] = (trial[i] ?? 0) - (x[i] ?? 0);
    change[i] = (trialGradient[i] ?? 0) - (gradient[i] ?? 0);
  }
  const curvature = product(step, change);
  // Without positive curvature the estimate would lose its definiteness.
  if (curvature > Number.EPSILON * product(change, change)) pairs.push({ step, change, rho: 1 / curvature });
}

function isAt(trial: Float64Array, x: Float64Array, direction: Float64Array, step: number): boolean {
  for (let i = 0; i < trial.length; i++) if (trial[i] !== (x[i] ?? 0) + step * (direction[i] ?? 0)) return false;
  return true;
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addScaled(to: Float64Array, factor: number, x: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + factor * (x[i] ?? 0);
}

function largest(x: Float64Array): number {
  let most = 0;
  for (const value of x) most = Math.max(most, Math.abs(value));
  return most;
}
