/** The pickle reader: what torch.save writes is data, everything else ends in one line; and it is fuzzed without a checksum before it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readPickle } from "../../src/checkpoint/pickle.ts";
import { isKind, type PickleValue } from "../../src/checkpoint/pickle-values.ts";
import { findStateDict } from "../../src/checkpoint/state-dict.ts";
import { storageOf } from "../../src/checkpoint/torch-file.ts";
import { contiguous, placed } from "../../src/checkpoint/torch-tensor.ts";
import { bundledFiles } from "../pretrained/bundle.ts";

/** Bytes from text of one character a byte. */
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const read = (text: string): PickleValue => readPickle(bytes(text), storageOf).value;
const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "it was accepted";
};

/** A value as JSON would have it, without what only Python has. */
function plain(value: PickleValue): unknown {
  if (isKind(value, "sequence")) return value.items.map(plain);
  if (isKind(value, "dict")) return [...value.entries].map(([key, item]) => [plain(key), plain(item)]);
  if (isKind(value, "object")) return { type: value.type, state: plain(value.state) };
  return value;
}

describe("reads", () => {
  it.each<[what: string, pickle: string, value: unknown]>([
    ["None", "\x80\x02N.", null],
    ["booleans", "\x80\x02\x88\x89\x86.", [true, false]],
    ["small numbers", "\x80\x02K\x05M\x00\x01J\xfe\xff\xff\xff\x87.", [5, 256, -2]],
    ["long numbers", "\x80\x02\x8a\x01\xff\x8a\x00\x8a\x08\0\0\0\0\0\0\0\x40\x87.", [-1, 0, 2n ** 62n]],
    ["doubles", "\x80\x02G\x3f\xf8\0\0\0\0\0\0.", 1.5],
    ["texts", "\x80\x04\x8c\x02\xc3\xa9X\x01\0\0\0b\x86.", ["é", "b"]],
    ["Python 2's texts", "\x80\x02U\x01\xe9.", "é"],
    ["lists", "\x80\x02](K\x01K\x02e.", [1, 2]],
    ["tuples", "\x80\x02(K\x01K\x02K\x03K\x04t.", [1, 2, 3, 4]],
    [
      "dicts",
      "\x80\x02}(X\x01\0\0\0aK\x01K\x02Nu.",
      [
        ["a", 1],
        [2, null],
      ],
    ],
    ["sets", "\x80\x04\x8f(K\x01\x90.", [1]],
    ["memo", "\x80\x02]q\x05K\x01ah\x05\x86.", [[1], [1]]],
    ["frames and memoize", "\x80\x04\x95\x05\0\0\0\0\0\0\0K\x07\x94h\0\x86.", [7, 7]],
    ["ordered dicts", "\x80\x02ccollections\nOrderedDict\n)R(K\x01K\x02u.", [[1, 2]]],
    [
      "known classes, as records",
      "\x80\x02cargparse\nNamespace\n)\x81}X\x01\0\0\0aK\x01sb.",
      { type: "argparse.Namespace", state: [["a", 1]] },
    ],
    ["modules of TorchScript", "\x80\x02c__torch__.a.B\nC\n)\x81}b.", { type: "__torch__.a.B.C", state: [] }],
    [
      "keys that JavaScript knows, as data",
      "\x80\x02}X\x09\0\0\0__proto__}X\x01\0\0\0aK\x01ss.",
      [["__proto__", [["a", 1]]]],
    ],
  ])("%s", (_, pickle, value) => expect(plain(read(pickle))).toEqual(value));
});

describe("refuses", () => {
  it.each<[what: string, pickle: string, message: string]>([
    ["protocol 1", "\x80\x01N.", "protocol 1, expected 2 to 5"],
    ["functions", "\x80\x02cos\nsystem\n", "byte 2: refused: it names os.system"],
    ["functions by STACK_GLOBAL", "\x80\x04\x8c\x05posix\x8c\x06system\x93.", "refused: it names posix.system"],
    ["what JavaScript would look up", "\x80\x02c__proto__\nconstructor\n.", "refused: it names __proto__.constructor"],
    ["names that are no text", "\x80\x04K\x01K\x02\x93.", "a global's name is no text"],
    ["INST", "\x80\x02(ios\nsystem\n.", "opcode 0x69"],
    ["extensions", "\x80\x02\x82\x01.", "opcode 0x82"],
    ["calls of data", "\x80\x02K\x01)R.", "calls number"],
    ["appending to a dict", "\x80\x02}K\x01a.", "appends to a dict"],
    ["items of a list", "\x80\x02]K\x01K\x02s.", "sets items of a sequence"],
    ["a key alone", "\x80\x02}(K\x01u.", "last key has no value"],
    ["a mark that is not there", "\x80\x02K\x01t.", "there is no mark"],
    ["references to nothing that stands in a file", "\x80\x02K\x01Q.", "no storage"],
    ["a number of a thousand bytes", "\x80\x02\x8b\0\x04\0\0.", "a number of 1024 bytes"],
    ["a name without end", "\x80\x02cos", "a name does not end"],
  ])("%s", (_, pickle, message) => {
    const said = refusal(() => read(pickle));
    expect(said).toContain(message);
    expect(said.startsWith("pickle, byte ")).toBe(true);
  });

  it("work without end: lists copied again and again, operations without number", () => {
    // A list of 1,000 pairs, made an OrderedDict of ten thousand times.
    const pairs = `](${"K\x01K\x02\x86".repeat(1000)}eq\0`;
    const again = "ccollections\nOrderedDict\nh\0\x85R0".repeat(10_000);
    expect(refusal(() => read(`\x80\x02${pairs}${again}N.`))).toContain("more than 3000000 operations");
    expect(refusal(() => read(`\x80\x02${"N0".repeat(2_000_000)}N.`))).toContain("more than 3000000 operations");
  });

  it("trees whose parts are shared: a few bytes that name more tensors, or modules, than there is memory or time for", () => {
    const tensor =
      "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0))\x89NtR";
    /** Thirty modules, each with the one before as two of its parts. */
    const doubled = (first: string): string => {
      let tree = `c__torch__.M\nM\n)\x81}${first}bq\0`;
      for (let i = 1; i < 30; i++) {
        const part = `h${String.fromCharCode(i - 1)}`;
        tree += `0c__torch__.M\nM\n)\x81}(X\x01\0\0\0a${part}X\x01\0\0\0b${part}ubq${String.fromCharCode(i)}`;
      }
      return `\x80\x02${tree}.`;
    };
    const ofTensors = doubled(`(${Array.from("abc", (name) => `X\x01\0\0\0${name}${tensor}`).join("")}u`);
    expect(refusal(() => findStateDict(read(ofTensors)))).toBe("more than 100000 tensors");
    expect(refusal(() => findStateDict(read(doubled(""))))).toBe("more than 100000 modules");
  });
});

