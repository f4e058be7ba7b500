import { cp, type FileHandle, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  manifestPath,
  openPieces,
  openSafetensors,
  type TensorPiece,
  writeManifest,
  writePieces,
  writeSafetensors,
} from "../../src/checkpoint/index.ts";
import {
  cut,
  distinctPieces,
  elements,
  type HostTensor,
  hostTensor,
  type Mesh,
  type Sharding,
} from "../../src/graph/index.ts";
import { fileHandles } from "./file-handles.ts";

let place: string;
let handles: FileHandle;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-pieces-"));
  handles = await fileHandles();
});
afterAll(() => rm(place, { recursive: true }));

const counting = (shape: readonly number[], from = 0): HostTensor =>
  hostTensor(
    "f32",
    shape,
    Float32Array.from({ length: elements(shape) }, (_, i) => from + i),
  );

const TENSORS: Readonly<Record<string, { readonly value: HostTensor; readonly sharding: Sharding }>> = {
  whole: { value: counting([3, 5]), sharding: [] },
  rows: { value: counting([8, 3], 100), sharding: [["data"]] },
  columns: { value: counting([2, 3, 8], 200), sharding: [[], [], ["model"]] },
  both: { value: counting([8, 4], 300), sharding: [["data"], ["model"]] },
  scalar: { value: counting([], 400), sharding: [] },
};

/** What a node of some writes: it has as many devices as each. */
function ownPieces(mesh: Mesh, node: number, nodes: number): TensorPiece[] {
  const perNode = ((mesh.data ?? 1) * (mesh.model ?? 1)) / nodes;
  return Object.entries(TENSORS).flatMap(([name, { value, sharding }]) =>
    distinctPieces(value.shape, sharding, mesh).flatMap(({ piece, devices }) =>
      Math.floor((devices[0] ?? 0) / perNode) === node
        ? [{ name, whole: value.shape, ...piece, value: async () => cut(value, piece) }]
        : [],
    ),
  );
}

