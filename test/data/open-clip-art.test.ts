import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clipArtSource, openClipArt, openSource, Random } from "../../src/data/index.ts";
import { readSvgRecord } from "../../src/data/svg-record.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const svg = (
  title: string,
  { tags = [], body = "", before = "" }: { tags?: string[]; body?: string; before?: string } = {},
) => `${before}<svg
  xmlns="http://www.w3.org/2000/svg" width="10" height="10"><metadata><rdf:RDF xmlns:cc="http://web.resource.org/cc/"
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work rdf:about="">
  <dc:title>${title}</dc:title><dc:subject><rdf:Bag>${tags.map((tag) => `<rdf:li>${tag}</rdf:li>`).join("")}</rdf:Bag></dc:subject>
  <dc:creator><cc:Agent><dc:title>Somebody Else</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>${body}</svg>`;

describe("records", () => {
  it("have the work's title, not its maker's, and the tags", () => {
    const record = readSvgRecord(bytes(svg("Baby-Tux", { tags: ["Penguin", "linux", "penguin", "baby-tux", ""] })));
    expect(record).toEqual({ title: "Baby-Tux", tags: ["penguin", "linux"] });
  });

  it("are read from what stands before a break, and from the drawing's own title", () => {
    expect(readSvgRecord(bytes(`${svg("Cow").slice(0, -6)}<path d="<<&`))?.title).toBe("Cow");
    expect(readSvgRecord(bytes("<svg><title>A\n  red_boat.svg</title><g><title>no</title></g></svg>"))?.title).toBe(
      "A red boat",
    );
  });

  it("are none where the title says nothing", () => {
    for (const title of ["", "untitled", "Clip art 12", "7", "x".repeat(201), "\ufffd\ufffdcow"])
      expect(readSvgRecord(bytes(svg(title))), title).toBeUndefined();
    expect(readSvgRecord(bytes("no markup"))).toBeUndefined();
  });

  it("expand no entity of the file, however many it nests", () => {
    const laughs = Array.from({ length: 12 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join("");
    const before = `<!DOCTYPE svg [<!ENTITY l0 "ha">${laughs}<!ENTITY f SYSTEM "file:///etc/passwd">]>`;
    const started = process.cpuUsage();
    const record = readSvgRecord(bytes(svg("Bomb &l12; &f; &amp; more", { before })));
    expect(record?.title).toBe("Bomb &l12; &f; & more");
    expect(process.cpuUsage(started).user).toBeLessThan(1e6); // microseconds, whatever else the machine does
  });

  it("never fail, never grow beyond their bounds", () => {
    const pieces = fc.constantFrom(
      "<",
      ">",
      "</",
      "svg",
      "title",
      "cc:Work",
      "rdf:li",
      "dc:subject",
      "&",
      "&#x",
      ";",
      "<!--",
      "<![CDATA[",
      "]]>",
      '"',
      "=",
      "a b",
      "<!DOCTYPE",
      "[",
      "\u0000",
      "<?",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        const record = readSvgRecord(bytes(svg("Cow").slice(0, 300) + parts.join("")));
        if (record) expect(record.title.length).toBeLessThanOrEqual(200);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (junk) => void readSvgRecord(junk)));
    const many = readSvgRecord(bytes(svg("Cow", { tags: Array.from({ length: 500 }, (_, i) => `tag ${i}`) })));
    expect(many?.tags.length).toBe(50);
    expect(readSvgRecord(bytes(`${"<g>".repeat(5000)}<title>deep</title>`))).toBeUndefined();
  });
});

describe("a folder", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "clip-art-"));
    await mkdir(join(folder, "b", "c"), { recursive: true });
    const red = '<rect width="10" height="10" fill="#f00"/>';
    await writeFile(join(folder, "b", "one.svg"), svg("Red square", { body: red, tags: ["square"] }));
    await writeFile(join(folder, "a.svg"), svg("My collection"));
    await writeFile(join(folder, "b", "c", "two.SVG"), svg("my Collection"));
    await writeFile(join(folder, "broken.svg"), svg("Broken", { body: "<g" }).slice(0, -6));
    await writeFile(join(folder, "none.svg"), "<svg/>");
    await writeFile(join(folder, "other.txt"), svg("Text"));
    await symlink(join(folder, "b", "one.svg"), join(folder, "link.svg"));
    await symlink("/", join(folder, "b", "root"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("has the drawings whose titles are their own", async () => {
    const seen: number[] = [];
    const set = await openClipArt({ folder, size: 16, onProgress: (done) => seen.push(done) });
    expect(set.drawings.map(({ title }) => title)).toEqual(["Red square", "Broken"]);
    expect([set.leftOut, seen.at(-1)]).toEqual([3, 5]);
    const { width, height, data } = await set.image(0);
    expect([width, height, ...data.subarray(0, 3)]).toEqual([16, 16, 255, 0, 0]);
    await expect(set.image(1)).rejects.toThrow(/broken\.svg: cannot be drawn: [^\n]+$/);
    await expect(set.image(2)).rejects.toThrow("drawing must be in 0 .. 1, got 2");
  });

  it("makes pairs to train on", async () => {
    const source = await openSource({ kind: "clip-art", folder, size: 16 });
    expect(source.length).toBe(2);
    expect(source.captions?.(0)).toEqual(["Red square"]);
    const captions = new Set(Array.from({ length: 40 }, (_, i) => source.caption(0, new Random(i))));
    expect([...captions].sort()).toEqual(["Red square", "Red square, square"]);
    const none = {
      name: "x",
      drawings: [],
      leftOut: 0,
      image: async () => ({ width: 0, height: 0, data: new Uint8Array() }),
    };
    expect(() => clipArtSource(none).describe(0)).toThrow("pair must be in 0 .. -1, got 0");
  });

  it("that is not there, or has none, is one line", async () => {
    await expect(openClipArt({ folder: join(folder, "x") })).rejects.toThrow(/x: cannot be read: ENOENT[^\n]*$/);
    await expect(openClipArt({ folder: join(folder, "b", "c") })).resolves.toMatchObject({ leftOut: 0 });
  });
});
