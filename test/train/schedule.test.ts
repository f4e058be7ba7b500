import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { learningRate, type Schedule } from "../../src/train/schedule.ts";

interface Case {
  readonly schedule: "cosine" | "const" | "const-cooldown";
  readonly base_lr: number;
  readonly warmup: number;
  readonly total: number;
  readonly cooldown?: number;
  readonly power?: number;
  readonly end_lr?: number;
  readonly values: readonly (readonly [step: number, rate: number])[];
}
const { cases } = JSON.parse(readFileSync(new URL("../golden/train/schedules.json", import.meta.url), "utf8")) as {
  readonly cases: readonly Case[];
};

function scheduleOf(c: Case): Schedule {
  if (c.schedule === "cosine") return { kind: "cosine", warmup: c.warmup };
  if (c.schedule === "const") return { kind: "constant", warmup: c.warmup };
  return { kind: "cooldown", warmup: c.warmup, cooldown: c.cooldown ?? 0, power: c.power ?? 1, endRate: c.end_lr ?? 0 };
}

it.each(cases)("is open_clip's $schedule (warm-up $warmup of $total)", (c) => {
  expect(c.values.length).toBeGreaterThan(5);
  for (const [step, expected] of c.values) {
    const rate = learningRate(scheduleOf(c), c.base_lr, step, c.total);
    expect(Math.abs(rate - expected), `step ${step}: ${rate}`).toBeLessThanOrEqual(1e-12 * c.base_lr);
  }
});
