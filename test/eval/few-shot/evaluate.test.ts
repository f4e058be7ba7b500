import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { mean, seedInterval, shotDetails, worthOf } from "../../../src/eval/few-shot/curves.ts";
import { evaluateFewShot } from "../../../src/eval/few-shot/evaluate.ts";
import { evaluateLinearProbe } from "../../../src/eval/probe/evaluate.ts";
import { microClip, microContext } from "../micro-context.ts";

const engine = createReferenceEngine();
let micro: Awaited<ReturnType<typeof microClip>>;
beforeAll(async () => {
  micro = await microClip(engine);
});
afterAll(async () => {
  await micro.close();
  await engine.close();
});

describe("the evaluations", () => {
  it("linear probe: random features tell colours apart, and the result says how it was found", async () => {
    const [result] = await evaluateLinearProbe(microContext(micro.clip, micro.folder));
    expect(result?.kind).toBe("linear-probe");
    const [top1] = result?.figures ?? [];
    expect(top1?.name).toBe("top-1");
    expect(top1?.value).toBeGreaterThan(0.9);
    expect(top1?.samples).toBe(60);
    expect(result?.settings).toMatchObject({ trainingPictures: 120, validationPictures: 36, width: 32 });
    const { predictions, confusion } = result?.details ?? {};
    const right = predictions?.predicted.filter((label, i) => label === predictions.label[i]).length ?? 0;
    expect(right / 60).toBeCloseTo(top1?.value ?? 0, 12);
    expect(confusion?.counts.reduce((sum, n) => sum + n, 0)).toBe(60);
  });

  it("few-shot: every method, curves that rise, the same figures for the same seed", async () => {
    const context = microContext(micro.clip, micro.folder, { options: { shots: "1,4", seeds: 1 } });
    const [result] = await evaluateFewShot(context);
    const lines = new Map(
      result?.details?.curves?.[0]?.lines.map(({ name, points }) => [name, points.map(({ y }) => y)]),
    );
    expect([...lines.keys()]).toEqual([
      "zero-shot",
      "linear probe",
      "linear probe from zero-shot",
      "Tip-Adapter",
      "Tip-Adapter-F",
      "CoOp",
    ]);
    const [zeroShot = 1] = lines.get("zero-shot") ?? [];
    expect(zeroShot).toBeLessThan(0.4);
    for (const [name, [few = 0, more = 0]] of lines) {
      if (name === "zero-shot") continue;
      expect(more, name).toBeGreaterThan(zeroShot);
      if (name !== "CoOp") expect(more, name).toBeGreaterThan(few);
    }
    expect(lines.get("linear probe")?.at(-1)).toBeGreaterThan(0.8);
    const tip = { shots: "4", seeds: 1, methods: "Tip-Adapter" };
    const again = async () => (await evaluateFewShot({ ...context, options: tip }))[0]?.figures;
    expect(await again()).toEqual(await again());
  });

  it("refuse what they do not know, in one line", async () => {
    const having = (options: Record<string, string>) =>
      evaluateFewShot(microContext(micro.clip, micro.folder, { options }));
    await expect(having({ shots: "1,x" })).rejects.toThrow(
      "--shots: expected numbers above 0 with commas between, got x",
    );
    await expect(having({ shots: "1.5" })).rejects.toThrow("--shots: expected whole numbers, got 1.5");
    await expect(having({ seeds: "0" })).rejects.toThrow("--seeds: expected a whole number above 0, got 0");
    await expect(having({ methods: "magic" })).rejects.toThrow("--methods: expected some of linear probe");
  });
});

describe("curves", () => {
  it("say how many examples zero-shot is worth", () => {
    const points = [
      { x: 1, y: 0.2 },
      { x: 4, y: 0.4 },
      { x: 16, y: 0.5 },
    ];
    expect(worthOf(points, 0.3)).toBe("2.0"); // half way between 1 and 4 in logarithms
    expect(worthOf(points, 0.1)).toBe("at most 1");
    expect(worthOf(points, 0.6)).toBe("more than 16");
  });

  it("have intervals that hold the mean and widen with the spread of the seeds", () => {
    const seedOf = (share: number) => Uint8Array.from({ length: 400 }, (_, i) => (i < 400 * share ? 1 : 0));
    const [near, far] = [[0.5, 0.5, 0.5].map(seedOf), [0.2, 0.5, 0.8].map(seedOf)];
    const [small, large] = [seedInterval(near, 1), seedInterval(far, 1)];
    // One seed's worth: the normal approximation of a binomial share.
    expect(small.high - small.low).toBeCloseTo(2 * 1.96 * Math.sqrt(0.25 / 400), 2);
    expect(large.high - large.low).toBeGreaterThan(3 * (small.high - small.low));
    for (const { low, high } of [small, large]) expect(low < 0.5 && 0.5 < high).toBe(true);
  });

  it("are tabled with mean and standard deviation", () => {
    const values = [0.1, 0.2, 0.3];
    const details = shotDetails([{ method: "CoOp", shots: 2, values, right: [] }], 0.15, "top-1");
    expect(details.tables?.[0]?.rows).toEqual([
      ["zero-shot", "15.0"],
      ["CoOp", "20.0 ± 10.0"],
    ]);
    expect(mean(values)).toBeCloseTo(0.2, 12);
  });
});
