/** Files from strangers: one line that names the file, nothing allocated that was not checked, and never a crash. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findTask } from "../../../src/eval/tasks/find-task.ts";
import type { ImagesSpec } from "../../../src/eval/tasks/images-spec.ts";
import { openImages } from "../../../src/eval/tasks/open-images.ts";
import { readNpy } from "../../../src/eval/tasks/sources/npy.ts";

const GOLDEN = fileURLToPath(new URL("../../golden/tasks/", import.meta.url));
let place: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-hostile-"));
});
afterAll(() => rm(place, { recursive: true }));

/** Whatever is in the file: pictures that can be asked for, or one line that begins with a path. */
async function opensOrSays(spec: ImagesSpec): Promise<void> {
  try {
    const images = await openImages(spec);
    expect(images.labels.length).toBe(images.count);
    for (const label of images.labels) expect(label).toBeLessThan(images.classNames.length);
    for (let i = 0; i < Math.min(images.count, 12); i++)
      await images.image(i).catch((error: unknown) => isOneLine(error));
  } catch (error) {
    isOneLine(error);
  }
}

function isOneLine(error: unknown): void {
  expect(error).toBeInstanceOf(Error);
  const message = error instanceof Error ? error.message : "";
  expect(message.split("\n").length).toBe(1);
  expect(message).toContain(place);
  expect(message.length).toBeLessThan(700);
}

