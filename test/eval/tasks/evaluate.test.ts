/** A task's splits, seeds and kept features as an evaluator gets them. */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { createOnnxEngine } from "../../../src/engine/onnx/onnx-engine.ts";
import { evaluate, openContext } from "../../../src/eval/evaluate.ts";
import { pixelsOf } from "../../../src/eval/tasks/labelled-images.ts";
import type { Task } from "../../../src/eval/tasks/task.ts";
import { encodePng } from "../../../src/image/index.ts";
import { COLOUR_NAMES, microClip, squares } from "../micro-context.ts";

let engine: Engine;
let micro: Awaited<ReturnType<typeof microClip>>;
let place: string;
let task: Task;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1 });
  micro = await microClip(engine);
  place = await mkdtemp(join(tmpdir(), "clip-ts-evaluate-"));
  for (const [split, each] of [
    ["train", 10],
    ["test", 4],
  ] as const) {
    const images = squares(split, each);
    for (const [i, label] of images.labels.entries()) {
      const folder = join(place, split, COLOUR_NAMES[label] ?? "");
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, `${i}.png`), await encodePng(await pixelsOf(images, i)));
    }
  }
  await writeFile(join(place, "train", "red", "3.png"), "broken");
  task = {
    ...{ name: "colours", metric: "accuracy", templates: ["a {} square, drawn", "a {}"] },
    test: { kind: "folder", folder: join(place, "test") },
    train: { kind: "folder", folder: join(place, "train") },
  };
});
afterAll(async () => {
  await micro.close();
  await engine.close();
  await rm(place, { recursive: true });
});

const contextOf = (options: { readonly seed?: number; readonly limit?: number } = {}) =>
  openContext(micro.clip, task, { cache: join(place, "cache"), ...options });

it("splits training pictures by the seed, each in one part, rows and pictures of the same numbers", async () => {
  const parts: string[] = [];
  for (const seed of [0, 0, 1]) {
    const { context, close } = await contextOf({ seed });
    const [train, validation] = [await context.images("train"), await context.images("validation")];
    expect([train.count, validation.count]).toEqual([55, 6]);
    const names = [train, validation].flatMap((images) =>
      Array.from({ length: images.count }, (_, i) => images.describe(i)),
    );
    expect(new Set(names).size).toBe(61);
    parts.push(JSON.stringify(names));
    for (const split of ["train", "validation"] as const) {
      const [images, features] = [await context.images(split), await context.features(split)];
      expect(features.count + features.unreadable.length).toBe(images.count);
      for (const { index, error } of features.unreadable) expect(error).toContain(images.describe(index));
      const rows = await features.projected.read(0, features.count);
      const { width } = features.projected;
      for (const row of [0, 1, features.count - 1]) {
        const index = features.indices[row] ?? -1;
        expect(features.labels[row]).toBe(images.labels[index]);
        const own = await micro.clip.encodeImage(await images.image(index));
        for (const [j, value] of own.entries()) expect(rows[row * width + j]).toBeCloseTo(value, 5);
      }
    }
    await close();
  }
  expect(parts[1]).toBe(parts[0]);
  expect(parts[2]).not.toBe(parts[0]);
});

it("gives the same figures again, and says where a split is missing", async () => {
  const options = { cache: join(place, "cache"), seed: 4, limit: 20, modelName: "micro" };
  const strip = (results: Awaited<ReturnType<typeof evaluate>>) => results.map(({ seconds: _, ...rest }) => rest);
  const first = strip(await evaluate(micro.clip, task, options));
  expect(strip(await evaluate(micro.clip, task, options))).toEqual(first);
  expect(strip(await evaluate(micro.clip, task, { ...options, cache: join(place, "other") }))).toEqual(first);
  expect(first[0]).toMatchObject({ kind: "zero-shot", data: { pictures: 20, classes: COLOUR_NAMES.length }, seed: 4 });
  expect(first[0]?.details?.tables?.[0]?.rows.map(([name]) => name)).toEqual([
    "label alone",
    "one template",
    "ensemble of 2",
  ]);
  const { train: _, ...bare } = task;
  await expect(evaluate(micro.clip, bare, { ...options, kind: "linear-probe" })).rejects.toThrow(
    "colours: has no pictures for train, which this evaluation needs",
  );
  await expect(evaluate(micro.clip, { ...task, classNames: ["a", "b"] }, options)).rejects.toThrow(
    `colours: expected names for ${COLOUR_NAMES.length} classes, got 2`,
  );
});

it("of pictures with several labels gives the metric of those, and no confusion", async () => {
  const folder = join(place, "several");
  await mkdir(folder, { recursive: true });
  await cp(new URL("../../golden/tasks/several.tar", import.meta.url), join(folder, "0.tar"));
  await cp(new URL("../../golden/tasks/wds/classnames.txt", import.meta.url), join(folder, "classnames.txt"));
  const several: Task = { name: "several", metric: "11-point mAP", templates: ["a {}"], test: { kind: "wds", folder } };
  const [result] = await evaluate(micro.clip, several, { cache: join(place, "cache") });
  expect(result?.figures.map(({ name, samples }) => [name, samples])).toEqual([["11-point mAP", 3]]);
  // All three have the first class, and none the last; of the second it depends.
  expect(result?.figures[0]?.value).toBeGreaterThan(0.65);
  expect(result?.details?.confusion).toBeUndefined();
  const accuracy = evaluate(micro.clip, { ...several, metric: "accuracy" }, { cache: join(place, "cache") });
  await expect(accuracy).rejects.toThrow("several: pictures have several labels: expected the metric 11-point mAP");
});

it("stops with the signal's reason", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(evaluate(micro.clip, task, { cache: join(place, "stopped"), signal })).rejects.toThrow("enough");
});
