/** Reading and writing safetensors: well-formed, unusual, hostile, interrupted. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  fileSource,
  memorySource,
  openSafetensors,
  readSafetensors,
  writeFileAtomic,
  writeSafetensors,
} from "../../src/checkpoint/index.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";

const MALFORMED = fileURLToPath(new URL("../golden/models/malformed/", import.meta.url));
const { files } = JSON.parse(await readFile(join(MALFORMED, "manifest.json"), "utf8")) as {
  files: { file: string; problem: string; expect: string; tensor?: string }[];
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The message of what a promise is rejected with. */
const refusal = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "it was accepted",
    (error: Error) => error.message,
  );

describe("files of the malformed set", () => {
  it("are all there", () => expect(files.length).toBe(36));

  for (const { file, problem, expect: wanted, tensor } of files.filter((f) => !f.expect.startsWith("loads")))
    it(`${file}: ${problem}: ${wanted}`, async () => {
      const message = await refusal(readSafetensors(join(MALFORMED, file)));
      expect(message).toContain(file);
      expect(message).not.toContain("accepted");
      expect(message).not.toContain("\n");
      expect(message.length).toBeLessThan(400);
      if (tensor) expect(message).toContain(tensor);
      if (problem.includes("F99")) expect(message).toContain("F99");
    });

  it("of which the well-formed ones load", async () => {
    const ok = await readSafetensors(join(MALFORMED, "st_ok.safetensors"));
    expect([...ok.keys()].sort()).toEqual(["ln_final.weight", "text_projection", "visual.proj"]);
    const unusual = await readSafetensors(join(MALFORMED, "st_scalar_and_empty.safetensors"));
    expect(unusual.get("scalar")).toMatchObject({ shape: [], data: Float32Array.of(2.5) });
    expect(unusual.get("empty")?.data.length).toBe(0);
    expect(unusual.get("i64")?.data).toEqual(Int32Array.of(-3));
    expect(unusual.get("bool")).toMatchObject({ dtype: "bool", data: Uint8Array.of(1, 0) });
  });

  it.each<[what: string, header: string, message: string]>([
    ["an entry nested deeper than a stack", `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, "nested too deeply"],
    [
      "more tensors than any checkpoint has",
      `{${Array.from({ length: 100_001 }, (_, i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)}}`,
      "more than 100000 tensors",
    ],
    ["metadata that take many times their size in memory", `{"__metadata__":[${"[],".repeat(700_000)}[]]}`, "parts"],
  ])("%s is refused", async (_, header, message) => {
    const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(header)]);
    bytes.writeUInt32LE(header.length);
    expect(await refusal(readSafetensors(memorySource("x", new Uint8Array(bytes))))).toContain(message);
  });

  it("may have a whole tokenizer in the metadata, of any length and with any quotes", async () => {
    const path = join(folder, "metadata.safetensors");
    const metadata = { tokenizer: 'a "\\'.repeat(5_000_000), '"x"\\': "}]{[:," };
    await writeSafetensors(path, { a: hostTensor("f32", [1], Float32Array.of(2)) }, metadata);
    const file = await openSafetensors(path);
    await file.close();
    // Not compared by the matcher, which would print them.
    expect(Object.entries(metadata).every(([key, value]) => file.metadata.get(key) === value)).toBe(true);
    expect([...file.tensors.keys()]).toEqual(["a"]);
  });

  it("may hold numbers that no model here has, as long as nobody asks for them", async () => {
    const header = JSON.stringify({ a: { dtype: "C64", shape: [1], data_offsets: [0, 8] } });
    const bytes = Buffer.concat([
      Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from(header),
      Buffer.alloc(8),
    ]);
    const file = await openSafetensors(memorySource("x", new Uint8Array(bytes)));
    expect(file.tensors.get("a")).toMatchObject({ dtype: "C64", shape: [1] });
    expect(await refusal(file.read("a"))).toBe('x: tensor "a": dtype C64 is not supported');
  });

  it("may name tensors __proto__ and constructor", async () => {
    const path = join(MALFORMED, "st_proto_key.safetensors");
    const odd = await readSafetensors(path);
    expect(odd.get("__proto__")?.data[0]).toBe(1.5);
    expect(odd.get("constructor")?.data[0]).toBe(2.5);
    expect(({} as Record<string, unknown>).shape).toBeUndefined();
    const copy = join(folder, "proto.safetensors");
    await writeSafetensors(copy, odd);
    expect(await readSafetensors(copy)).toEqual(odd);
  });
});

describe("dtypes", () => {
  const file = (dtype: string, bytes: ArrayBufferView, count: number) => {
    const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const header = JSON.stringify({ x: { dtype, shape: [count], data_offsets: [0, data.length] } });
    const whole = new Uint8Array(8 + header.length + data.length);
    new DataView(whole.buffer).setBigUint64(0, BigInt(header.length), true);
    whole.set(new TextEncoder().encode(header), 8);
    whole.set(data, 8 + header.length);
    return memorySource("bytes", whole);
  };

  it("half precision is exact for every number", async () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const x = (await readSafetensors(file("F16", all, all.length))).get("x") as HostTensor;
    const at = (bits: number) => x.data[bits];
    expect([at(0x3c00), at(0xc000), at(0x7bff), at(0x0001), at(0x03ff), at(0x0400)]).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
    ]);
    expect(Object.is(at(0x8000), -0)).toBe(true);
    expect([at(0x7c00), at(0xfc00), at(0x7c01)]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ]);
    // Neighbours of the same sign ascend.
    for (let bits = 1; bits < 0x7c00; bits++)
      if (!((at(bits) ?? 0) > (at(bits - 1) ?? 0))) expect(bits).toBe("ascending");
  });

  it("bfloat16 is the upper half of float32", async () => {
    const x = (await readSafetensors(file("BF16", Uint16Array.of(0x3f80, 0xc049, 0x0001), 3))).get("x") as HostTensor;
    expect([...x.data]).toEqual([1, -3.140625, 2 ** -133]);
  });

  it("integers convert only where no value changes", async () => {
    const big = await openSafetensors(file("I64", BigInt64Array.of(1n, 2n ** 31n), 2));
    expect(await refusal(big.read("x"))).toBe('bytes: tensor "x": element 1 is 2147483648, which does not fit 32 bits');
    const small = await openSafetensors(file("U8", Uint8Array.of(255), 1));
    expect((await small.read("x", "i32")).data).toEqual(Int32Array.of(255));
    expect((await small.read("x", "f64")).data).toEqual(Float64Array.of(255));
    const float = await openSafetensors(file("F32", Float32Array.of(0.5), 1));
    expect(await refusal(float.read("x", "i32"))).toContain("dtype F32 does not become i32");
    const other = await openSafetensors(file("I16", Int16Array.of(5), 1));
    expect(await refusal(other.read("x"))).toContain("dtype I16 is not supported");
    expect(await refusal(other.read("y"))).toBe('bytes: no tensor "y"');
  });
});

it("what is written is read", async () => {
  const path = join(folder, "any.safetensors");
  const tensor = fc
    .tuple(fc.constantFrom("f64", "f32", "i32", "u8", "bool" as const), fc.array(fc.nat({ max: 3 }), { maxLength: 3 }))
    .map(([dtype, shape]) => {
      const count = shape.reduce((product, n) => product * n, 1);
      return hostTensor(
        dtype,
        shape,
        Array.from({ length: count }, (_, i) => (dtype === "bool" ? i % 2 : i * 7 + 0.5 * Number(dtype === "f64"))),
      );
    });
  const name = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => text !== "__metadata__");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, tensor), { maxLength: 6 }), fc.string(), async (entries, note) => {
      const tensors = new Map(entries);
      await writeSafetensors(path, tensors, { note });
      const file = await openSafetensors(path);
      expect(file.metadata.get("note")).toBe(note);
      await file.close();
      expect(await readSafetensors(path)).toEqual(tensors);
    }),
    { numRuns: 60 },
  );
});

it("any change of the header is refused or harmless, never a crash", async () => {
  const good = new Uint8Array(await readFile(join(MALFORMED, "st_ok.safetensors")));
  const header = new DataView(good.buffer).getUint32(0, true) + 8;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: header - 1 }), fc.nat({ max: 255 }), async (at, byte) => {
      const bytes = good.slice();
      bytes[at] = byte;
      const message = await refusal(readSafetensors(memorySource("changed", bytes)));
      if (message !== "it was accepted") expect(message.startsWith("changed: ")).toBe(true);
    }),
    { numRuns: 300 },
  );
});

it("reads beyond 2 and 4 GiB", async () => {
  // A sparse file: one tensor of 5 GiB that is never read, and a small one behind it.
  const path = join(folder, "large.safetensors");
  const gap = 5 * 2 ** 30;
  const header = JSON.stringify({
    large: { dtype: "F32", shape: [gap / 4], data_offsets: [0, gap] },
    small: { dtype: "F32", shape: [2], data_offsets: [gap, gap + 8] },
  });
  const head = Buffer.alloc(8 + header.length);
  head.writeBigUInt64LE(BigInt(header.length));
  head.write(header, 8);
  await writeFile(path, head);
  await truncate(path, head.length + gap);
  await writeFile(path, new Uint8Array(Float32Array.of(1.5, -2).buffer), { flag: "a" });
  const file = await openSafetensors(path);
  expect((await file.read("small")).data).toEqual(Float32Array.of(1.5, -2));
  await file.close();
  await rm(path);
});

describe("writing in one step", () => {
  it("leaves the old file and nothing beside it when it fails half-way", async () => {
    const place = await mkdtemp(join(folder, "atomic-"));
    const path = join(place, "file");
    await writeFileAtomic(path, new TextEncoder().encode("old"));
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new TextEncoder().encode("new");
      throw new Error("disk on fire");
    }
    expect(await refusal(writeFileAtomic(path, broken()))).toBe("disk on fire");
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(place)).toEqual(["file"]);
    await writeFileAtomic(path, [new TextEncoder().encode("ne"), new TextEncoder().encode("wer")]);
    expect(await readFile(path, "utf8")).toBe("newer");
    expect(await readdir(place)).toEqual(["file"]);
  });

  it("refuses tensors that do not fill their shapes", async () => {
    const wrong = { dtype: "f32", shape: [3], data: new Float32Array(2) } as const;
    expect(await refusal(writeSafetensors(join(folder, "x"), { wrong }))).toContain('"wrong": [3] does not hold 2');
    const reserved = { __metadata__: hostTensor("f32", [], [1]) };
    expect(await refusal(writeSafetensors(join(folder, "x"), reserved))).toContain("__metadata__");
  });
});

it("a file that shrinks while it is read is an error that says where it ended", async () => {
  const path = join(folder, "shrinks");
  await writeFile(path, new Uint8Array(100));
  const source = await fileSource(path);
  await truncate(path, 50);
  expect(await refusal(source.read(40, 20))).toBe(`${path}: ends at byte 50, expected 60`);
  await source.close();
});
