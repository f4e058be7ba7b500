import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSource, type PairSource, Random, type TableOptions } from "../../src/data/index.ts";

const outside = mkdtempSync(join(tmpdir(), "clip-ts-table-"));
const folder = join(outside, "data");

beforeAll(() => {
  mkdirSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(outside, "secret.png"), "not yours");
  for (const name of ["a.png", "b.png", "sub/c.png", "ünï, 'çode'.png"]) writeFileSync(join(folder, name), "x");
  symlinkSync(join(outside, "secret.png"), join(folder, "leak.png"));
  symlinkSync(outside, join(folder, "up"));
  symlinkSync(join(folder, "a.png"), join(folder, "link.png"));
});
afterAll(() => rmSync(outside, { recursive: true }));

async function open(
  name: string,
  content: string | Uint8Array,
  options: Partial<TableOptions> = {},
): Promise<PairSource> {
  writeFileSync(join(folder, name), content);
  return openSource({ kind: "table", table: join(folder, name), ...options });
}

/** The message of what opening throws, after checking that it is one line that names the table. */
async function refusal(
  name: string,
  content: string | Uint8Array,
  options: Partial<TableOptions> = {},
): Promise<string> {
  const error = await open(name, content, options).then(
    (source) => expect.unreachable(`accepted as ${source.length} pairs`),
    (reason: unknown) => reason,
  );
  const message = error instanceof Error ? error.message : String(error);
  expect(message).toContain(name);
  expect(message).not.toContain("\n");
  return message.slice(message.indexOf(name));
}

const captionsOf = (source: PairSource, index: number): string[] =>
  [...new Set(Array.from({ length: 60 }, (_, i) => source.caption(index, new Random(i))))].sort();

describe("tables that are right", () => {
  test("CSV: quotes, commas, line breaks, a byte order mark, CRLF, other columns, several rows a picture", async () => {
    const csv =
      '\ufeffid,caption,image\r\n1,"a cat, asleep",a.png\r\n\r\n2,"two\nlines",sub/c.png\r\n3,a tabby,a.png\r\n';
    const source = await open("t.csv", csv);
    expect(source.length).toBe(2);
    expect(captionsOf(source, 0)).toEqual(["a cat, asleep", "a tabby"]);
    expect(captionsOf(source, 1)).toEqual(["two\nlines"]);
    expect(source.describe(0)).toBe("a.png (t.csv line 2)");
  });

  test("TSV, and columns by other names", async () => {
    const source = await open("t.tsv", "file\ttext\nb.png\ta, b\n", { imageColumn: "file", captionColumn: "text" });
    expect(captionsOf(source, 0)).toEqual(["a, b"]);
  });

  test("JSON Lines: a text, a list of texts, links that stay inside", async () => {
    const lines = [
      { image: "a.png", caption: "one" },
      { image: "b.png", captions: ["two", "three"], score: 3 },
      { image: "link.png", caption: ["four"] },
    ];
    const source = await open("t.jsonl", `${lines.map((line) => JSON.stringify(line)).join("\r\n\r\n")}`);
    expect([0, 1, 2].map((i) => captionsOf(source, i))).toEqual([["one"], ["three", "two"], ["four"]]);
  });

  test("a picture that is not there, among others, is a pair that cannot be read", async () => {
    const source = await open("t.csv", "image,caption\na.png,one\nno.png,two\nup/no.png,three\n");
    expect([source.length, source.caption(1, new Random(0))]).toEqual([3, "two"]);
    await expect(source.image(1)).rejects.toThrow(/^no\.png \(t\.csv line 3\): is not there$/);
    writeFileSync(join(outside, "no.png"), "secret");
    await expect(source.image(2)).rejects.toThrow(/^up\/no\.png \(t\.csv line 4\): is not there$/);
  });

  test("whole paths into the folder", async () => {
    const source = await open("t.csv", `image,caption\n${join(folder, "sub", "c.png")},one\n`);
    expect(source.file?.(0)).toBe(await realpath(join(folder, "sub", "c.png")));
  });

  test("a table elsewhere, with the pictures' folder given", async () => {
    const table = join(outside, "elsewhere.csv");
    writeFileSync(table, "image,caption\nsub/c.png,see\n");
    expect((await openSource({ kind: "table", table, folder })).length).toBe(1);
  });
});

