import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/checkpoint/index.ts";
import { CLIP } from "../../src/clip.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { hostTensor } from "../../src/graph/index.ts";
import { train } from "../../src/train/loop.ts";
import type { Recipe } from "../../src/train/recipe.ts";
import {
  checkpointPath,
  checkpointSteps,
  createRunFolder,
  type MetricsLine,
  onDisk,
  openRunFolder,
  type RunFolder,
  readMetrics,
  saveCheckpoint,
} from "../../src/train/run-folder.ts";
import { tokenizerOf } from "../../src/train/vocabulary.ts";
import { COLOURS, drawPairs, MICRO_RESNET, MICRO_SIGLIP, MICRO_VIT, microRecipe } from "./micro.ts";

let place: string;
let table: string;
let engine: Engine;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-run-"));
  table = await drawPairs(join(place, "pairs"));
  engine = await createOnnxEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(place, { recursive: true });
});

let runs = 0;
async function newRun(changes: Partial<Recipe> = {}): Promise<RunFolder> {
  const recipe = microRecipe(table, changes);
  return createRunFolder(join(place, `run-${runs++}`), recipe, await tokenizerOf(recipe));
}

const trained = (run: RunFolder, stopAfter = Number.POSITIVE_INFINITY, on: Engine = engine) => {
  const controller = new AbortController();
  const progress = {
    show: ({ step }: MetricsLine) => {
      if (step === stopAfter) controller.abort();
    },
  };
  return train(run, { engine: on, signal: controller.signal, progress, loaderWorkers: 0 });
};

const comparable = (lines: readonly MetricsLine[]) => lines.map(({ pairsPerSecond: _, ...line }) => line);

