import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  coordinate,
  cut,
  distinctPieces,
  elements,
  type HostTensor,
  hostTensor,
  type Mesh,
  type MeshAxis,
  meshSize,
  parseMesh,
  paste,
  pieceOf,
  type Sharding,
  showMesh,
} from "../../src/graph/index.ts";

const counting = (shape: readonly number[]): HostTensor =>
  hostTensor(
    "f32",
    shape,
    Float32Array.from({ length: elements(shape) }, (_, i) => i),
  );

const meshes = fc.record({ data: fc.integer({ min: 1, max: 4 }), model: fc.integer({ min: 1, max: 4 }) });
/** No axis of the mesh twice. */
const shardings: fc.Arbitrary<Sharding> = fc.constantFrom<Sharding[]>(
  [],
  [["data"]],
  [["model"]],
  [["data", "model"]],
  [["model", "data"]],
  [["data"], ["model"]],
  [["model"], [], ["data"]],
  [[], ["model", "data"]],
  [[], [], ["data"]],
);
/** A tensor that the sharding cuts into equal parts. */
const cases = fc
  .tuple(meshes, shardings, fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 4 }))
  .map(([mesh, sharding, sizes]) => ({
    mesh,
    sharding,
    shape: sizes.map((size, i) => (sharding[i] ?? []).reduce((n, axis) => n * (mesh[axis] ?? 1), size)),
  }));

describe("pieces", () => {
  it("cover a tensor, each element once; what is cut and pasted is the tensor", () => {
    fc.assert(
      fc.property(cases, ({ mesh, sharding, shape }) => {
        const whole = counting(shape);
        const again = hostTensor("f32", shape, new Float32Array(elements(shape)).fill(-1));
        const pieces = distinctPieces(shape, sharding, mesh);
        expect(pieces.reduce((sum, { piece }) => sum + elements(piece.shape), 0)).toBe(elements(shape));
        expect(pieces.flatMap(({ devices }) => devices).sort((a, b) => a - b)).toEqual([
          ...Array(meshSize(mesh)).keys(),
        ]);
        for (const { piece } of pieces) paste(again, cut(whole, piece), piece.start);
        expect(again.data).toEqual(whole.data);
      }),
    );
  });

  it("are what a loop over all elements picks", () => {
    fc.assert(
      fc.property(cases, fc.nat(15), ({ mesh, sharding, shape }, n) => {
        const device = n % meshSize(mesh);
        const { start, shape: size } = pieceOf(shape, sharding, mesh, device);
        const picked = [...counting(shape).data].filter((at) => {
          let rest = at;
          return [...shape.keys()].reverse().every((axis) => {
            const i = rest % (shape[axis] ?? 1);
            rest = Math.floor(rest / (shape[axis] ?? 1));
            return i >= (start[axis] ?? 0) && i < (start[axis] ?? 0) + (size[axis] ?? 0);
          });
        });
        expect([...cut(counting(shape), { start, shape: size }).data]).toEqual(picked);
      }),
    );
  });

  it("stand where the devices do, the model's axis fastest", () => {
    const mesh: Mesh = { data: 2, model: 2 };
    expect([0, 1, 2, 3].map((d) => pieceOf([4, 4], [["data"], ["model"]], mesh, d).start)).toEqual([
      [0, 0],
      [0, 2],
      [2, 0],
      [2, 2],
    ]);
    expect([0, 1, 2, 3].map((d) => pieceOf([4], [["model", "data"]], mesh, d).start[0])).toEqual([0, 2, 1, 3]);
    expect([0, 1, 2, 3].map((d) => coordinate({ data: 4 }, "data", d))).toEqual([0, 1, 2, 3]);
  });

  it("are refused where they would not be equal or not within", () => {
    expect(() => pieceOf([6, 5], [[], ["data"]], { data: 4 }, 0)).toThrow(
      "mesh: axis 1 of [6,5] does not divide into 4 (data)",
    );
    expect(() => pieceOf([6], [[], ["data"]], { data: 2 }, 0)).toThrow("a sharding of 2 axes for a tensor [6]");
    const bad: [shape: number[], start: number[]][] = [
      [
        [2, 2],
        [3, 0],
      ],
      [
        [2, 2],
        [-1, 0],
      ],
      [
        [2, 2],
        [0.5, 0],
      ],
      [[2, 2], [0]],
      [[4], [0]],
      [
        [2, 2],
        [Number.NaN, 0],
      ],
    ];
    for (const [shape, start] of bad)
      expect(() => paste(counting([4, 4]), counting(shape), start), `${shape} at ${start}`).toThrow("is not within");
    expect(() => paste(counting([4]), hostTensor("i32", [2], [1, 2]), [0])).toThrow(
      "i32[2] at [0] is not within f32[4]",
    );
  });
});

describe("a mesh", () => {
  it("is written and read", () => {
    expect(parseMesh("data=4,model=2")).toEqual({ data: 4, model: 2 });
    expect(parseMesh(" model = 2 ")).toEqual({ model: 2 });
    expect(showMesh({ model: 2, data: 4 })).toBe("data=4,model=2");
    fc.assert(
      fc.property(meshes, (mesh) => {
        expect(parseMesh(showMesh(mesh))).toEqual(mesh);
      }),
    );
  });

  it.each([
    "",
    "8",
    "data",
    "data=",
    "data=0",
    "data=-2",
    "data=2=3",
    "data=1e3",
    "batch=2",
    "data=2,data=2",
    "data=2;model=2",
    "data=99999999",
    "data=65536,model=2",
  ])("that is none is refused in one line: %s", (text) => {
    expect(() => parseMesh(text)).toThrow(/^mesh: [^\n]+$/);
  });

  it("knows no other axes", () => {
    const axes: MeshAxis[] = ["data", "model"];
    expect(meshSize(Object.fromEntries(axes.map((axis) => [axis, 3])))).toBe(9);
    expect(meshSize({})).toBe(1);
  });
});