describe("tables that are wrong are refused in one line with the place", () => {
  test.each([
    [
      "a missing column",
      "x.csv",
      "image,text\na.png,b\n",
      'x.csv: line 1: expected a header with a column "caption", got "image", "text"',
    ],
    ["a column twice", "x.csv", "image,caption,image\na.png,b,c\n", 'x.csv: line 1: column "image" is there twice'],
    ["no rows", "x.csv", "image,caption\n", "x.csv: expected at least one row, got none"],
    ["nothing at all", "x.csv", "", "x.csv: expected at least one row, got none"],
    [
      "no caption",
      "x.csv",
      "image,caption\na.png,c\nb.png,\n",
      'x.csv: line 3: expected a text in "caption", got an empty one',
    ],
    [
      "white space",
      "x.jsonl",
      '{"image":"a.png","caption":" "}',
      'x.jsonl: line 1: expected a text in "caption", got only white space',
    ],
    ["too few cells", "x.csv", "image,caption\na.png\n", "x.csv: Invalid Record Length: expect 2, got 1 on line 2"],
    ["an open quote", "x.csv", 'image,caption\na.png,"oops\n', "x.csv: Quote Not Closed"],
    ["none of the pictures", "x.csv", "image,caption\nno.png,c\nx.png,d", 'x.csv: line 2: "no.png" is not there'],
    ["a folder as a picture", "x.csv", "image,caption\nsub,b\n", 'x.csv: line 2: "sub" is a folder, not a file'],
    ["no JSON", "x.jsonl", '{"image":"a.png","caption":"b"}\n{"image":\n', "x.jsonl: line 2: expected JSON: "],
    ["a list as a row", "x.jsonl", "[1]\n", "x.jsonl: line 1: expected an object, got a list"],
    [
      "a number as a caption",
      "x.jsonl",
      '{"image":"a.png","caption":7}',
      'x.jsonl: line 1: expected a text in "caption", got a number',
    ],
    ["no caption at all", "x.jsonl", '{"image":"a.png"}', 'x.jsonl: line 1: expected a text in "caption", got nothing'],
    ["an empty list", "x.jsonl", '{"image":"a.png","captions":[]}', 'x.jsonl: line 1: "captions" is an empty list'],
    [
      "an inherited name",
      "x.jsonl",
      '{"image":"a.png","__proto__":{"caption":"b"}}',
      "x.jsonl: line 1: expected a text",
    ],
    ["another extension", "x.parquet", "PAR1", "x.parquet: expected a table that ends in .csv, .tsv or .jsonl"],
  ])("%s", async (_, name, content, message) => {
    expect(await refusal(name, content)).toContain(message);
  });

  test("bytes that are no UTF-8", async () => {
    const wrong = Uint8Array.of(0x63, 0xe9, 0x0a); // "cé" in Latin-1
    const csv = (rows: string): Uint8Array => Buffer.concat([Buffer.from(`image,caption\n${rows}a.png,`), wrong]);
    expect(await refusal("x.csv", csv(""))).toBe("x.csv: line 2: expected UTF-8, got another encoding");
    // Two bytes a character and an odd place of the first one: the pieces in which a file is read cut one in half.
    const long = `a.png,${"é".repeat(40_000)}\n`;
    expect(await refusal("x.csv", csv(`${long}a.png,x\n${long}`))).toMatch(/^x\.csv: line 5: /);
    // The character that stands for wrong bytes may be there rightly.
    expect(await refusal("x.csv", csv("a.png,\ufffd\n"))).toMatch(/^x\.csv: line 3: /);
    expect(await refusal("x.jsonl", Uint8Array.of(0xff, 0xfe))).toMatch(/^x\.jsonl: line 1: expected UTF-8/);
  });

  test("a table or folder that is not there", async () => {
    await expect(openSource({ kind: "table", table: join(folder, "no.csv") })).rejects.toThrow(
      /no\.csv: there is no such file$/,
    );
    await expect(openSource({ kind: "table", table: join(folder, "t.csv"), folder: "/nowhere" })).rejects.toThrow(
      /^\/nowhere: there is no such folder$/,
    );
  });

  test("a line without an end, longer than any caption", async () => {
    expect(await refusal("x.jsonl", `{"image":"a.png","caption":"${"x".repeat(3 << 20)}`)).toMatch(
      /^x\.jsonl: line 1: more than/,
    );
    expect(await refusal("x.csv", `image,caption\na.png,"${"x".repeat(3 << 20)}`)).toMatch(/^x\.csv: Max Record Size/);
  });
});

