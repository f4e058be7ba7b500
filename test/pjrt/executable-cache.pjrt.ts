/** Compiled programs on disk: loaded again with the same results, compiled anew where what is kept is damaged or for something else. */
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import * as g from "../../src/graph/index.ts";
import { pluginPath } from "./plugin.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-executables-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const WIDTH = 64;
/** Long enough to be worth keeping: layers that differ. */
const graph = g.trace(
  { w: { dtype: "f32", shape: [WIDTH, WIDTH] }, x: { dtype: "f32", shape: [8, WIDTH] } },
  ({ w, x }) => {
    let y = x;
    for (let i = 0; i < 25; i++) y = g.softmax(g.add(g.linear(y, w), 0.01 * i));
    return { y, w: g.add(w, 1) };
  },
);
const x = g.hostTensor(
  "f32",
  [8, WIDTH],
  Float32Array.from({ length: 8 * WIDTH }, (_, i) => Math.sin(i)),
);
const w = g.hostTensor(
  "f32",
  [WIDTH, WIDTH],
  Float32Array.from({ length: WIDTH * WIDTH }, (_, i) => Math.cos(i)),
);

/** What it computes in two steps, and the seconds that compiling took. */
async function run(flags = {}): Promise<{ values: Float32Array; seconds: number }> {
  const engine = await createPjrtEngine({ plugin: pluginPath(), cache: folder, flags });
  try {
    const program = await engine.compile(graph, { state: ["w"] });
    const state = await engine.createState({ w });
    await program.run({ x }, state);
    const { y } = await program.run({ x }, state);
    return { values: Float32Array.from(y?.data ?? []), seconds: program.compileSeconds };
  } finally {
    await engine.close();
  }
}

it("loads what it compiled, and compiles what is damaged, foreign or for other flags", async () => {
  const first = await run();
  const [key = "", ...others] = await readdir(folder);
  expect(others).toEqual([]);
  const again = await run();
  expect(again.values).toEqual(first.values);
  expect(again.seconds).toBeLessThan(first.seconds / 2);
  expect(await readdir(folder)).toEqual([key]);

  await truncate(join(folder, key, "executable.bin"), 1000);
  expect((await run()).values).toEqual(first.values);
  expect((await run()).seconds).toBeLessThan(first.seconds / 2);

  await writeFile(join(folder, key, "seal.json"), "{}");
  expect((await run()).values).toEqual(first.values);

  await run({ xla_cpu_enable_fast_math: true });
  expect((await readdir(folder)).length).toBe(2);
});

it("works where nothing can be kept", async () => {
  const file = join(folder, "file");
  await writeFile(file, "");
  const engine = await createPjrtEngine({ plugin: pluginPath(), cache: join(file, "below") });
  const program = await engine.compile(graph, { state: ["w"] });
  expect(program.compileSeconds).toBeGreaterThan(0);
  await engine.close();
});