/** Some bytes changed, or the end cut off. */
const damage = (length: number) =>
  fc.oneof(
    fc.record({
      at: fc.array(fc.tuple(fc.nat(length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
      end: fc.constant(length),
    }),
    fc.record({ at: fc.constant([]), end: fc.nat(length - 1) }),
  );

function damaged(
  bytes: Uint8Array,
  { at, end }: { readonly at: readonly (readonly [number, number])[]; readonly end: number },
) {
  const copy = bytes.slice(0, end);
  for (const [place_, value] of at) if (place_ < copy.length) copy[place_] = value;
  return copy;
}

describe("damaged files", () => {
  it.each([
    ["hub.parquet", "image", "label"],
    ["words.parquet", "picture", "animal"],
  ])("%s", async (name, imageColumn, labelColumn) => {
    const bytes = new Uint8Array(await readFile(join(GOLDEN, name)));
    const path = join(place, name);
    await fc.assert(
      fc.asyncProperty(damage(bytes.length), async (how) => {
        await writeFile(path, damaged(bytes, how));
        await opensOrSays({ kind: "parquet", path, imageColumn, labelColumn });
      }),
      { numRuns: 150 },
    );
  });

  it("a page whose size is said in bytes instead of a number", async () => {
    const bytes = new Uint8Array(await readFile(join(GOLDEN, "words.parquet")));
    bytes[10] = 166; // the type of a field: a list
    const path = join(place, "typed.parquet");
    await writeFile(path, bytes);
    const images = await openImages({ kind: "parquet", path, imageColumn: "picture", labelColumn: "animal" });
    const error = await images.image(0).catch((reason: unknown) => reason);
    isOneLine(error);
    expect(String(error)).toMatch(/: a page of [\d,]+/);
  });

  it("shards", async () => {
    const folder = join(place, "wds");
    await mkdir(folder, { recursive: true });
    await cp(join(GOLDEN, "wds", "classnames.txt"), join(folder, "classnames.txt"));
    for (const name of [join("wds", "test", "0.tar"), "several.tar"]) {
      const bytes = new Uint8Array(await readFile(join(GOLDEN, name)));
      await fc.assert(
        fc.asyncProperty(damage(Math.min(bytes.length, 8192)), async (how) => {
          await writeFile(
            join(folder, "0.tar"),
            damaged(bytes, { ...how, end: how.at.length > 0 ? bytes.length : how.end }),
          );
          await opensOrSays({ kind: "wds", folder });
        }),
        { numRuns: 60 },
      );
    }
  });

  it("idx, plain and gzip", async () => {
    const [images, labels] = [join(place, "images"), join(place, "labels")];
    const plain = Uint8Array.from([
      0,
      0,
      8,
      3,
      0,
      0,
      0,
      3,
      0,
      0,
      0,
      2,
      0,
      0,
      0,
      2,
      ...Array.from({ length: 12 }, (_, i) => i),
    ]);
    const own = Uint8Array.from([0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 2]);
    for (const [picture, label] of [
      [plain, own],
      [new Uint8Array(gzipSync(plain)), new Uint8Array(gzipSync(own))],
    ] as const)
      await fc.assert(
        fc.asyncProperty(damage(picture.length), damage(label.length), async (a, b) => {
          await writeFile(images, damaged(picture, a));
          await writeFile(labels, damaged(label, b));
          await opensOrSays({ kind: "idx", images, labels });
        }),
        { numRuns: 60 },
      );
  });

  it("numpy labels", () => {
    const own = Buffer.from(
      "\x93NUMPY\x01\x00\x46\x00{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }".padEnd(80),
      "latin1",
    );
    const bytes = new Uint8Array([...own, 1, 0, 255, 255, 2, 1]);
    expect(readNpy(bytes, 10)).toEqual([1, -1, 258]);
    expect(() => readNpy(bytes, 2)).toThrow("at most 2 numbers, got 3");
    fc.assert(
      fc.property(damage(bytes.length), (how) => {
        try {
          expect(readNpy(damaged(bytes, how), 10).length).toBeLessThanOrEqual(10);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect(error).not.toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

it("an archive that is cut off anywhere within a file is no archive", async () => {
  const folder = join(place, "cut");
  await mkdir(folder, { recursive: true });
  await cp(join(GOLDEN, "wds", "classnames.txt"), join(folder, "classnames.txt"));
  const bytes = await readFile(join(GOLDEN, "wds", "test", "0.tar"));
  for (const end of [1, 511, 700, 1100, 3000]) {
    await writeFile(join(folder, "0.tar"), bytes.subarray(0, end));
    const path = join(folder, "0.tar");
    await expect(openImages({ kind: "wds", folder })).rejects.toThrow(`${path}: is no tar archive, or cut off: `);
  }
});

describe("sizes that are claimed and not there", () => {
  it("an idx file of 4 GiB in 20 bytes", async () => {
    const path = join(place, "huge");
    await writeFile(path, Uint8Array.from([0, 0, 8, 3, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 2, 3, 4]));
    await expect(openImages({ kind: "idx", images: path, labels: path })).rejects.toThrow(
      `${path}: is no idx file: 65536 x 256 x 256 bytes are more than the file can hold (4)`,
    );
  });

  it("Parquet pages of more values than there are rows, row groups of more rows than are read", async () => {
    const bytes = new Uint8Array(await readFile(join(GOLDEN, "hub.parquet")));
    const path = join(place, "claims.parquet");
    // The page header's 12 values (zigzag: 24) behind its field, and the footer's; each becomes 2^31 - 1 and the like.
    const counts = [...bytes.keys()].filter((i) => bytes[i] === 24 && i < bytes.length - 6);
    expect(counts.length).toBeGreaterThan(4);
    for (const at of counts) {
      await writeFile(
        path,
        Buffer.concat([bytes.subarray(0, at), Uint8Array.of(254, 255, 255, 255, 15), bytes.subarray(at + 5)]),
      );
      await opensOrSays({ kind: "parquet", path });
      await writeFile(path, Buffer.concat([bytes.subarray(0, at), Uint8Array.of(127), bytes.subarray(at + 1)]));
      await opensOrSays({ kind: "parquet", path });
    }
  });

  it("more behind a gzip header than it says: inflating stops", async () => {
    const path = join(place, "bomb");
    const head = [0, 0, 8, 1, 0, 0, 0, 2];
    await writeFile(path, gzipSync(Buffer.concat([Uint8Array.from(head), new Uint8Array(50 << 20)])));
    await expect(openImages({ kind: "idx", images: path, labels: path })).rejects.toThrow(
      /expected it to begin with 0x803/,
    );
    const pictures = join(place, "pictures");
    await writeFile(pictures, Uint8Array.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 8]));
    await expect(openImages({ kind: "idx", images: pictures, labels: path })).rejects.toThrow(
      `${path}: is no idx file: expected 2 bytes behind its header of 2, got more`,
    );
  });
});

describe("what is not what it should be", () => {
  it("shards without names, names that lead out, classes that are none", async () => {
    const folder = join(place, "bare", "test");
    await mkdir(folder, { recursive: true });
    await cp(join(GOLDEN, "wds", "test", "0.tar"), join(folder, "0.tar"));
    await expect(openImages({ kind: "wds", folder })).rejects.toThrow(
      `${folder}: there is no classnames.txt in it or above it`,
    );
    await writeFile(join(folder, "classnames.txt"), "only one\n");
    await expect(openImages({ kind: "wds", folder })).rejects.toThrow(/expected classes below 1, got \d/);
    await cp(join(GOLDEN, "wds", "classnames.txt"), join(folder, "classnames.txt"));
    await writeFile(join(folder, "zeroshot_classification_templates.txt"), "a photo\n");
    await expect(openImages({ kind: "wds", folder })).rejects.toThrow(/expected \{c\} in every line, got "a photo"/);
    const outside = join(place, "outside.csv");
    await writeFile(outside, "image,label\n../../etc/passwd,user\n");
    await expect(openImages({ kind: "table", table: outside })).rejects.toThrow(
      `${outside}: line 2: expected a path inside`,
    );
  });

  it("task files", async () => {
    const path = join(place, "task.json");
    const says = async (task: unknown, message: string | RegExp) => {
      await writeFile(path, typeof task === "string" ? task : JSON.stringify(task));
      await expect(findTask(path, place)).rejects.toThrow(message);
    };
    await says("{", `${path}: is no JSON:`);
    await says([], `${path}: is no task:`);
    await says({ name: "x", test: { kind: "ftp", folder: "x" } }, /task\.json: is no task: test\.kind:/);
    await says({ name: "x", test: { kind: "folder", folder: "x" }, templates: ["a photo"] }, /templates\.0: .*\{\}/);
    await says({ name: "x", test: { kind: "folder", folder: "x" }, metric: "F1" }, /is no task: metric:/);
    await says({ name: "x", test: { kind: "folder", folder: "x", more: 1 } }, /is no task: test: .*more/);
    await expect(findTask(join(place, "none.json"), place)).rejects.toThrow("none.json: there is no such file");
    await writeFile(path, JSON.stringify({ name: "x", test: { kind: "folder", folder: "x" } }));
    expect(await findTask(path, place)).toEqual({
      ...{ name: "x", metric: "accuracy" },
      test: { kind: "folder", folder: join(place, "x") },
    });
  });
});
