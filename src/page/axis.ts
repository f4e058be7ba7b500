import { extent, min, nice, ticks } from "d3-array";

export interface Axis {
  readonly name: string;
  /**
   * `log`: for values that double, none below 0. `logit`: for shares whose errors halve, all between 0 and 1.
   * @default "linear"
   */
  readonly scale?: "linear" | "log" | "logit";
  /** Ends; by default the data's, widened to round numbers. */
  readonly from?: number;
  readonly to?: number;
  /** `share` is 0 to 1 and shown in per cent. @default "number" */
  readonly unit?: "share" | "number";
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Scale {
  /** Values at the ends. */
  readonly from: number;
  readonly to: number;
  /** Pixels of a value. */
  readonly place: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** Shares that a logit axis marks. */
const SHARES = [0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];
/** Space beside the points of a scatter plot, of its width. */
const MARGIN = 0.06;
/** Of a logarithm or a logit: a factor of e between both ends. */
const NARROWEST = 1;
/** More values than these are not marked one by one. */
const MARKED = 9;

/** @param first, last pixels of the axis' ends */
export function scaleOf(axis: Axis, values: readonly number[], first: number, last: number): Scale {
  const finite = values.filter((value) => fits(axis, value));
  const zero = (min(finite, (value) => (value > 0 ? value : undefined)) ?? 1) / 2;
  const bent = (value: number): number => bend(axis, value, zero);
  const [least = axis.scale === "logit" ? 0.1 : 0, most = axis.scale === "logit" ? 0.9 : 1] = extent(finite);
  let [low, high] = [axis.from ?? least, axis.to ?? most];
  if (axis.scale === undefined || axis.scale === "linear") {
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const [roundLow, roundHigh] = nice(low, high, 5);
    [low, high] = [axis.from ?? roundLow, axis.to ?? roundHigh];
  }
  let [start, end] = [bent(low), bent(high)];
  if (axis.scale === "logit" || start === end) {
    const margin = Math.max((end - start) * MARGIN, (NARROWEST - (end - start)) / 2);
    [start, end] = [start - margin, end + margin];
  }
  const isShown = (mark: number): boolean => bent(mark) >= start - 1e-9 && bent(mark) <= end + 1e-9;
  const marks = marksOf(axis, finite, low, high).filter(isShown);
  return {
    from: low,
    to: high,
    // Ends of intervals may be where the axis cannot go: they stop at its end.
    place: (value) => first + Math.max(0, Math.min(1, (bent(value) - start) / (end - start))) * (last - first),
    ticks: marks.map((at) => ({ at, label: axis.unit === "share" ? percent(at) : short(at) })),
  };
}

/** Whether the axis has a place for a value. */
export function fits({ scale }: Axis, value: number): boolean {
  if (scale === "log") return value >= 0 && Number.isFinite(value);
  return scale === "logit" ? value > 0 && value < 1 : Number.isFinite(value);
}

/** @param zero where a logarithmic axis has its 0: half of the least value, so that "no examples" stands before 1, 2, 4 */
function bend({ scale }: Axis, value: number, zero: number): number {
  if (scale === "log") return Math.log(value > 0 ? value : zero);
  if (scale !== "logit") return value;
  const share = Math.max(1e-9, Math.min(1 - 1e-9, value));
  return Math.log(share / (1 - share));
}

function marksOf({ scale }: Axis, values: readonly number[], low: number, high: number): readonly number[] {
  if (scale === "logit") return SHARES;
  if (scale !== "log") return ticks(low, high, 5);
  const own = [...new Set(values)].toSorted((a, b) => a - b);
  if (own.length <= MARKED) return own;
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20)).filter((mark) => mark >= low && mark <= high);
  return powers.length > 1 ? powers : ticks(low, high, 4);
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(4))}`;

/** At most four digits: 0.0012, 1.2e-5, 3400, 1.2e+6. */
export function short(value: number): string {
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}
