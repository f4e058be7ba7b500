import { expect, it } from "vitest";
import { bootstrap } from "../../src/eval/bootstrap.ts";
import { compareRuns } from "../../src/eval/compare.ts";
import { comparisonPage } from "../../src/eval/report/comparison-page.ts";
import { comparisonNotes, comparisonTable } from "../../src/eval/report/comparison-table.ts";
import type { EvalResult } from "../../src/eval/result.ts";
import { evalResult, figure } from "./results.ts";

/** Ten pictures of the classes 0, 0, 0, 0, 0, 0, 0, 0, 1, 2; which of them are answered rightly. */
const LABELS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2];

function answered(right: readonly number[], confidence = 0.8): EvalResult {
  const predicted = LABELS.map((label, i) => (right.includes(i) ? label : label + 1));
  const share = (own: number): number => {
    const rows = LABELS.flatMap((label, i) => (label === own ? [i] : []));
    return rows.filter((row) => right.includes(row)).length / rows.length;
  };
  return evalResult({
    figures: [
      figure("top-1", right.length / 10),
      figure("mean per class", (share(0) + share(1) + share(2)) / 3),
      figure("calibration error", Math.abs(right.length / 10 - confidence)),
      figure("top-5", right.length / 10 + 0.07, right.length / 10 + 0.03, right.length / 10 + 0.09),
    ],
    details: {
      classNames: ["cat", "dog", "axolotl", "newt"],
      perClass: [0, 1, 2].map((own) => ({ samples: own === 0 ? 8 : 1, value: share(own) })),
      predictions: {
        index: LABELS.map((_, i) => i),
        label: LABELS,
        predicted,
        confidence: LABELS.map(() => confidence),
      },
    },
  });
}

const a = { name: "a", results: [answered([0, 1, 2, 3, 4])] };
const b = { name: "b", results: [answered([3, 4, 5, 6, 7, 8, 9])] };

it("pairs answers to the same pictures", () => {
  const [task] = compareRuns([a, b]).tasks;
  const [top1, meanPerClass, calibration, top5] = task?.figures ?? [];
  // Only a: 0, 1, 2; only b: 5 to 9. McNemar: 2 (1 + 8 + 28 + 56) / 2^8.
  expect(top1?.differences[0]).toBeUndefined();
  expect(top1?.differences[1]).toMatchObject({ paired: true, pValue: 186 / 256 });
  expect(top1?.differences[1]?.value).toBeCloseTo(0.2, 12);
  // Each of ten draws gives +1 five times in ten, -1 three times: the sum's distribution, by hand.
  let mass = [1];
  for (let draw = 0; draw < 10; draw++) {
    const next = new Array<number>(mass.length + 2).fill(0);
    for (const [i, chance] of mass.entries())
      for (const [step, share] of [0.3, 0.2, 0.5].entries()) next[i + step] = (next[i + step] ?? 0) + chance * share;
    mass = next;
  }
  const quantile = (share: number): number => {
    const sums = mass.map((_, i) => mass.slice(0, i + 1).reduce((sum, chance) => sum + chance, 0));
    return (sums.findIndex((sum) => sum >= share) - 10) / 10;
  };
  expect([top1?.differences[1]?.low, top1?.differences[1]?.high]).toEqual([quantile(0.025), quantile(0.975)]);
  // b has 5 of 8 cats, the dog and the axolotl; a has 5 of 8 cats.
  expect(meanPerClass?.differences[1]).toMatchObject({ paired: true });
  expect(meanPerClass?.differences[1]?.value).toBeCloseTo(2 / 3, 12);
  expect(meanPerClass?.differences[1]?.high).toBeLessThanOrEqual(1);
  expect(calibration?.differences[1]).toMatchObject({ paired: true });
  expect(calibration?.differences[1]?.value).toBeCloseTo(0.1 - 0.3, 12);
  // top-5 cannot be computed from predictions: from both intervals, ends in quadrature.
  expect(top5?.differences[1]).toMatchObject({ paired: false });
  expect(top5?.differences[1]?.low).toBeCloseTo(0.2 - Math.hypot(0.04, 0.02), 12);
  expect(top5?.differences[1]?.high).toBeCloseTo(0.2 + Math.hypot(0.02, 0.04), 12);
});

it("a paired interval is that of the bootstrap over pictures", () => {
  const [task] = compareRuns([a, b]).tasks;
  const right = (run: typeof a) =>
    run.results[0]?.details?.predictions?.predicted.map((p, i) => Number(p === LABELS[i])) ?? [];
  const [ofA, ofB] = [right(a), right(b)];
  const drawn = bootstrap(10, (rows) => [...rows].reduce((sum, i) => sum + (ofB[i] ?? 0) - (ofA[i] ?? 0), 0) / 10, {
    resamples: 20_000,
  });
  const [top1] = task?.figures ?? [];
  expect(Math.abs((top1?.differences[1]?.low ?? 9) - drawn.low)).toBeLessThanOrEqual(0.1 + 1e-9);
  expect(Math.abs((top1?.differences[1]?.high ?? 9) - drawn.high)).toBeLessThanOrEqual(0.1 + 1e-9);
});

