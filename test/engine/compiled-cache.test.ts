/** Programs that are kept compiled: found again, rebuilt where they are damaged, bounded in size. */
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder } from "../../src/cache/index.ts";
import type { StoredTensors } from "../../src/engine/engine.ts";
import { compiledCache, MODEL, WEIGHTS } from "../../src/engine/onnx/compiled-cache.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import * as g from "../../src/graph/index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-cache-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Stands for onnxruntime, which writes a model and its weights. */
const written =
  (model: string, weights: string) =>
  async (place: string | undefined): Promise<string> => {
    if (place === undefined) return "unkept";
    await writeFile(join(place, MODEL), model);
    await writeFile(join(place, WEIGHTS), weights);
    return "kept";
  };

describe("a kept program", () => {
  it("is found by its key, whole", async () => {
    expect(await compiledCache(folder).keep("a", written("model a", "weights"))).toBe("kept");
    const place = await compiledCache(folder).find("a");
    expect(place && (await readFile(join(place, MODEL), "utf8"))).toBe("model a");
    expect(await compiledCache(folder).find("b")).toBeUndefined();
    expect(await readdir(folder)).toEqual(["a"]);
  });

  it("is forgotten where its files are cut, changed or gone", async () => {
    const spoil = [
      () => truncate(join(folder, "a", WEIGHTS), 3),
      () => writeFile(join(folder, "a", "model.onnx"), "modem a"),
      () => rm(join(folder, "a", WEIGHTS)),
      () => writeFile(join(folder, "a", "seal.json"), "{"),
    ];
    for (const spoilt of spoil) {
      await compiledCache(folder).keep("a", written("model a", "weights"));
      await spoilt();
      expect(await compiledCache(folder).find("a")).toBeUndefined();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it("is not kept where it cannot be, and works all the same", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    expect(await compiledCache(join(file, "below")).keep("a", written("m", "w"))).toBe("unkept");
    const full = async (path: string | undefined): Promise<string> => {
      if (path === undefined) return "unkept";
      await writeFile(join(path, MODEL), "half");
      throw new Error("no space left on device");
    };
    expect(await compiledCache(folder).keep("a", full)).toBe("unkept");
    expect(await readdir(folder)).toEqual(["file"]);
  });

  it("fails with the first reason where it fails either way", async () => {
    const broken = async (path: string | undefined): Promise<string> => {
      throw new Error(path === undefined ? "second" : "first");
    };
    await expect(compiledCache(folder).keep("a", broken)).rejects.toThrow("first");
    expect(await readdir(folder)).toEqual([]);
  });

  it("makes room: the longest unused go, the new one stays", async () => {
    for (const [i, key] of ["old", "used", "new"].entries()) {
      await compiledCache(folder).keep(key, written("m", "w".repeat(99)));
      await utimes(join(folder, key), i + 1, i + 1);
    }
    await compiledCache(folder).find("old"); // used just now
    await compiledCache(folder, 350).keep("newer", written("m", "w".repeat(99)));
    expect((await readdir(folder)).sort()).toEqual(["new", "newer", "old"]);
    await compiledCache(folder, 10).keep("newest", written("m", "w".repeat(99)));
    expect(await readdir(folder)).toEqual(["newest"]);
  });

  it("stands where the environment says", () => {
    expect(cacheFolder({ CLIP_TS_CACHE: "/a", XDG_CACHE_HOME: "/b" }, "linux")).toBe("/a");
    expect(cacheFolder({ XDG_CACHE_HOME: "/b" }, "linux")).toBe(join("/b", "clip-ts"));
    expect(cacheFolder({}, "darwin")).toMatch(/Library.Caches.clip-ts$/);
    expect(cacheFolder({ LOCALAPPDATA: "/l" }, "win32")).toBe(join("/l", "clip-ts", "Cache"));
  });
});

describe("the engine", () => {
  const size = 2900; // squared, more than what is worth keeping
  const graph = g.trace(
    { w: { dtype: "f32", shape: [size, size] }, x: { dtype: "f32", shape: [1, size] } },
    ({ w, x }) => ({
      y: g.linear(g.exp(x), w),
    }),
  );
  let reads = 0;
  const stored = (fingerprint: string): StoredTensors => ({
    types: { w: { dtype: "f32", shape: [size, size] } },
    fingerprint,
    read: async () => {
      reads++;
      const data = new Float32Array(size * size).fill(fingerprint === "a" ? 1 : 2);
      return { w: g.hostTensor("f32", [size, size], data) };
    },
  });
  const x = g.hostTensor("f32", [1, size], new Float32Array(size));

  it("reads the weights once, and again where what it kept is damaged or for other weights", async () => {
    reads = 0;
    const once = async (fingerprint: string): Promise<number | undefined> => {
      const engine = await createOnnxEngine({ threads: 1, cache: folder });
      try {
        const program = await engine.compile(graph, { constants: stored(fingerprint) });
        return (await program.run({ x })).y?.data[7];
      } finally {
        await engine.close();
      }
    };
    expect([await once("a"), reads]).toEqual([size, 1]);
    expect([await once("a"), reads]).toEqual([size, 1]);
    expect([await once("b"), reads]).toEqual([2 * size, 2]);
    const keys = await readdir(folder);
    expect(keys.length).toBe(2);
    for (const key of keys) await truncate(join(folder, key, WEIGHTS), 1000);
    expect([await once("a"), reads]).toEqual([size, 3]);
    // Sealed rightly, but no model: the session cannot be made.
    for (const key of await readdir(folder)) await rm(join(folder, key), { recursive: true });
    expect([await once("a"), reads]).toEqual([size, 4]);
    expect([await once("a"), reads]).toEqual([size, 4]);
  });
});