describe("tensors", () => {
  const storage = (size: number) =>
    ({ kind: "storage", type: "torch.FloatStorage", dtype: "F32", key: "0", size }) as const;
  const tensor = (size: number, offset: number, shape: readonly number[], strides: readonly number[]) =>
    ({ kind: "tensor", storage: storage(size), dtype: "F32", offset, shape, strides }) as const;

  it("of any strides are those elements that torch would name", () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(4), fc.nat(5)), { maxLength: 4 }),
        fc.nat(3),
        fc.constantFrom("F64", "F32", "F16", "U8"),
        (axes, offset, dtype) => {
          const [shape, strides] = [axes.map(([n]) => n), axes.map(([, stride]) => stride)];
          const width = { F64: 8, F32: 4, F16: 2, U8: 1 }[dtype];
          const size = offset + 1 + shape.reduce((sum, n, i) => sum + Math.max(0, n - 1) * (strides[i] ?? 0), 0);
          const type = {
            F64: "torch.DoubleStorage",
            F32: "torch.FloatStorage",
            F16: "torch.HalfStorage",
            U8: "torch.ByteStorage",
          };
          const place = placed(
            { ...tensor(size, offset, shape, strides), dtype, storage: { ...storage(size), type: type[dtype], dtype } },
            size * width,
          );
          const all = Uint8Array.from({ length: size * width }, (_, i) => (i * 37 + 11) % 251);
          const span = all.slice(offset * width, (offset + place.extent) * width);
          const expected: number[] = [];
          const visit = (axis: number, at: number): void => {
            if (axis === shape.length) expected.push(...all.subarray(at * width, (at + 1) * width));
            else for (let i = 0; i < (shape[axis] ?? 0); i++) visit(axis + 1, at + i * (strides[axis] ?? 0));
          };
          visit(0, offset);
          expect([...contiguous(place, span)]).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    ));

  it.each<[what: string, offset: number, shape: readonly number[], strides: readonly number[], message: string]>([
    ["negative strides", 3, [2], [-1], "expected whole numbers"],
    ["fractions", 0.5, [1], [1], "expected whole numbers"],
    ["no numbers", 0, [Number.NaN], [1], "expected whole numbers"],
    ["fewer strides than axes", 0, [1, 1], [1], "expected whole numbers"],
    ["an end behind the storage's", 2, [3], [1], "go beyond its storage of 4 elements"],
    [
      "products beyond doubles",
      0,
      Array.from({ length: 40 }, () => 2 ** 50),
      Array.from({ length: 40 }, () => 0),
      "elements, its storage only 4",
    ],
  ])("refuses %s", (_, offset, shape, strides, message) =>
    expect(refusal(() => placed(tensor(4, offset, shape, strides), 16))).toContain(message),
  );
});

it("fuzzed: any pickle ends in data or in one line", async () => {
  const files = await bundledFiles();
  const whole = files.get("malformed/pt_ok.pt") ?? new Uint8Array();
  const begin = Buffer.from(whole).indexOf("\x80\x02", 0, "latin1");
  const good = whole.subarray(begin, Buffer.from(whole).indexOf("PK", begin, "latin1"));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.nat(good.length),
      fc.boolean(),
      (changes, end, cut) => {
        const copy = new Uint8Array(good);
        for (const [at, value] of changes) copy[at] = value;
        const said = refusal(() => {
          const { tensors } = findStateDict(readPickle(cut ? copy.subarray(0, end) : copy, storageOf).value);
          for (const tensor of tensors.values()) placed(tensor, 16);
        });
        expect(said).not.toContain("\n");
        expect(said).not.toMatch(/undefined|is not a function|cannot read|iterable|call stack|bounds/i);
      },
    ),
    { numRuns: 5000 },
  );
});
