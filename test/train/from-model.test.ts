import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { initialise } from "../../src/model/index.ts";
import type { Tower } from "../../src/train/graphs.ts";
import { train } from "../../src/train/loop.ts";
import type { Recipe } from "../../src/train/recipe.ts";
import {
  checkpointSteps,
  createRunFolder,
  openRunFolder,
  type RunFolder,
  removeIfUnused,
} from "../../src/train/run-folder.ts";
import { tokenizerOf } from "../../src/train/vocabulary.ts";
import { drawPairs, MICRO_RESNET, MICRO_VIT, microRecipe, readCheckpoint } from "./micro.ts";

let place: string;
let table: string;
let engine: Engine;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-from-"));
  table = await drawPairs(join(place, "pairs"));
  engine = await createOnnxEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(place, { recursive: true });
});

let runs = 0;
/** A run of a few steps that starts from weights of its own. */
async function startedRun(changes: Partial<Recipe>): Promise<RunFolder> {
  const adam = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 }; // the norm's limit would tie the towers together
  const recipe = microRecipe(table, {
    steps: 2,
    checkpointEvery: 1,
    keepCheckpoints: 5,
    from: "another",
    adam,
    ...changes,
  });
  const tokenizer = await tokenizerOf(recipe);
  const text = { ...recipe.model.text, vocabSize: tokenizer.vocabSize };
  const initial = initialise({ ...recipe.model, text }, 77);
  return createRunFolder(join(place, `run-${runs++}`), recipe, tokenizer, initial);
}

/** Names of tensors that differ between two checkpoints, moments left out. */
function changed(before: HostTensors, after: HostTensors): string[] {
  return Object.keys(before).filter((name) => {
    const [a, b] = [before[name]?.data ?? [], after[name]?.data ?? []];
    return a.length !== b.length || a.some((x, i) => x !== b[i]);
  });
}

const isVisual = (name: string): boolean => name.startsWith("visual.");

describe("training from a model", () => {
  it.each([
    ["image", "a transformer", { model: MICRO_VIT }],
    ["text", "a transformer", { model: MICRO_VIT }],
    [undefined, "a transformer", { model: MICRO_VIT }],
    ["image", "a ResNet", { model: MICRO_RESNET }],
    ["text", "micro-batches", { model: MICRO_VIT, microBatch: 4 }],
  ] as const)("with the tower %s locked changes the rest and nothing of it: %s", async (lock, _, changes) => {
    const run = await startedRun({ ...changes, ...(lock ? { lock } : {}) });
    expect(await checkpointSteps(run.folder)).toEqual([0]);
    await train(run, { engine, loaderWorkers: 0 });
    const [before, after] = [await readCheckpoint(run, 0), await readCheckpoint(run, 2)];
    const found = changed(before, after);
    const towers = {
      image: found.some(isVisual),
      text: found.some((name) => !isVisual(name) && name !== "logit_scale"),
    };
    expect(towers).toEqual({ image: lock !== "image", text: lock !== "text" });
    expect(found).toContain("logit_scale");
    const moments = Object.keys(after).filter((name) => name.startsWith("moment1."));
    expect(moments.some((name) => name.startsWith("moment1.visual."))).toBe(lock !== "image");
  });
});

describe("a locked tower", () => {
  it("leaves the other's first step what it is without the lock", async () => {
    const trainedWith = async (lock?: Tower): Promise<HostTensors> => {
      const run = await startedRun({ steps: 1, ...(lock ? { lock } : {}) });
      await train(run, { engine, loaderWorkers: 0 });
      return readCheckpoint(run, 1);
    };
    const free = await trainedWith();
    for (const lock of ["image", "text"] as const) {
      const locked = await trainedWith(lock);
      for (const name of Object.keys(locked))
        if (!name.startsWith("moment") && isVisual(name) !== (lock === "image"))
          for (const [i, x] of (locked[name]?.data ?? []).entries())
            expect(Math.abs(x - (free[name]?.data[i] ?? 9)), name).toBeLessThan(1e-5);
    }
  });

  it("is resumed bit-identically", async () => {
    const whole = await startedRun({ steps: 4, lock: "image" });
    await train(whole, { engine, loaderWorkers: 0 });
    const stopped = await startedRun({ steps: 4, lock: "image" });
    const controller = new AbortController();
    const progress = { show: ({ step }: { step: number }) => void (step === 2 && controller.abort()) };
    await train(stopped, { engine, signal: controller.signal, progress, loaderWorkers: 0 });
    await train(await openRunFolder(stopped.folder), { engine, loaderWorkers: 0 });
    expect(changed(await readCheckpoint(whole, 4), await readCheckpoint(stopped, 4))).toEqual([]);
  });
});

describe("a run that has trained nothing", () => {
  it("is removed with the weights it was to start from", async () => {
    const run = await startedRun({});
    await removeIfUnused(run.folder);
    await expect(openRunFolder(run.folder)).rejects.toThrow("is no run folder");
  });
});
