/** Restoring: every process reads of a checkpoint what its devices hold, and gets what was there. */
import { type FileHandle, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { openPieces, writeManifest, writePieces } from "../../src/checkpoint/index.ts";
import { isBoxed, type State } from "../../src/engine/engine.ts";
import {
  cut,
  distinctPieces,
  elements,
  type HostTensor,
  hostTensor,
  type Mesh,
  meshSize,
  pieceOf,
} from "../../src/graph/index.ts";
import { type ClipConfig, initialise } from "../../src/model/index.ts";
import { stateOf } from "../../src/train/graphs.ts";
import { momentTypes } from "../../src/train/optimizer.ts";
import { ownPieces } from "../../src/train/pieces.ts";
import { trainingPlacements } from "../../src/train/placements.ts";
import { startingValues } from "../../src/train/starting-values.ts";
import { fileHandles } from "../checkpoint/file-handles.ts";
import { MICRO_VIT } from "./micro.ts";

/** Wide enough for parameters that are kept in pieces, and one that the optimiser lays flat. */
const CONFIG: ClipConfig = {
  ...MICRO_VIT,
  vision: { kind: "vit", width: 64, layers: 1, heads: 4, patchSize: 4 },
  text: { ...MICRO_VIT.text, width: 64, heads: 4 },
};
const ADAM = { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 };

const bytesOf = ({ data }: HostTensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

let place: string;
let handles: FileHandle;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-restore-"));
  handles = await fileHandles();
});
afterAll(() => rm(place, { recursive: true }));

it.each([
  [{ data: 4 }, 2],
  [{ data: 2, model: 2 }, 4],
  [{ data: 2, model: 4 }, 2],
] as const)("mesh %j, %i processes", async (mesh: Mesh, nodes: number) => {
  const { groups, parameters, buffers } = stateOf({ config: CONFIG, adam: ADAM, batch: 8, length: 12 });
  const { shardings } = trainingPlacements(CONFIG, groups, mesh, true);
  let seed = 0;
  const noise = (shape: readonly number[]): HostTensor =>
    hostTensor(
      "f32",
      shape,
      Float32Array.from({ length: elements(shape) }, () => Math.sin(seed++)),
    );
  const moments = Object.entries(momentTypes(groups)).map(([name, { shape }]) => [name, noise(shape)] as const);
  const values: Record<string, HostTensor> = { ...initialise(CONFIG, 1), ...Object.fromEntries(moments) };
  const boxAt = (name: string, start: readonly number[]): HostTensor => {
    const value = values[name] ?? expect.fail(name);
    const found = distinctPieces(value.shape, shardings[name] ?? [], mesh).find(
      ({ piece }) => piece.start.join() === start.join(),
    );
    return cut(value, found?.piece ?? expect.fail(`${name} at [${start}]`));
  };
  const state = { readPiece: async (name: string, start: readonly number[]) => boxAt(name, start) };
  const entries = Object.entries(values).map(([name, { shape }]) => ({ name, shape }));
  const folder = join(place, JSON.stringify(mesh));
  for (let node = 0; node < nodes; node++)
    await writePieces(
      folder,
      node,
      nodes,
      ownPieces(state as unknown as State, entries, { mesh, shardings, groups, node, nodes }),
    );
  const file = await openPieces(await writeManifest(folder, 1, nodes));
  expect(file.size).toBeGreaterThan(4 * entries.reduce((sum, { shape }) => sum + elements(shape), 0));

  const perNode = meshSize(mesh) / nodes;
  for (let node = 0; node < nodes; node++) {
    const reading = vi.spyOn(handles, "read");
    let held = 0;
    const starting = startingValues(file, { ...parameters, ...buffers }, groups);
    expect(Object.keys(starting).sort()).toEqual(Object.keys(values).sort());
    for (const [name, value] of Object.entries(starting)) {
      if (!isBoxed(value)) expect.fail(name);
      const boxes = Array.from({ length: perNode }, (_, i) =>
        pieceOf(value.shape, shardings[name] ?? [], mesh, node * perNode + i),
      );
      const distinct = new Map(boxes.map((box) => [box.start.join(), box]));
      for (const box of distinct.values()) {
        const [found, expected] = [await value.readBox(box), boxAt(name, box.start)];
        expect(found.shape, name).toEqual(expected.shape);
        // As a whole: element by element it takes seconds.
        expect(Buffer.compare(bytesOf(found), bytesOf(expected)), name).toBe(0);
        held += 4 * elements(box.shape);
      }
    }
    const results = await Promise.all(reading.mock.results.map(({ value }) => value));
    reading.mockRestore();
    expect(results.reduce((sum: number, { bytesRead }) => sum + bytesRead, 0)).toBe(held);
    expect(held).toBeLessThan(0.75 * file.size);
  }
  await file.close();
});
