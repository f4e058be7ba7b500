/** A step that satisfies the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6). */

/** A place on the line: how far along, the value there and its derivative along the line. */
export interface LinePoint {
  readonly step: number;
  readonly value: number;
  readonly slope: number;
}

/** Sufficient decrease and curvature, as usual for quasi-Newton directions (page 62). */
const DECREASE = 1e-4;
const CURVATURE = 0.9;
/** Values asked for at most: a smooth function needs two or three. */
const MOST_PROBES = 30;

/**
 * Looks for a step on which the value falls enough and the slope has flattened out.
 * @param start the point at step 0; its slope must be negative
 * @param first the step to try first
 * @param noise relative error of the values: a rise that small is none
 * @returns the step's point; where rounding hides the conditions, the lowest point found, if it is lower than the start
 */
export async function strongWolfe(
  probe: (step: number) => Promise<LinePoint>,
  start: LinePoint,
  first: number,
  noise = 0,
): Promise<LinePoint | undefined> {
  const slack = noise * Math.abs(start.value);
  let probes = 0;
  let best = start;
  const at = async (step: number): Promise<LinePoint> => {
    probes++;
    const point = await probe(step);
    if (point.value < best.value) best = point;
    return point;
  };
  const fallsEnough = ({ step, value }: LinePoint): boolean =>
    value <= start.value + DECREASE * step * start.slope + slack;
  const isFlat = ({ slope }: LinePoint): boolean => Math.abs(slope) <= -CURVATURE * start.slope;
  const found = (): LinePoint | undefined => (best.step > 0 ? best : undefined);

  /** Between a point that falls enough and one beyond which the value rises again. */
  const zoom = async (low: LinePoint, high: LinePoint): Promise<LinePoint | undefined> => {
    while (probes < MOST_PROBES) {
      const width = high.step - low.step;
      if (Math.abs(width) <= 1e-14 * Math.max(Math.abs(low.step), Math.abs(high.step))) break;
      const here = await at(between(low, high));
      if (!fallsEnough(here) || here.value > low.value + slack) high = here;
      else {
        if (isFlat(here)) return here;
        if (here.slope * width >= 0) high = low;
        low = here;
      }
    }
    return found();
  };

  let low = start;
  let step = first;
  while (probes < MOST_PROBES) {
    const here = await at(step);
    if (!fallsEnough(here) || (low.step > 0 && here.value >= low.value + slack)) return zoom(low, here);
    if (isFlat(here)) return here;
    if (here.slope >= 0) return zoom(here, low);
    const minimum = cubicMinimum(low, here);
    low = here;
    step = Math.min(Math.max(minimum > here.step ? minimum : 0, 2 * here.step), 10 * here.step);
  }
  return found();
}

/** Where the next value is asked for: the cubic's minimum, kept off the ends of the interval. */
function between(a: LinePoint, b: LinePoint): number {
  const width = b.step - a.step;
  const share = (cubicMinimum(a, b) - a.step) / width;
  return a.step + width * (Number.isFinite(share) ? Math.min(Math.max(share, 0.1), 0.9) : 0.5);
}

/** The minimum of the cubic through two values and slopes (equation 3.59); NaN if it has none. */
function cubicMinimum(a: LinePoint, b: LinePoint): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step);
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(d1 * d1 - a.slope * b.slope);
  return b.step - ((b.step - a.step) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2);
}
