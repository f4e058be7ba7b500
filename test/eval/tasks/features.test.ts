/** Features are computed once, survive being killed, and leave out what cannot be read. */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CLIP } from "../../../src/clip.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { createOnnxEngine } from "../../../src/engine/onnx/onnx-engine.ts";
import {
  type FeatureSet,
  imageFeatures,
  memoryMatrix,
  normalizedMatrix,
  selectedRows,
} from "../../../src/eval/tasks/features.ts";
import { changed, drawn, someOf, subset } from "../../../src/eval/tasks/labelled-images.ts";
import type { LabelledImages } from "../../../src/eval/tasks/task.ts";
import { MICRO_VIT } from "../../train/micro.ts";
import { microClip, squares } from "../micro-context.ts";

let engine: Engine;
let micro: Awaited<ReturnType<typeof microClip>>;
let clip: CLIP;
let place: string;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1 });
  micro = await microClip(engine);
  clip = micro.clip;
  place = await mkdtemp(join(tmpdir(), "clip-ts-features-"));
});
afterAll(async () => {
  await micro.close();
  await engine.close();
  await rm(place, { recursive: true });
});

/** Counts what is asked for; pictures with some numbers cannot be read. */
function watched(images: LabelledImages, broken: readonly number[] = []) {
  const asked: number[] = [];
  const source: LabelledImages = {
    ...images,
    image: async (index) => {
      asked.push(index);
      if (broken.includes(index)) throw new Error(`${images.describe(index)}: cannot be decoded`);
      return images.image(index);
    },
  };
  return { asked, source };
}

const all = async ({ projected, pooled, indices, labels, unreadable }: FeatureSet) => ({
  projected: [...(await projected.read(0, projected.count))],
  pooled: [...(await pooled.read(0, pooled.count))],
  ...{ indices: [...indices], labels: [...labels], unreadable },
});

describe("features of pictures", () => {
  it("are those of the encoder, before the projection too, and are read back the same", async () => {
    const { asked, source } = watched(squares("both", 4));
    const cache = join(place, "both");
    const found = await all(await imageFeatures(clip, source, { cache }));
    const count = source.count;
    const { embedDim } = clip.config;
    const width = MICRO_VIT.vision.width;
    expect([found.projected.length, found.pooled.length]).toEqual([count * embedDim, count * width]);
    const pictures = await Promise.all(Array.from({ length: count }, (_, i) => source.image(i)));
    for (const [i, row] of (await clip.encodeImage(pictures)).entries())
      for (const [j, value] of row.entries()) expect(found.projected[i * embedDim + j]).toBeCloseTo(value, 5);
    // The projection of what is before it: x @ proj.
    const { "visual.proj": projection } = await clip.readWeights((name) => name === "visual.proj");
    for (let j = 0; j < embedDim; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += (found.pooled[width + k] ?? 0) * (projection?.data[k * embedDim + j] ?? 0);
      expect(found.projected[embedDim + j]).toBeCloseTo(sum, 4);
    }
    asked.length = 0;
    expect(await all(await imageFeatures(clip, source, { cache }))).toEqual(found);
    expect(asked).toEqual([]);
  });

  it("leave out pictures that cannot be read, and say which", async () => {
    const { source } = watched(squares("broken", 3), [2, 7]);
    const whole = await all(await imageFeatures(clip, squares("broken", 3)));
    for (const cache of [undefined, join(place, "broken"), join(place, "broken")]) {
      const found = await all(await imageFeatures(clip, source, cache === undefined ? {} : { cache }));
      const kept = whole.indices.filter((i) => i !== 2 && i !== 7);
      expect(found.indices).toEqual(kept);
      expect(found.labels).toEqual(kept.map((i) => source.labels[i]));
      expect(found.unreadable).toEqual([2, 7].map((index) => ({ index, error: `broken ${index}: cannot be decoded` })));
      const { embedDim: d } = clip.config;
      const rows = kept.flatMap((i) => whole.projected.slice(i * d, (i + 1) * d));
      for (const [i, value] of found.projected.entries()) expect(value).toBeCloseTo(rows[i] ?? Number.NaN, 5);
    }
    const none = watched(squares("none", 1), [...Array(6).keys()]).source;
    await expect(imageFeatures(clip, none)).rejects.toThrow(
      "none: none of 6 pictures can be read: none 0: cannot be decoded",
    );
  });

  it("go on where they were stopped, and compute anew what was damaged", async () => {
    const images = squares("stopped", 200); // 1,200 pictures: three files
    const cache = join(place, "stopped");
    const stop = new AbortController();
    const first = watched(images);
    const onProgress = (done: number): void => {
      if (done === 700) stop.abort(new Error("ctrl-C"));
    };
    await expect(imageFeatures(clip, first.source, { cache, signal: stop.signal, onProgress })).rejects.toThrow(
      "ctrl-C",
    );
    const second = watched(images);
    const found = await all(await imageFeatures(clip, second.source, { cache }));
    expect(second.asked[0]).toBe(512);
    expect(second.asked.length).toBe(1200 - 512);
    expect(await all(await imageFeatures(clip, images))).toEqual(found);

    const [key = ""] = await readdir(join(cache, "features"));
    const folder = join(cache, "features", key);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    await truncate(join(folder, "000001.safetensors"), 1000);
    await writeFile(join(folder, "000002.pooled.safetensors"), "damaged");
    const third = watched(images);
    expect(await all(await imageFeatures(clip, third.source, { cache }))).toEqual(found);
    expect(Math.min(...third.asked)).toBe(512);
    expect(third.asked.length).toBe(1200 - 512);
  });

  it("of other pictures or another order are others", async () => {
    const images = squares("order", 2);
    const cache = join(place, "order");
    await imageFeatures(clip, images, { cache });
    for (const other of [
      subset(images, [0, 1]),
      subset(images, [1, 0]),
      changed(images, { by: 1 }, "x", (image) => image),
    ]) {
      const { asked, source } = watched(other);
      await imageFeatures(clip, source, { cache });
      expect(asked.length).toBe(other.count);
    }
    expect((await readdir(join(cache, "features"))).length).toBe(4);
    const renamed = watched({ ...images, name: "elsewhere", classNames: [...images.classNames].reverse() });
    await imageFeatures(clip, renamed.source, { cache });
    expect(renamed.asked).toEqual([]);
  });

  it("say so if a file is changed while it is in use", async () => {
    const cache = join(place, "changed");
    const set = await imageFeatures(clip, squares("changed", 1), { cache });
    const [key = ""] = await readdir(join(cache, "features"));
    const path = join(cache, "features", key, "000000.safetensors");
    const bytes = await readFile(path);
    await cp(path, `${path}.old`);
    await writeFile(path, bytes.subarray(0, bytes.length - 8));
    await expect(set.projected.read(0, 1)).rejects.toThrow(path);
  });
});

