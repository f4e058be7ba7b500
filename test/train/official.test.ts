import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";
import { decays, parameterShapes } from "../../src/model/index.ts";
import { stepGraph } from "../../src/train/graphs.ts";
import { groupParameters, initialMoments, updateScalars } from "../../src/train/optimizer.ts";
import { createTrainer } from "../../src/train/trainer.ts";
import { fastEngines } from "./engines.ts";
import {
  ADAM,
  BATCH,
  differenceFrom,
  normalised,
  OFFICIAL,
  type OfficialModel,
  readBatches,
  readInitial,
  readRecord,
} from "./golden.ts";

/** The interpreter takes seconds a step; the second one shows that the moments are kept. */
const STEPS = { "tiny-vit": 1, "tiny-rn": 2 } as const satisfies Record<OfficialModel, number>;

const MODELS = Object.keys(OFFICIAL) as OfficialModel[];

describe("AdamW in float64 on the reference engine", () => {
  it.each(MODELS)("is the official trajectory of %s to 1e-9", async (model) => {
    const config = OFFICIAL[model];
    const record = readRecord(model).five_steps;
    const batches = await readBatches(model);
    const engine = createReferenceEngine();
    const widened = Object.entries(await readInitial(model)).flatMap(([name, { dtype, shape, data }]) =>
      dtype === "f32" ? [[name, hostTensor("f64", shape, Array.from(data))] as const] : [],
    );
    const groups = groupParameters(parameterShapes(config), decays);
    const state = await engine.createState({ ...Object.fromEntries(widened), ...initialMoments(groups, "f64") });
    for (let step = 0; step < STEPS[model]; step++) {
      const moment = record.history_f64[step];
      if (!moment) throw new Error(`no step ${step} on record`);
      const { images, tokens, maxLength } = batches(step);
      const context = config.text.contextLength;
      const cut = Array.from({ length: BATCH }, (_, row) => [
        ...tokens.subarray(row * context, row * context + maxLength),
      ]);
      const { graph, state: names } = stepGraph({ config, adam: ADAM, batch: BATCH, length: maxLength, dtype: "f64" });
      const program = await engine.compile(graph, { state: names });
      const scalars = Object.entries(updateScalars(ADAM, moment.lr, step));
      const out = await program.run(
        {
          images: normalised(images, config.imageSize),
          tokens: hostTensor("i32", [BATCH, maxLength], cut.flat()),
          ...Object.fromEntries(scalars.map(([name, value]) => [name, hostTensor("f64", [], [value])])),
        },
        state,
      );
      expect(Math.abs(value(out.loss) - moment.loss), `loss of step ${step}`).toBeLessThan(1e-11);
      expect(Math.abs(value(out.gradientNorm) / moment.grad_norm - 1)).toBeLessThan(1e-9);
      const now = await state.read();
      for (const [name, summary] of Object.entries(record.params_after_step_f64[step] ?? {})) {
        const found = now[name];
        expect(found, name).toBeDefined();
        if (found) expect(Math.max(...differenceFrom(summary, found)), name).toBeLessThan(1e-9);
      }
    }
  });
});