describe("pictures outside the folder are refused", () => {
  test.each([
    "../secret.png",
    "sub/../../secret.png",
    "sub/../a.png",
    "..\\secret.png",
    "/etc/passwd",
    join(outside, "secret.png"),
    join(folder, "..", "secret.png"),
    join(folder, "up", "secret.png"),
    "C:\\x.png",
    "leak.png",
    "up/secret.png",
    "up/data/../secret.png",
    "a.png\0.txt",
    "",
  ])("%j", async (image) => {
    expect(await refusal("x.jsonl", JSON.stringify({ image, caption: "c" }))).toMatch(/^x\.jsonl: line 1: /);
  });
});

describe("any table", () => {
  test("what is written as CSV or JSON Lines is read back", async () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((s) => s.trim() !== "");
    const names = fc.constantFrom("a.png", "b.png", "sub/c.png", "ünï, 'çode'.png");
    const rows = fc.array(fc.record({ image: names, caption: text }), { minLength: 1, maxLength: 12 });
    const quote = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(rows, async (table) => {
        const csv = ["image,caption", ...table.map(({ image, caption }) => `${quote(image)},${quote(caption)}`)].join(
          "\n",
        );
        const jsonl = table.map((row) => JSON.stringify(row)).join("\n");
        const images = [...new Set(table.map(({ image }) => image))];
        for (const source of [await open("f.csv", csv), await open("f.jsonl", jsonl)]) {
          expect(source.length).toBe(images.length);
          for (const [i, image] of images.entries()) {
            const said = new Set(table.filter((row) => row.image === image).map(({ caption }) => caption));
            for (const caption of captionsOf(source, i)) expect(said).toContain(caption);
            expect(source.describe(i)).toContain(image);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test("garbage is read or refused in one line that names the table, never anything else", async () => {
    const piece = fc.constantFrom(
      '"',
      ",",
      "\n",
      "\r",
      "\t",
      "{",
      "}",
      "[",
      ":",
      "image",
      "caption",
      "a.png",
      "../",
      "\\",
      "\ufeff",
      "é",
      "0",
      " ",
    );
    const garbage = fc.oneof(
      fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join(""))),
      fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(`image,caption\na.png,${pieces.join("")}`)),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(garbage, fc.constantFrom("g.csv", "g.tsv", "g.jsonl"), async (bytes, name) => {
        const outcome = await open(name, bytes).then(
          (source) => source.length,
          (error: unknown) => error,
        );
        if (typeof outcome === "number") expect(outcome).toBeGreaterThan(0);
        else {
          expect(outcome).toBeInstanceOf(Error);
          const message = outcome instanceof Error ? outcome.message : "";
          expect(message).toContain(name);
          expect(message).not.toMatch(/[\n\r]/);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a folder of pictures with texts beside them", () => {
  const side = join(outside, "side");
  beforeEach(() => {
    rmSync(side, { recursive: true, force: true });
    mkdirSync(join(side, "00001"), { recursive: true });
  });
  const write = (files: Record<string, string>): void => {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(side, name), content);
  };

  test("is read in the order of the paths", async () => {
    write({
      "b.jpg": "x",
      "b.txt": " a boat\n",
      "a.PNG": "x",
      "a.txt": "an apple",
      "a.b.bmp": "x",
      "a.b.txt": "two dots",
      "00001/z.webp": "x",
      "00001/z.txt": "zebra",
    });
    write({ "notes.md": "", ".hidden.jpg": "", "a.json": "{}" });
    const source = await openSource({ kind: "sidecar", folder: side });
    expect(Array.from({ length: source.length }, (_, i) => source.caption(i, new Random(0)))).toEqual([
      "zebra",
      "an apple",
      "two dots",
      "a boat",
    ]);
    expect(source.describe(1)).toBe(join(side, "a.PNG"));
  });

  test("names what is missing", async () => {
    const opened = (): Promise<PairSource> => openSource({ kind: "sidecar", folder: side });
    await expect(opened()).rejects.toThrow(/side: expected pictures \(jpg.*got none in 0 files$/);
    write({ "a.jpg": "x" });
    await expect(opened()).rejects.toThrow(/a\.jpg: expected its caption beside it in a\.txt, got no such file$/);
    write({ "a.txt": " \n" });
    await expect(opened()).rejects.toThrow(/a\.txt: expected a caption, got an empty file$/);
    symlinkSync(join(outside, "secret.png"), join(side, "b.jpg"));
    write({ "a.txt": "fine", "b.txt": "leak" });
    await expect(opened()).rejects.toThrow(/"b\.jpg" leads out of/);
  });
});
