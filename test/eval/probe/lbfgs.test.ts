import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { minimise, type Objective } from "../../../src/eval/probe/lbfgs.ts";
import { type LinePoint, strongWolfe } from "../../../src/eval/probe/line-search.ts";

/** sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2; its minimum, 0, is at (1, 1, ...). */
const rosenbrock: Objective = (x, gradient) => {
  gradient.fill(0);
  let value = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const [a = 0, b = 0] = [x[i], x[i + 1]];
    value += 100 * (b - a * a) ** 2 + (1 - a) ** 2;
    gradient[i] = (gradient[i] ?? 0) - 400 * a * (b - a * a) - 2 * (1 - a);
    gradient[i + 1] = (gradient[i + 1] ?? 0) + 200 * (b - a * a);
  }
  return value;
};

describe("L-BFGS", () => {
  it.each([2, 10, 100])("finds the bottom of Rosenbrock's valley in %i dimensions", async (n) => {
    const start = Float64Array.from({ length: n }, (_, i) => (i % 2 === 0 ? -1.2 : 1));
    const found = await minimise(rosenbrock, start, { gradientTolerance: 1e-9 });
    expect(found.stopped).toBe("gradient");
    for (const x of found.x) expect(Math.abs(x - 1)).toBeLessThan(1e-7);
    expect(start[0]).toBe(-1.2);
    // SciPy's L-BFGS-B needs 47 evaluations in two dimensions.
    if (n === 2) expect(found.evaluations).toBeLessThan(60);
  });

  it("solves ill-conditioned quadratics, whatever the eigenvalues", async () => {
    const cases = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cases, async (exponents) => {
        const curvature = exponents.map((e) => 10 ** e);
        const bowl: Objective = (x, gradient) => {
          let value = 0;
          for (const [i, c] of curvature.entries()) {
            const distance = (x[i] ?? 0) - i - 1;
            value += 0.5 * c * distance ** 2;
            gradient[i] = c * distance;
          }
          return value;
        };
        const found = await minimise(bowl, new Float64Array(curvature.length), { gradientTolerance: 1e-8 });
        for (const [i, c] of curvature.entries()) expect(Math.abs((found.x[i] ?? 0) - i - 1) * c).toBeLessThan(1e-7);
      }),
      { numRuns: 60 },
    );
  });

  it("ends without a step where the start is the minimum, and at the most iterations", async () => {
    const there = await minimise(rosenbrock, Float64Array.of(1, 1));
    expect(there).toMatchObject({ iterations: 0, evaluations: 1, stopped: "gradient" });
    const cut = await minimise(rosenbrock, Float64Array.of(-1.2, 1), { maxIterations: 3 });
    expect(cut).toMatchObject({ iterations: 3, stopped: "iterations" });
  });

  it("gets as near as a noisy objective lets it, and stops", async () => {
    const coarse: Objective = (x, gradient) => Math.fround(1000 + rosenbrock2(x, gradient));
    const rosenbrock2 = (x: Float64Array, gradient: Float64Array): number => {
      const value = rosenbrock(x, gradient);
      return typeof value === "number" ? value : Number.NaN;
    };
    const found = await minimise(coarse, Float64Array.of(-1.2, 1), { noise: 1e-7 });
    expect(found.iterations).toBeLessThan(200);
    for (const x of found.x) expect(Math.abs(x - 1)).toBeLessThan(0.05);
  });

  it("refuses an objective that is not finite and obeys a signal", async () => {
    await expect(minimise(() => Number.NaN, Float64Array.of(0))).rejects.toThrow("the objective is NaN at the start");
    const stop = new AbortController();
    const running = minimise(rosenbrock, Float64Array.of(-1.2, 1), {
      signal: stop.signal,
      onIteration: ({ iteration }) => void (iteration === 2 && stop.abort(new Error("enough"))),
    });
    await expect(running).rejects.toThrow("enough");
  });
});

describe("the line search", () => {
  const line = (value: (t: number) => number, slope: (t: number) => number) => ({
    start: { step: 0, value: value(0), slope: slope(0) },
    probe: async (step: number): Promise<LinePoint> => ({ step, value: value(step), slope: slope(step) }),
  });

  // Moré and Thuente's first and second functions, from starts that are far too short and far too long.
  const shapes = [
    line(
      (t) => -t / (t * t + 2),
      (t) => (t * t - 2) / (t * t + 2) ** 2,
    ),
    line(
      (t) => (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
      (t) => 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
  ];
  it.each([1e-3, 0.1, 1, 10, 1000])("meets both conditions from a first step of %d", async (first) => {
    for (const { start, probe } of shapes) {
      const found = await strongWolfe(probe, start, first);
      if (!found) throw new Error("no step found");
      expect(found.value).toBeLessThanOrEqual(start.value + 1e-4 * found.step * start.slope);
      expect(Math.abs(found.slope)).toBeLessThanOrEqual(0.9 * Math.abs(start.slope));
    }
  });

  it("steps back from where the value is not finite", async () => {
    const { start, probe } = line(
      (t) => (t < 2 ? (t - 1) ** 2 : Number.POSITIVE_INFINITY),
      (t) => (t < 2 ? 2 * (t - 1) : Number.NaN),
    );
    const found = await strongWolfe(probe, start, 50);
    expect(found?.value).toBeLessThan(1);
  });

  it("finds nothing where every step leads up", async () => {
    const { probe } = line(
      (t) => t,
      () => 1,
    );
    expect(await strongWolfe(probe, { step: 0, value: 0, slope: -1 }, 1)).toBeUndefined();
  });
});
