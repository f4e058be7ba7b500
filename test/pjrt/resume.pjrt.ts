/** A run on XLA that is stopped and resumed is bit-identical with one that never was. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import { train } from "../../src/train/loop.ts";
import { createRunFolder, openRunFolder, type RunFolder } from "../../src/train/run-folder.ts";
import { tokenizerOf } from "../../src/train/vocabulary.ts";
import { drawPairs, microRecipe, readCheckpoint } from "../train/micro.ts";
import { pluginPath } from "./plugin.ts";

let place: string;
let engine: Engine;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-xla-resume-"));
  engine = await createPjrtEngine({ plugin: pluginPath(), cache: join(place, "executables") });
});
afterAll(async () => {
  await engine.close();
  await rm(place, { recursive: true });
});

it("with what it compiles ahead, and what is kept on disk", async () => {
  const recipe = microRecipe(await drawPairs(join(place, "pairs")), { steps: 6 });
  const newRun = async (name: string): Promise<RunFolder> =>
    createRunFolder(join(place, name), recipe, await tokenizerOf(recipe));
  const whole = await newRun("whole");
  const first = await train(whole, { engine, loaderWorkers: 0 });
  expect(first).toMatchObject({ step: 6, finished: true });
  expect(first.compileSeconds).toBeGreaterThan(0.1);

  const stopped = await newRun("stopped");
  const controller = new AbortController();
  const progress = { show: ({ step }: { step: number }) => void (step === 2 && controller.abort()) };
  const half = await train(stopped, { engine, signal: controller.signal, progress, loaderWorkers: 0 });
  expect(half).toMatchObject({ step: 3, finished: false });
  const rest = await train(await openRunFolder(stopped.folder), { engine, loaderWorkers: 0 });
  expect(rest).toMatchObject({ step: 6, finished: true });
  expect(await readCheckpoint(stopped, 6)).toEqual(await readCheckpoint(whole, 6));
});
