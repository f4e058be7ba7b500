import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openPieces } from "../../src/checkpoint/index.ts";
import { CLIP } from "../../src/clip.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import type { Mesh } from "../../src/graph/index.ts";
import type { ClipConfig } from "../../src/model/index.ts";
import { train } from "../../src/train/loop.ts";
import type { Recipe } from "../../src/train/recipe.ts";
import {
  checkpointFile,
  checkpointSteps,
  createRunFolder,
  openRunFolder,
  type RunFolder,
  readMetrics,
} from "../../src/train/run-folder.ts";
import { tokenizerOf } from "../../src/train/vocabulary.ts";
import { drawPairs, MICRO_VIT, microRecipe, readCheckpoint } from "../train/micro.ts";
import { freePort } from "./free-port.ts";

const MEMBER = fileURLToPath(new URL("./train-member.mjs", import.meta.url));
/** Wide enough for parameters that are kept in pieces. */
const MODEL: ClipConfig = {
  ...MICRO_VIT,
  vision: { kind: "vit", width: 64, layers: 1, heads: 4, patchSize: 4 },
  text: { ...MICRO_VIT.text, width: 64, heads: 4 },
};

let place: string;
let table: string;
let engine: Engine;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-nodes-"));
  table = await drawPairs(join(place, "pairs"));
  engine = await createOnnxEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(place, { recursive: true });
});

let runs = 0;
async function newRun(changes: Partial<Recipe> = {}): Promise<RunFolder> {
  const recipe = microRecipe(table, { model: MODEL, schedule: { kind: "constant", warmup: 0 }, ...changes });
  return createRunFolder(join(place, `run-${runs++}`), recipe, await tokenizerOf(recipe));
}

interface Node {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly ended: Promise<number | null>;
  until(holds: (line: string) => boolean): Promise<string>;
}

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

async function startNodes(folder: string, nodes: number, mesh: Mesh, fsdp: boolean): Promise<Node[]> {
  const port = await freePort();
  return Array.from({ length: nodes }, (_, node) => {
    const options = {
      ...{ folder, mesh, fsdp, node, nodes, host: "127.0.0.1", port },
      ...{ token: "a token of the tests", agreement: "one", silenceMs: 20_000, startMs: 30_000 },
    };
    const child = spawn(process.execPath, [MEMBER, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
    started.push(child);
    const lines: string[] = [];
    const waiting: (() => void)[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      for (const wake of waiting.splice(0)) wake();
    });
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    const until = async (holds: (line: string) => boolean): Promise<string> => {
      for (;;) {
        const found = lines.find(holds);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    };
    return { child, lines, ended, until };
  });
}

describe("two processes that train together", () => {
  it("give what one gives, write checkpoints in pieces that anyone reads, and one goes on from them", async () => {
    const alone = await newRun();
    await train(alone, { engine, loaderWorkers: 0 });
    const both = await newRun({ steps: 8 });
    const nodes = await startNodes(both.folder, 2, { data: 4, model: 2 }, true);
    expect(await Promise.all(nodes.map(({ ended }) => ended))).toEqual([0, 0]);
    const manifest = join(both.folder, "checkpoints", "step-8", "manifest.json");
    for (const { lines } of nodes) expect(lines.at(-1)).toBe(`finished 8 ${manifest}`);
    expect(await checkpointSteps(both.folder)).toEqual([4, 8]);
    expect((await readdir(join(both.folder, "checkpoints", "step-8"))).sort()).toEqual([
      "manifest.json",
      "node-0-of-2.safetensors",
      "node-1-of-2.safetensors",
    ]);

    const [whole, pieces] = [await readMetrics(alone.folder), await readMetrics(both.folder)];
    for (const [i, { loss }] of pieces.entries()) expect(loss).toBeCloseTo(whole[i]?.loss ?? Number.NaN, 4);
    const [one, other] = [await readCheckpoint(alone, 8), await readCheckpoint(both, 8)];
    expect(Object.keys(other).sort()).toEqual(Object.keys(one).sort());
    for (const [name, { data, shape }] of Object.entries(one)) {
      expect(other[name]?.shape, name).toEqual(shape);
      let far = 0;
      for (const [i, x] of data.entries()) far = Math.max(far, Math.abs(x - (other[name]?.data[i] ?? Number.NaN)));
      expect(far, name).toBeLessThan(2e-3);
    }

    const clip = await CLIP.load(both.folder, { engine });
    expect((await clip.encodeText(["a red circle"]))[0]?.length).toBe(MODEL.embedDim);
    await clip.close();
    const result = await train({ ...both, recipe: { ...both.recipe, steps: 12 } }, { engine, loaderWorkers: 0 });
    expect(result).toMatchObject({ finished: true, step: 12, checkpoint: checkpointFile(both.folder, 12) });
    const last = (await readMetrics(both.folder)).at(-1)?.loss;
    expect(last).toBeCloseTo(whole.at(-1)?.loss ?? Number.NaN, 3);
  });

  it("each write their share", async () => {
    const run = await newRun({ steps: 1 });
    const nodes = await startNodes(run.folder, 2, { data: 2 }, false);
    await Promise.all(nodes.map(({ ended }) => ended));
    const file = await openPieces(checkpointFile(run.folder, 1));
    const all = file.tensors.size;
    await file.close();
    for (const node of [0, 1]) {
      const { openSafetensors } = await import("../../src/checkpoint/index.ts");
      const part = await openSafetensors(join(run.folder, "checkpoints", "step-1", `node-${node}-of-2.safetensors`));
      expect(part.tensors.size).toBeGreaterThan(all / 8);
      await part.close();
    }
  });

  it("end when one is killed, with the last good checkpoint's name; a half-written one is cleared away", async () => {
    const run = await newRun({ steps: 100_000, checkpointEvery: 3 });
    const [zero, one] = await startNodes(run.folder, 2, { data: 2 }, true);
    await zero?.until((line) => line.startsWith("step 5 "));
    one?.child.kill("SIGKILL");
    expect(await zero?.ended).toBe(1);
    const said = zero?.lines.at(-1) ?? "";
    expect(said).toMatch(
      /^failed: (step \d+: )?node 1 is gone: its connection broke; last good checkpoint: \S+\/step-\d+\/manifest\.json$/,
    );
    const steps = await checkpointSteps(run.folder);
    expect(steps.length).toBeGreaterThan(0);
    const again = await openRunFolder(run.folder);
    const shorter = { ...again, recipe: { ...again.recipe, steps: (steps.at(-1) ?? 0) + 1 } };
    expect(await train(shorter, { engine, loaderWorkers: 0 })).toMatchObject({ finished: true });
  });

  it("stop behind the same step when one of them is asked to", async () => {
    const run = await newRun({ steps: 100_000, checkpointEvery: 1000 });
    const nodes = await startNodes(run.folder, 2, { data: 2 }, true);
    await nodes[0]?.until((line) => line.startsWith("step 3 "));
    nodes[1]?.child.kill("SIGTERM");
    expect(await Promise.all(nodes.map(({ ended }) => ended))).toEqual([0, 0]);
    const [first, second] = nodes.map(({ lines }) => lines.at(-1));
    expect(first).toMatch(/^stopped \d+ \S+manifest\.json$/);
    expect(second).toBe(first);
  });
});