it("does not pair what has no predictions or other pictures", () => {
  const bare = evalResult({ figures: [figure("top-1", 0.6, 0.5, 0.7), figure("top-5", 0.9)] });
  const other = evalResult({ figures: [figure("top-1", 0.8, 0.75, 0.85), figure("top-5", 0.9)] });
  const [task] = compareRuns([
    { name: "x", results: [bare] },
    { name: "y", results: [other] },
  ]).tasks;
  const difference = task?.figures[0]?.differences[1];
  expect(difference?.paired).toBe(false);
  expect(difference?.low).toBeCloseTo(0.2 - Math.hypot(0.05, 0.1), 12);
  expect(difference?.high).toBeCloseTo(0.2 + Math.hypot(0.05, 0.1), 12);
  expect(task?.figures[1]?.differences[1]).toEqual({ value: 0, paired: false });
  const fewer = answered([3, 4]);
  const predictions = fewer.details?.predictions;
  const shifted = {
    ...fewer,
    details: {
      ...fewer.details,
      ...(predictions && { predictions: { ...predictions, index: predictions.index.map((i) => i + 1) } }),
    },
  };
  expect(compareRuns([a, { name: "s", results: [shifted] }]).tasks[0]?.figures[0]?.differences[1]?.paired).toBe(false);
});

it("refuses what is not comparable in one line", () => {
  const data = { name: "pets test", hash: "e2e2", pictures: 90, unreadable: 0, classes: 3 };
  const moved = { name: "c", results: [evalResult({ data })] };
  expect(() => compareRuns([a, moved])).toThrow(
    "pets (zero-shot) was measured on other data, so that its figures cannot be compared: a on pets test, 100 pictures, hash d1d1; c on pets test, 90 pictures, hash e2e2",
  );
  const digits = { name: "d", results: [evalResult({ task: "digits" })] };
  expect(() => compareRuns([a, digits])).toThrow(
    "the runs have no evaluation in common: a has pets (zero-shot); d has digits (zero-shot)",
  );
  expect(() => compareRuns([a])).toThrow("expected two runs or more, got 1");
  const second = evalResult({ data, figures: [figure("top-1", 0.1)] });
  const two = (name: string) => ({ name, results: [evalResult({}), second] });
  const { tasks } = compareRuns([two("x"), two("y")]);
  expect(tasks.map(({ figures }) => figures[0]?.figures.map((one) => one?.value))).toEqual([
    [0.5, 0.5],
    [0.1, 0.1],
  ]);
  const twice = { name: "t", results: [evalResult({}), evalResult({})] };
  expect(() => compareRuns([a, twice])).toThrow("t has pets (zero-shot) twice");
});

it("compares another evaluation of the same pictures where that is asked for", () => {
  const probe = { name: "p", results: b.results.map((result) => ({ ...result, kind: "linear-probe" as const })) };
  expect(() => compareRuns([a, probe])).toThrow("no evaluation in common");
  const comparison = compareRuns([a, probe], { anyKind: true });
  expect(comparison.tasks[0]?.figures[0]?.differences[1]).toMatchObject({ paired: true, pValue: 186 / 256 });
  expect(comparisonTable(comparison).rows[0]?.slice(0, 3)).toEqual(["pets", "zero-shot / linear-probe", "top-1"]);
  const both = { name: "both", results: [...a.results, ...probe.results] };
  expect(() => compareRuns([both, a], { anyKind: true })).toThrow("both has pets (linear-probe) and pets (zero-shot)");
});

it("says what only one run has and compares the rest", () => {
  const digits = evalResult({ task: "digits" });
  const comparison = compareRuns([a, { name: "b", results: [...b.results, digits] }]);
  expect(comparison.tasks.map(({ task }) => task)).toEqual(["pets"]);
  expect(comparison.alone).toEqual([{ run: "b", kind: "zero-shot", task: "digits" }]);
  expect(comparisonNotes(comparison).at(-1)).toBe("Not compared: digits (zero-shot) of b.");
});

it("shows three runs as a table and as a page", () => {
  const curve = (y: number) => [
    {
      title: "Shots",
      x: { name: "k", log: true },
      y: { name: "accuracy", unit: "share" as const },
      lines: [
        {
          name: "probe",
          points: [
            { x: 1, y },
            { x: 2, y: y + 0.1 },
          ],
        },
      ],
    },
  ];
  const runs = [a, b, { name: "<c>", results: [answered([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])] }].map((run, i) => ({
    ...run,
    results: run.results.map((result) => ({ ...result, details: { ...result.details, curves: curve(i / 10) } })),
  }));
  const comparison = compareRuns(runs);
  const { head, rows } = comparisonTable(comparison);
  expect(head).toEqual(["task", "evaluation", "figure", "a", "b", "b − a", "<c>", "<c> − a"]);
  expect(rows[0]).toEqual([
    "pets",
    "zero-shot",
    "top-1",
    "50.0 %",
    "70.0 %",
    "+20.0 (−40.0 to +70.0)",
    "100.0 %",
    "+50.0 (+20.0 to +80.0) *",
  ]);
  expect(rows[3]?.at(-1)).toMatch(/^\+50\.0 \(.*\) ~ \*$/);
  const page = comparisonPage(comparison);
  expect(page).toContain("+50.0 (+20.0 to +80.0) * points");
  expect(page).toContain("&#60;c&#62;: probe");
  expect(page).not.toContain("<c>");
  // Cats from 5 of 8 to all, the others from none to all.
  const words = page.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
  expect(words).toContain("dog 1 0.0 % 100.0 % +100.0");
  expect(words).toContain("cat 8 62.5 % 100.0 % +37.5");
  expect(page).not.toMatch(/NaN|undefined/);
});