describe("a run", () => {
  it("is trained by one at a time", async () => {
    const run = await newRun({ steps: 3 });
    const outcomes = await Promise.allSettled([trained(run), trained(run)]); // either may be the first
    const reason = new Error(`${run.folder}: another process is training this run`);
    expect(outcomes).toContainEqual({ status: "rejected", reason });
    expect(outcomes).toContainEqual({
      status: "fulfilled",
      value: expect.objectContaining({ step: 3, finished: true }),
    });
    expect(await readdir(run.folder)).not.toContain("training.lock");
  });

  it("that cannot begin leaves no thread behind", async () => {
    const threads = () => process.getActiveResourcesInfo().filter((kind) => kind === "MessagePort").length;
    const before = threads();
    const full: Engine = {
      ...engine,
      compile: engine.compile.bind(engine),
      createState: async () => Promise.reject(new Error("no room")),
    };
    await expect(train(await newRun(), { engine: full, loaderWorkers: 1 })).rejects.toThrow("no room");
    expect(threads()).toBe(before);
  });

  it.each([
    ["a transformer", {}],
    ["a ResNet with running statistics", { model: MICRO_RESNET }],
    ["micro-batches", { microBatch: 4 }],
    ["half of the patches, blocks computed again", { patchDropout: 0.5, checkpointActivations: true }],
    ["SigLIP's towers and loss, micro-batches", { model: MICRO_SIGLIP, microBatch: 4, patchDropout: 0.5 }],
  ] as const)("that is stopped and resumed is bit-identical with one that never was: %s", async (_, changes) => {
    const whole = await newRun(changes);
    const { finished } = await trained(whole);
    expect(finished).toBe(true);
    const stopped = await newRun(changes);
    // When a step is shown, the next is under way, and finished.
    expect(await trained(stopped, 5)).toMatchObject({ finished: false, step: 6 });
    expect(await trained(await openRunFolder(stopped.folder), 10)).toMatchObject({ finished: false, step: 11 });
    expect(await trained(await openRunFolder(stopped.folder))).toMatchObject({ finished: true, step: 12 });
    const [one, other] = await Promise.all([whole, stopped].map(({ folder }) => readFile(checkpointPath(folder, 12))));
    expect(one && other && Buffer.compare(one, other)).toBe(0);
    expect(comparable(await readMetrics(stopped.folder))).toEqual(comparable(await readMetrics(whole.folder)));
  });

  it("keeps the last checkpoints, loses metrics after the one it goes on from, and clears half-written files", async () => {
    const run = await newRun();
    await trained(run);
    expect(await checkpointSteps(run.folder)).toEqual([8, 12]);
    const lines = await readMetrics(run.folder);
    expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    // As after kill -9 in step 12: the checkpoint is not there, a line is cut off, a file is half-written.
    const last = await readFile(checkpointPath(run.folder, 12));
    await rm(checkpointPath(run.folder, 12));
    await writeFile(
      join(run.folder, "metrics.jsonl"),
      `${lines.map((l) => JSON.stringify(l)).join("\n")}\n{"step":13,"lo`,
    );
    await writeFile(join(run.folder, "checkpoints", ".step-12.safetensors.0a.tmp"), "half");
    await trained(await openRunFolder(run.folder));
    expect((await readMetrics(run.folder)).map(({ step }) => step)).toEqual(lines.map(({ step }) => step));
    expect(Buffer.compare(await readFile(checkpointPath(run.folder, 12)), last)).toBe(0);
    expect((await readdir(join(run.folder, "checkpoints"))).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it.each([
    ["CLIP", { model: MICRO_VIT }, 0.7],
    // Knowing nothing but that one pair of twelve belongs together is 12 H(1/12) = 3.4 nats.
    ["SigLIP", { model: MICRO_SIGLIP, learningRate: 4e-3 }, 2.4],
  ] as const)("of %s learns: the colours are told apart after training and not before", async (_, changes, loss) => {
    const schedule = { kind: "cosine", warmup: 10 } as const;
    const run = await newRun({ steps: 150, batch: 12, schedule, checkpointEvery: 150, ...changes });
    await trained(run);
    const lines = await readMetrics(run.folder);
    expect(lines[0]?.loss).toBeGreaterThan(2);
    expect(lines.at(-1)?.loss).toBeLessThan(loss);
    const clip = await CLIP.load(run.folder, { engine });
    let right = 0;
    for (const colour of Object.keys(COLOURS)) {
      const labels = Object.keys(COLOURS).map((c) => `${c} circle`);
      const [first] = await clip.classify(join(place, "pairs", `${colour}-circle.png`), labels);
      if (first?.label === `${colour} circle`) right++;
    }
    await clip.close();
    expect(right).toBeGreaterThanOrEqual(5);
  });

  it("stops where the loss is no number, naming step, culprit, batch and the last good checkpoint", async () => {
    const run = await newRun({ learningRate: 1e30, schedule: { kind: "constant", warmup: 0 }, checkpointEvery: 1 });
    const error = await trained(run).then(
      () => expect.fail("it went on"),
      (e: Error) => e.message,
    );
    expect(error).toMatch(/^step 2: the loss is (NaN|Infinity|[\d.e+]+) \(gradient norm NaN, scale [\d.]+\): /);
    expect(error).toMatch(/the gradient of [\w.]+ and \d+ more is not finite; batch of pairs (\d+, ){7}\d+; /);
    expect(error).toContain(`last good checkpoint: ${checkpointPath(run.folder, 1)}`);
    expect(error).not.toContain("\n");
    expect(await checkpointSteps(run.folder)).toEqual([1]);
  });

  it("ends with the last checkpoint where a step fails half way, since the state may be half updated", async () => {
    const run = await newRun();
    let steps = 0;
    const failing: Engine = {
      ...engine,
      compile: async (graph, options) => {
        const program = await engine.compile(graph, options);
        return {
          ...program,
          run: (inputs, state) =>
            ++steps === 7 ? Promise.reject(new Error("out of memory")) : program.run(inputs, state),
        };
      },
    };
    const last = checkpointPath(run.folder, 4);
    await expect(trained(run, Number.POSITIVE_INFINITY, failing)).rejects.toThrow(
      `step 7: out of memory; last good checkpoint: ${last}`,
    );
    expect(await checkpointSteps(run.folder)).toEqual([4]);
    expect(await trained(await openRunFolder(run.folder))).toMatchObject({ finished: true, step: 12 });
  });

  it("with a background sees transparent pictures as if they were laid on it", async () => {
    const drawing = sharp({ create: { width: 24, height: 24, channels: 4, background: "#d22" } }).extend({
      ...{ top: 4, bottom: 4, left: 4, right: 4, background: "#0000" },
    });
    const [clear, laid] = [join(place, "clear.png"), join(place, "laid.png")];
    await drawing.png().toFile(clear);
    await sharp(clear).flatten({ background: "#fff" }).png().toFile(laid);
    for (const [background, isSame] of [
      [{ background: 255 }, true],
      [{}, false],
    ] as const) {
      const run = await newRun({ steps: 1, ...background });
      await trained(run);
      const clip = await CLIP.load(run.folder, { engine });
      const [one, other] = await clip.encodeImage([clear, laid]);
      expect(JSON.stringify(one) === JSON.stringify(other)).toBe(isSame);
      await clip.close();
    }
  });

  it("is a model at each of its checkpoints", async () => {
    const run = await newRun();
    await trained(run);
    const scales: number[] = [];
    for (const path of [checkpointPath(run.folder, 8), checkpointPath(run.folder, 12), run.folder]) {
      const clip = await CLIP.load(path, { engine });
      expect(clip.tokenizer.vocabSize).toBe(run.model.text.vocabSize);
      expect(clip.templates).toEqual(run.recipe.templates);
      scales.push(clip.logitScale);
      await clip.close();
    }
    // A line has the scale that its step began with.
    expect(scales[0]).toBeCloseTo((await readMetrics(run.folder))[8]?.scale ?? Number.NaN, 4);
    expect(scales[1]).toBe(scales[2]);
    expect(scales[0]).not.toBe(scales[1]);
  });

  it("never writes a checkpoint with a number that is not finite", async () => {
    const run = await newRun();
    const spoilt = { a: hostTensor("f32", [2], [1, 2]), b: hostTensor("f32", [2], [1, Number.POSITIVE_INFINITY]) };
    await expect(saveCheckpoint(run, 7, spoilt)).rejects.toThrow(
      "step 7: b is not finite; the checkpoint is not written",
    );
    expect(await checkpointSteps(run.folder)).toEqual([]);
  });
});

describe("a run folder", () => {
  const message = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => expect.fail("it was accepted"),
      (error: Error) => error.message,
    );

  it("is not written over", async () => {
    const run = await newRun();
    const again = createRunFolder(run.folder, run.recipe, run.tokenizer);
    expect(await message(again)).toBe(
      `${run.folder}: holds a run already; go on with it (clip-ts train --resume ${run.folder}) or name another`,
    );
    expect(await message(createRunFolder(join(place, "pairs"), run.recipe, run.tokenizer))).toContain("is not empty");
    for (const path of [table, join(table, "run")])
      expect(await message(createRunFolder(path, run.recipe, run.tokenizer))).toBe(
        `${path}: cannot be written: a file is where a folder should be`,
      );
  });

  it("of another version, or with damaged files, is refused in one line", async () => {
    const { folder } = await newRun();
    const path = join(folder, "config.json");
    const config = await readFile(path, "utf8");
    const damaged = async (text: string): Promise<string> => {
      await writeFile(path, text);
      const said = await message(openRunFolder(folder));
      await writeFile(path, config);
      return said;
    };
    expect(await damaged(config.replace('"version": 1', '"version": 2'))).toBe(
      `${folder}: a run folder of format version 2; this clip-ts reads version 1`,
    );
    expect(await damaged(config.slice(0, 100))).toContain(`${path}: is no JSON`);
    expect(await damaged(config.replace('"steps": 12', '"steps": "many"'))).toMatch(
      /recipe: steps: expected number, received string$/,
    );
    expect(
      await damaged(config.replace('"vocabSize": 600', '"vocabSize": 599').replace('"embedDim"', '"embed"')),
    ).toMatch(/config\.json.*embed/);
    expect(await message(openRunFolder(join(folder, "nothing")))).toContain("is no run folder");
    await rm(join(folder, "tokenizer.json"));
    expect(await message(openRunFolder(folder))).toContain("tokenizer.json: there is no such file");
  });

  it("without a checkpoint, or with one of another model, does not load", async () => {
    const run = await newRun();
    expect(await message(CLIP.load(run.folder, { engine }))).toBe(`${run.folder}: has no checkpoint yet`);
    await trained(run, 1);
    const path = checkpointPath(run.folder, 2);
    const tensors = Object.fromEntries(await readSafetensors(path));
    const { "visual.proj": _, ...without } = tensors;
    await writeSafetensors(path, without);
    expect(await message(CLIP.load(run.folder, { engine }))).toBe(`${path}: tensor visual.proj is missing`);
    await writeSafetensors(path, { ...tensors, "visual.proj": hostTensor("f32", [1], [0]) });
    expect(await message(CLIP.load(run.folder, { engine }))).toBe(
      `${path}: tensor visual.proj: expected [32,16], got [1]`,
    );
    await writeFile(path, (await readFile(path)).subarray(0, 1000));
    expect(await message(CLIP.load(run.folder, { engine }))).toContain(path);
  });

  it.skipIf(!existsSync("/dev/full"))("says in one line that the disk is full", async () => {
    expect(await message(onDisk("runs/x", () => writeFile("/dev/full", "x")))).toBe(
      "runs/x: cannot be written: the disk is full",
    );
  });
});