const viewed = ({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** Counts what is read of files from here on. @returns ends it and tells */
function countBytesRead(): () => Promise<number> {
  const reading = vi.spyOn(handles, "read");
  return async () => {
    const read = await Promise.all(reading.mock.results.map(({ value }) => value));
    reading.mockRestore();
    return read.reduce((sum: number, { bytesRead }) => sum + bytesRead, 0);
  };
}

let folders = 0;
async function written(mesh: Mesh, nodes: number): Promise<string> {
  const folder = join(place, `step-${++folders}`);
  for (let node = nodes - 1; node >= 0; node--) await writePieces(folder, node, nodes, ownPieces(mesh, node, nodes));
  return writeManifest(folder, 7, nodes);
}

async function readAll(manifest: string): Promise<Record<string, HostTensor>> {
  const file = await openPieces(manifest);
  try {
    const read: Record<string, HostTensor> = {};
    for (const name of file.tensors.keys()) read[name] = await file.read(name);
    return read;
  } finally {
    await file.close();
  }
}

describe("a checkpoint in pieces", () => {
  it("is whole again, whatever mesh and how many nodes wrote it", async () => {
    const values = Object.fromEntries(Object.entries(TENSORS).map(([name, { value }]) => [name, value]));
    for (const [mesh, nodes] of [
      [{}, 1],
      [{ data: 4 }, 1],
      [{ data: 4 }, 4],
      [{ data: 4, model: 2 }, 2],
      [{ data: 2, model: 4 }, 8],
    ] as const) {
      const read = await readAll(await written(mesh, nodes));
      expect(Object.keys(read).sort()).toEqual(Object.keys(values).sort());
      for (const [name, value] of Object.entries(values)) expect(read[name], name).toEqual(value);
    }
  });

  it("gives any box, whatever mesh wrote it and whatever mesh asks for it", async () => {
    const meshes = [{}, { data: 4 }, { data: 2, model: 2 }, { data: 8, model: 1 }] as const;
    for (const writing of meshes) {
      const file = await openPieces(await written(writing, 1));
      for (const asking of meshes)
        for (const [name, { value, sharding }] of Object.entries(TENSORS))
          for (const { piece } of distinctPieces(value.shape, sharding, asking))
            expect(await file.readBox(name, piece), name).toEqual(cut(value, piece));
      await expect(file.readBox("rows", { start: [7, 0], shape: [2, 3] })).rejects.toThrow(
        /manifest\.json: tensor "rows": a box of \[2,3\] at \[7,0\] is not within \[8,3\]/,
      );
      await file.close();
    }
  });

  it("gives a node what its devices hold without reading the rest", async () => {
    const mesh = { data: 4 };
    const [large, row] = [counting([16, 4096]), 4096 * 4];
    const pieces = distinctPieces(large.shape, [["data"]], mesh);
    const folder = join(place, `step-${++folders}`);
    for (const node of [0, 1])
      await writePieces(
        folder,
        node,
        2,
        pieces
          .slice(2 * node, 2 * node + 2)
          .map(({ piece }) => ({ name: "w", whole: large.shape, ...piece, value: async () => cut(large, piece) })),
      );
    const apart = await openPieces(await writeManifest(folder, 1, 2));
    const path = join(place, "whole.safetensors");
    await writeSafetensors(path, { w: large });
    const together = await openSafetensors(path);
    for (const file of [apart, together]) {
      // As it was written; on twice as many nodes; a part of the columns; all of it.
      for (const [start, shape, bytes] of [
        [[4, 0], [4, 4096], 4 * row],
        [[2, 0], [2, 4096], 2 * row],
        [[0, 2048], [16, 2048], (16 * row) / 2],
        [[0, 0], [16, 4096], 16 * row],
      ] as const) {
        const counted = countBytesRead();
        const { data } = await file.readBox("w", { start, shape });
        expect(await counted()).toBe(bytes);
        expect(Buffer.compare(viewed(data), viewed(cut(large, { start, shape }).data))).toBe(0);
      }
      await file.close();
    }
  });

  it("is none without its manifest, which waits for every part", async () => {
    const folder = join(place, "half");
    await writePieces(folder, 0, 2, ownPieces({ data: 4 }, 0, 2));
    await expect(openPieces(manifestPath(folder))).rejects.toThrow("ENOENT");
  });

  it("is not written where a value cannot be had", async () => {
    const folder = join(place, "spoilt");
    const [first] = ownPieces({}, 0, 1);
    const spoilt = { ...(first as TensorPiece), value: () => Promise.reject(new Error("whole is not finite")) };
    await expect(writePieces(folder, 0, 1, [spoilt])).rejects.toThrow("whole is not finite");
    await expect(readFile(join(folder, "node-0-of-1.safetensors"))).rejects.toThrow("ENOENT");
  });
});

describe("a damaged or hostile one is refused in one line", () => {
  const manifest = { format: "clip-ts/pieces", version: 1, step: 7, files: [] as { name: string; size: number }[] };
  let good: string;
  beforeAll(async () => {
    good = await written({ data: 4, model: 2 }, 2);
  });

  const refused = async (folder: string): Promise<string> =>
    readAll(manifestPath(folder)).then(
      () => "",
      (error: Error) => error.message,
    );
  async function copy(): Promise<string> {
    const folder = join(place, `copy-${++folders}`);
    await cp(join(good, ".."), folder, { recursive: true });
    return folder;
  }

  it.each([
    ["../step-1/node-0-of-1.safetensors", "is no name of a file beside"],
    ["/etc/passwd", "is no name of a file beside"],
    ["..", "is no name of a file beside"],
    ["", "is no name of a file beside"],
  ])("files elsewhere: %s", async (name, why) => {
    const folder = await copy();
    await writeFile(manifestPath(folder), JSON.stringify({ ...manifest, files: [{ name, size: 10 }] }));
    expect(await refused(folder)).toMatch(new RegExp(`manifest\\.json: files\\.0\\.name: ${why}$`));
  });

  it("a manifest that is none", async () => {
    const folder = await copy();
    for (const [text, why] of [
      ["", "JSON"],
      ["[]", "expected object"],
      [JSON.stringify(manifest), "files"],
      [JSON.stringify({ ...manifest, version: 2, files: [{ name: "a", size: 1 }] }), "version"],
      [JSON.stringify({ ...manifest, files: [{ name: "a", size: -1 }] }), "size"],
      [JSON.stringify({ ...manifest, files: [{ name: "node-9-of-9.safetensors", size: 1 }] }), "there is no such file"],
    ] as const) {
      await writeFile(manifestPath(folder), text);
      const said = await refused(folder);
      expect(said).toContain(why);
      expect(said).not.toContain("\n");
    }
  });

  it("a part of another size than was written", async () => {
    const folder = await copy();
    const text = await readFile(manifestPath(folder), "utf8");
    await writeFile(manifestPath(folder), text.replace(/"size": (\d+)/, '"size": 1$1'));
    expect(await refused(folder)).toMatch(/node-0-of-2\.safetensors: has \d+ bytes, the manifest says 1\d+$/);
  });

  const tampered = async (pieces: readonly TensorPiece[]): Promise<string> => {
    const folder = join(place, `tampered-${++folders}`);
    await writePieces(folder, 0, 1, pieces);
    await writeManifest(folder, 1, 1);
    return refused(folder);
  };
  const piece = (whole: number[], start: number[], shape: number[], name = "t"): TensorPiece => ({
    name,
    whole,
    start,
    shape,
    value: async () => counting(shape),
  });

  it.each([
    ["missing pieces", [piece([4], [0], [2])], 'tensor "t": 1 of 2 pieces are there'],
    ["more than the file has", [piece([2 ** 40], [0], [2])], "1 of 549755813888 pieces are there"],
    ["the same twice", [piece([4], [0], [2]), piece([4], [0], [2])], "two pieces are at [0]"],
    ["overlapping ones", [piece([4], [0], [2]), piece([4], [1], [2])], "a piece of [2] at [1] is not within [4]"],
    ["outside", [piece([4], [0], [2]), piece([4], [4], [2])], "a piece of [2] at [4] is not within [4]"],
    ["of several sizes", [piece([4], [0], [2]), piece([4], [2], [1])], "its pieces differ"],
    ["of several wholes", [piece([4], [0], [2]), piece([6], [2], [2])], "its pieces differ"],
    ["of another rank", [piece([4, 4], [0], [2])], "boxes of [2] do not fill [4,4]"],
    ["that do not divide", [piece([5], [0], [2])], "boxes of [2] do not fill [5]"],
  ])("pieces: %s", async (_, pieces, why) => {
    const said = await tampered(pieces);
    expect(said).toContain(why);
    expect(said).not.toContain("\n");
  });

  it("a part without its table, or with another", async () => {
    const folder = join(place, "untold");
    await writePieces(folder, 0, 1, [piece([2], [0], [2])]);
    for (const table of [undefined, "null", "{}", "[1]", "{", '{"1":{"name":"t","whole":[2],"start":[0]}}']) {
      await writeSafetensors(
        join(folder, "node-0-of-1.safetensors"),
        { 0: counting([2]) },
        table === undefined ? {} : { "clip-ts.pieces": table },
      );
      await writeManifest(folder, 1, 1);
      expect(await refused(folder)).toMatch(/^[^\n]*node-0-of-1\.safetensors: [^\n]+$/);
    }
  });

  it("any bytes in place of the manifest", async () => {
    const folder = await copy();
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
        await writeFile(manifestPath(folder), text);
        expect(await refused(folder)).toMatch(/manifest\.json: /);
      }),
      { numRuns: 60 },
    );
  });
});