describe("rows", () => {
  it("of some pictures are the same rows", async () => {
    const set = await imageFeatures(clip, watched(squares("some", 20), [5]).source);
    const whole = await all(set);
    const pictures = Int32Array.of(3, 5, 6, 70, 119);
    const some = selectedRows(set, pictures);
    const { embedDim: d } = clip.config;
    // Numbers in the subset, as if its features had been computed.
    expect([...some.indices]).toEqual([0, 2, 3, 4]);
    expect(some.unreadable.map(({ index }) => index)).toEqual([1]);
    const rows = [3, 6, 70, 119].map((picture) => whole.indices.indexOf(picture));
    expect([...(await some.projected.read(1, 4))]).toEqual(
      rows.slice(1).flatMap((row) => whole.projected.slice(row * d, (row + 1) * d)),
    );
    await expect(some.projected.read(2, 5)).rejects.toThrow("expected rows within 0 .. 4, got 2 .. 5");
  });

  it("of length 1 keep their direction", async () => {
    const unit = normalizedMatrix(memoryMatrix(Float32Array.of(3, 4, 0, -2), 2));
    expect([...(await unit.read(0, 2))]).toEqual([3 / 5, 4 / 5, 0, -1].map((x) => expect.closeTo(x, 6)));
  });

  it("drawn with a seed are as many as asked for, different, in order, and the seed's", () => {
    const numbers = drawn(1000, 100, 7);
    expect(new Set(numbers).size).toBe(100);
    expect([...numbers]).toEqual([...numbers].sort((a, b) => a - b));
    expect(drawn(1000, 100, 7)).toEqual(numbers);
    expect(drawn(1000, 100, 8)).not.toEqual(numbers);
    const images = squares("few", 1);
    expect(someOf(images, 6, 1)).toBe(images);
    expect(someOf(images, 4, 1).count).toBe(4);
  });
});
