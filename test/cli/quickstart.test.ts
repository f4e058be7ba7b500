import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMetrics, reportPath } from "../../src/train/run-folder.ts";
import { run } from "./command.ts";

let out: string;
beforeAll(async () => {
  out = join(await mkdtemp(join(tmpdir(), "clip-ts-quickstart-")), "run");
});
afterAll(() => rm(join(out, ".."), { recursive: true }));

/** The numbers of a row of the printed table: ways, drawings, top-1, top-5, mean per class. */
const figures = (line: string): number[] =>
  (/(\d+ +\d+ +[\d.]+ +[\d.]+ +[\d.]+)$/.exec(line)?.[1] ?? "").split(/ +/).map(Number);

it("draws, trains, evaluates and reports, and goes on where it was", async () => {
  const { status, out: table, err } = await run(["quickstart", "--steps", "3", "--out", out]);
  expect(status, err).toBe(0);
  const lines = table.split("\n");
  const rows = lines.filter((line) => /^(noto-v1|unseen concepts)/.test(line)).map(figures);
  expect(rows.map(([ways, drawings]) => [ways, drawings])).toEqual([
    ...Array(3).fill([1181, 1181]),
    ...Array(3).fill([127, 649]),
  ]);
  for (const [, , top1 = Number.NaN, top5 = Number.NaN] of rows) {
    expect(top1).toBeLessThanOrEqual(top5);
    expect(top5).toBeLessThan(30); // it has learned next to nothing in three steps
  }
  expect(table).toContain(`Report: ${reportPath(out)}`);
  expect(table).toContain(`clip-ts classify PICTURE.png --model ${out} --labels`);
  const metrics = await readMetrics(out);
  expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3]);
  // Before anything is learned the loss is near that of guessing among the batch.
  expect(Math.abs((metrics[0]?.loss ?? 0) - Math.log(128))).toBeLessThan(1);
  expect(await readFile(reportPath(out), "utf8")).toContain("Drawings of a vendor it never saw");

  const again = await run(["quickstart", "--out", out]);
  expect(again.status, again.err).toBe(0);
  const evaluated = (text: string): string[] => text.split("\n").filter((line) => /^(noto-v1|unseen)/.test(line));
  expect(evaluated(again.out)).toEqual(evaluated(table));
  expect((await readMetrics(out)).length).toBe(3);

  const other = await run(["quickstart", "--steps", "4", "--out", out]);
  expect(other).toMatchObject({ status: 1, out: "" });
  expect(other.err).toMatch(/: holds a run of 3 steps, not of 4; name another folder \(--out\)\n$/);
});