describe.each(fastEngines())("AdamW in float32 on $name", ({ create }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await create();
  });
  afterAll(() => engine.close());

  const trainerOf = (model: OfficialModel, initial: Record<string, HostTensor>, microBatch = BATCH) =>
    createTrainer(engine, { config: OFFICIAL[model], adam: ADAM, batch: BATCH, microBatch }, initial);

  it.each(MODELS)("follows the five steps of %s", async (model) => {
    const record = readRecord(model).five_steps;
    const batches = await readBatches(model);
    const trainer = await trainerOf(model, await readInitial(model));
    for (const { step, lr, loss, grad_norm, logit_scale } of record.history_f64) {
      const metrics = await trainer.step([batches(step)], lr, step);
      expect(Math.abs(metrics.loss - loss), `loss of step ${step}`).toBeLessThan(1e-5);
      expect(Math.abs(metrics.gradientNorm / grad_norm - 1), `gradient norm of step ${step}`).toBeLessThan(1e-4);
      const { logit_scale: now } = await trainer.read();
      expect(Math.abs(value(now) - logit_scale)).toBeLessThan(1e-6);
    }
    const now = await trainer.read();
    const differences = Object.entries(record.params_after_step_f64[4] ?? {}).flatMap(([name, summary]) => {
      const found = now[name];
      if (!found) throw new Error(`no parameter ${name}`);
      return differenceFrom(summary, found);
    });
    expect(differences.length).toBeGreaterThan(500);
    expect(differences.filter((d) => d > 1e-6).length / differences.length).toBeLessThan(0.01);
    expect(Math.max(...differences)).toBeLessThan(2e-4);
    await trainer.close();
  });

  it.each(MODELS)("follows the fifty steps of %s", async (model) => {
    const { loss_f64, lr } = readRecord(model).fifty_steps;
    const batches = await readBatches(model);
    const trainer = await trainerOf(model, await readInitial(model));
    for (const [step, expected] of loss_f64.entries()) {
      const { loss } = await trainer.step([batches(step)], lr[step] ?? Number.NaN, step);
      expect(Math.abs(loss - expected), `loss of step ${step}: ${loss}, official ${expected}`).toBeLessThan(
        step < 10 ? 1e-5 : 5e-3,
      );
    }
    await trainer.close();
  });

  it("keeps the logit scale between 0 and ln 100", async () => {
    const cases = readRecord("tiny-vit").clamp?.cases ?? [];
    expect(cases.length).toBe(2);
    const batches = await readBatches("tiny-vit");
    for (const { logit_scale_start, history_f64 } of cases) {
      const initial = await readInitial("tiny-vit");
      const trainer = await trainerOf("tiny-vit", {
        ...initial,
        logit_scale: hostTensor("f32", [], [logit_scale_start]),
      });
      for (const { step, lr, logit_scale } of history_f64) {
        await trainer.step([batches(step)], lr, step);
        const { logit_scale: now } = await trainer.read();
        expect(Math.abs(value(now) - logit_scale)).toBeLessThan(1e-6);
      }
      await trainer.close();
    }
  });

  it("is the same from micro-batches with cached features (GradCache)", async () => {
    const record = readRecord("tiny-vit").five_steps.history_f64[0];
    if (!record) throw new Error("no step on record");
    const batch = (await readBatches("tiny-vit"))(0);
    const [whole, pieced] = [
      await trainerOf("tiny-vit", await readInitial("tiny-vit")),
      await trainerOf("tiny-vit", await readInitial("tiny-vit"), 4),
    ];
    const pieces = [0, 4, 8, 12].map((row) => ({
      images: batch.images.subarray(row * 32 * 32 * 3, (row + 4) * 32 * 32 * 3),
      tokens: batch.tokens.subarray(row * 77, (row + 4) * 77),
    }));
    for (let step = 0; step < 2; step++) {
      const one = await whole.step([batch], record.lr, step);
      const other = await pieced.step(pieces, record.lr, step);
      expect(Math.abs(one.loss - other.loss)).toBeLessThan(1e-6);
      expect(Math.abs(one.gradientNorm / other.gradientNorm - 1)).toBeLessThan(1e-6);
      expect(other.accuracy).toBeCloseTo(one.accuracy, 6);
    }
    const [a, b] = [await whole.read(), await pieced.read()];
    // The moments are sums of gradients, so they compare the gradients themselves.
    for (const name of Object.keys(a).filter((name) => name.startsWith("moment1.")))
      expect(relativeDifference(value2(b, name), value2(a, name)), name).toBeLessThan(1e-5);
    await whole.close();
    await pieced.close();
  });
});

const value = (tensor: HostTensor | undefined): number => tensor?.data[0] ?? Number.NaN;

function value2(tensors: Readonly<Record<string, HostTensor>>, name: string): HostTensor {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`no tensor ${name}`);
  return tensor;
}

/** ||a - b|| / ||b||. */
function relativeDifference(a: HostTensor, b: HostTensor): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.data.length; i++) {
    difference += ((a.data[i] ?? Number.NaN) - (b.data[i] ?? 0)) ** 2;
    norm += (b.data[i] ?? 0) ** 2;
  }
  return Math.sqrt(difference / norm);
}
