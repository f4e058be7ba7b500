/** embed, tokenize, preprocess and explain, on a model that has hardly been trained. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors } from "../../src/checkpoint/index.ts";
import { CLIP, dotProduct } from "../../src/clip.ts";
import { decodeImage, preprocess } from "../../src/image/index.ts";
import { officialTokenizer } from "../../src/tokenizer/index.ts";
import { drawPairs, microRecipe } from "../train/micro.ts";
import { run, start, until } from "./command.ts";

let place: string;
let model: string;
let pictures: string;
let clip: CLIP;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-features-"));
  pictures = join(place, "pairs");
  model = join(place, "model");
  const recipe = microRecipe(await drawPairs(pictures), { steps: 2, checkpointEvery: 2 });
  await writeFile(join(place, "micro.json"), JSON.stringify(recipe));
  const { status, err } = await run(["train", join(place, "micro.json"), "--out", model, "--threads", "1"]);
  expect(status, err).toBe(0);
  clip = await CLIP.load(model, { threads: 1 });
});
afterAll(async () => {
  await clip.close();
  await rm(place, { recursive: true });
});

const withModel = (...args: readonly string[]): string[] => [...args, "--model", model];
const embed = (args: readonly string[], input?: string) => run(withModel("embed", "--threads", "1", ...args), input);
const jsonLines = async <T>(path: string): Promise<T[]> =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** A .npy file read by the format's description: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
async function readNpy(path: string): Promise<{ readonly shape: readonly number[]; readonly data: Float32Array }> {
  const bytes = await readFile(path);
  expect(bytes.subarray(0, 8).toString("latin1")).toBe("\x93NUMPY\x01\x00");
  const begin = 10 + bytes.readUInt16LE(8);
  expect(begin % 64).toBe(0);
  const header = bytes.subarray(10, begin).toString("latin1");
  const [, rows, width] =
    /^\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$/.exec(header) ?? [];
  return {
    shape: [Number(rows), Number(width)],
    data: new Float32Array(Uint8Array.from(bytes.subarray(begin)).buffer),
  };
}

it("features do not depend on the batch, but for rounding", async () => {
  const paths = (await readdir(pictures)).filter((name) => name.endsWith(".png")).map((name) => join(pictures, name));
  const texts = Array.from({ length: 40 }, (_, i) => `a ${"red ".repeat(i % 5)}circle ${i}`);
  const whole = [await clip.encodeImage(paths, { normalize: true }), await clip.encodeText(texts, { normalize: true })];
  for (const size of [1, 3, 8]) {
    const pieces: Float32Array[][] = [[], []];
    for (let i = 0; i < paths.length; i += size)
      pieces[0]?.push(...(await clip.encodeImage(paths.slice(i, i + size), { normalize: true })));
    for (let i = 0; i < texts.length; i += size)
      pieces[1]?.push(...(await clip.encodeText(texts.slice(i, i + size), { normalize: true })));
    for (const [kind, rows] of pieces.entries()) {
      expect(rows.length).toBe(whole[kind]?.length);
      const differences = rows.flatMap((row, i) => [...row].map((x, j) => Math.abs(x - (whole[kind]?.[i]?.[j] ?? 9))));
      expect(Math.max(...differences)).toBeLessThan(1e-6);
    }
  }
});

describe("clip-ts embed", () => {
  it("writes the library's features, normalised, in three formats with names", async () => {
    const names = (await readdir(pictures)).filter((name) => name.endsWith(".png")).sort();
    const paths = names.map((name) => join(pictures, name));
    const expected = (await clip.encodeImage(paths, { normalize: true })).map((row) => [...row]);
    const [tensors, npy, jsonl] = ["a.safetensors", "a.npy", "a.jsonl"].map((name) => join(place, name)) as [
      string,
      string,
      string,
    ];
    for (const out of [tensors, npy, jsonl]) {
      const { status, out: said, err } = await embed([pictures, "-o", out]);
      expect(status, err).toBe(0);
      expect(err).toBe("");
      expect(said).toBe(`${out}: 24 x 16 features of images\n`);
    }
    const held = await readSafetensors(tensors);
    const features = held.get("features");
    expect(features?.shape).toEqual([24, 16]);
    const same = (data: ArrayLike<number>): void => {
      for (const [i, value] of expected.flat().entries()) expect(data[i]).toBeCloseTo(value, 5);
    };
    same(features?.data ?? []);
    const { shape, data } = await readNpy(npy);
    expect(shape).toEqual([24, 16]);
    same(data);
    const rows = await jsonLines<{ name: string; features: number[] }>(jsonl);
    expect(rows.map(({ name }) => name)).toEqual(paths);
    same(rows.flatMap((row) => row.features));
    for (const out of [tensors, npy]) expect(await jsonLines(`${out}.names.jsonl`)).toEqual(paths);
    expect((await readdir(place)).filter((name) => /partial|tmp/.test(name))).toEqual([]);
  });

  it("takes texts from a flag, a file and standard input; raw features", async () => {
    const texts = ["a red circle", "the blue\u2028bar", "ü ☕"];
    const expected = (await clip.encodeText(texts)).map((row) => [...row]);
    const file = join(place, "texts.txt");
    await writeFile(file, `${texts.join("\r\n")}\r\n\n`);
    const outs: string[] = [];
    for (const [i, args] of [
      texts.flatMap((text) => ["--text", text]),
      ["--texts", file],
      ["--texts", "-"],
    ].entries()) {
      const out = join(place, `texts${i}.jsonl`);
      const { status, err, out: said } = await embed([...args, "--raw", "-o", out, "--json"], texts.join("\n"));
      expect(status, err).toBe(0);
      expect(JSON.parse(said)).toMatchObject({ out, kind: "texts", rows: 3, width: 16, failed: 0 });
      outs.push(await readFile(out, "utf8"));
    }
    expect(outs[1]).toBe(outs[0]);
    expect(outs[2]).toBe(outs[0]);
    const rows = await jsonLines<{ name: string; features: number[] }>(join(place, "texts0.jsonl"));
    expect(rows.map(({ name }) => name)).toEqual(texts);
    for (const [i, value] of expected.flat().entries())
      expect(rows.flatMap((row) => row.features)[i]).toBeCloseTo(value, 5);
  });

  it("names what has no features and goes on: pictures that are none, texts that are too long", async () => {
    const mixed = join(place, "mixed");
    await mkdir(join(mixed, "below"), { recursive: true });
    await cp(join(pictures, "red-bar.png"), join(mixed, "1.png"));
    await writeFile(join(mixed, "2.png"), "no picture");
    await cp(join(pictures, "red-circle.png"), join(mixed, "below", "3.png"));
    const out = join(place, "mixed.npy");
    const { status, err, out: said } = await embed([mixed, "-o", out]);
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: .*2\.png: cannot be decoded: [^\n]+\n$/);
    expect(said).toBe(`${out}: 2 x 16 features of images; 1 could not be read (${out}.errors.jsonl)\n`);
    expect(await jsonLines(`${out}.names.jsonl`)).toEqual([join(mixed, "1.png"), join(mixed, "below", "3.png")]);
    expect(await jsonLines(`${out}.errors.jsonl`)).toMatchObject([{ name: join(mixed, "2.png") }]);

    const long = "circle ".repeat(40);
    const texts = join(place, "long.jsonl");
    const refused = await embed(["--text", "a", "--text", long, "-o", texts]);
    expect(refused.err).toMatch(/has \d+ tokens with its marks, more than the context length 12; shorten it, or/);
    expect((await jsonLines(texts)).length).toBe(1);
    const chunked = await embed(["--text", "a", "--text", long, "--long-text", "chunk", "-o", texts]);
    expect(chunked.err).toBe("");
    const rows = await jsonLines<{ features: number[] }>(texts);
    const whole = await clip.encodeText(long, { normalize: true, longText: "chunk" });
    for (const [i, value] of whole.entries()) expect(rows[1]?.features[i]).toBeCloseTo(value, 5);
  });

  it("goes on where it was stopped, with the same result, and refuses to mix", async () => {
    const texts = Array.from({ length: 6000 }, (_, i) => `a ${i % 7} circle ${i}`);
    const file = join(place, "many.txt");
    await writeFile(file, texts.join("\n"));
    const [whole, out] = [join(place, "whole.npy"), join(place, "stopped.npy")];
    expect((await embed(["--texts", file, "-o", whole])).status).toBe(0);

    const args = withModel("embed", "--threads", "1", "--texts", file, "-o", out);
    const command = start(args);
    await until(async () => (await readFile(`${out}.partial.log`, "utf8").catch(() => "")).includes('"end"'), command);
    command.kill("SIGINT");
    const { status, err } = await command.outcome;
    expect(status).toBe(130);
    expect(err).toMatch(
      /stopping after this batch\n(.*\n)*.*stopped after \d+; the same command goes on where it was\n$/,
    );
    const rows = await readFile(`${out}.partial`);
    await expect(readFile(out)).rejects.toThrow(/ENOENT/);

    const other = await embed(["--texts", file, "-o", out, "--raw"]);
    expect(other.err).toMatch(
      /^clip-ts: .*stopped\.npy\.partial: is of another model or other options; remove it to begin anew\n$/,
    );
    await writeFile(file, ["another", ...texts.slice(1)].join("\n"));
    expect((await embed(["--texts", file, "-o", out])).err).toMatch(
      /\.partial: has a 0 circle 0 where there is another now/,
    );
    await writeFile(file, texts.join("\n"));
    // as after a crash: a row and a line of the log that were not written whole
    await writeFile(`${out}.partial`, Buffer.concat([rows, Buffer.alloc(7, 1)]));
    await writeFile(`${out}.partial.log`, `${await readFile(`${out}.partial.log`, "utf8")}{"name":"x`);
    expect((await embed(["--texts", file, "-o", out])).status).toBe(0);
    expect(Buffer.compare(await readFile(out), await readFile(whole))).toBe(0);
    expect(await readFile(`${out}.names.jsonl`, "utf8")).toBe(await readFile(`${whole}.names.jsonl`, "utf8"));
    expect((await readdir(place)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  const refusals: readonly (readonly [
    what: string,
    args: () => readonly string[] | Promise<readonly string[]>,
    says: RegExp,
  ])[] = [
    [
      "another format",
      () => [pictures, "-o", "a.csv"],
      /a\.csv: expected a name that ends in \.safetensors, \.npy, \.jsonl/,
    ],
    ["nothing to embed", () => ["-o", "a.npy"], /name either pictures, or texts/],
    ["pictures and texts", () => [pictures, "--text", "a", "-o", "a.npy"], /name either pictures, or texts/],
    ["no output", () => [pictures], /required option '-o, --out <file>' not specified/],
    [
      "a folder that is not there",
      () => [pictures, "-o", "/no/a.npy"],
      /\/no\/a\.npy: cannot be written: \/no is not there/,
    ],
    [
      "a folder in the place of the output",
      async () => {
        await mkdir(join(place, "folder.npy"), { recursive: true });
        return [pictures, "-o", join(place, "folder.npy")];
      },
      /folder\.npy: expected a file, is a folder/,
    ],
    ["no texts", () => ["--texts", "-", "-o", join(place, "no.npy")], /no\.npy: there were no texts/],
    [
      "texts that are not there",
      () => ["--texts", "/no/t.txt", "-o", "a.npy"],
      /texts \/no\/t\.txt: there is no such file/,
    ],
    [
      "float16 on the CPU",
      () => ["--text", "a", "--precision", "float16", "-o", join(place, "half.npy")],
      /onnx cpu: computes in float32 only, float16 was asked for: onnxruntime on WebGPU has it/,
    ],
  ];
  it.each(refusals)("refuses %s in one line", async (_, args, says) => {
    const { status, err, out } = await embed(await args());
    expect([status, out]).toEqual([1, ""]);
    expect(err).toMatch(/^clip-ts: [^\n]+\n$/);
    expect(err).toMatch(says);
  });

  it("says how to come by a model where none is named and none is here", async () => {
    const { status, err } = await start(["embed", "--text", "a", "-o", "a.npy"], "", place).outcome;
    expect(status).toBe(1);
    expect(err).toMatch(
      /^clip-ts: runs.quickstart: is not here: clip-ts quickstart makes it; or say which model \(--model/,
    );
  });

  it("refuses what another process is writing", async () => {
    const out = join(place, "busy.npy");
    await writeFile(`${out}.partial.lock`, `${process.pid} ${hostname()} test`);
    const { status, err } = await embed([pictures, "-o", out]);
    expect({ status, err }).toEqual({ status: 1, err: `clip-ts: ${out}: another process is writing it\n` });
    await rm(`${out}.partial.lock`);
  });

  it("refuses where nothing could be read", async () => {
    const none = join(place, "none.png");
    await writeFile(none, "");
    const { status, err } = await embed([none, "-o", join(place, "none.npy")]);
    expect(status).toBe(1);
    expect(err).toMatch(
      /none\.png: cannot be decoded: the file is empty\nclip-ts: .*none\.npy: none of 1 inputs could be read\n$/,
    );
    expect((await readdir(place)).filter((name) => name.startsWith("none.npy"))).toEqual([]);
  });
});

describe("clip-ts tokenize", () => {
  interface Tokens {
    readonly text: string;
    readonly count: number;
    readonly contextLength: number;
    readonly tooLong: boolean;
    readonly rows: readonly { readonly ids: number[]; readonly tokens: string[] }[];
  }
  const lines = (out: string): Tokens[] =>
    out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Tokens);

  it("shows what the model's tokenizer gives", async () => {
    const { out, status } = await run(
      withModel("tokenize", "a red circle", "-", "--json"),
      "over\n\ncircle ".repeat(9),
    );
    expect(status).toBe(0);
    const found = lines(out);
    expect(found.length).toBe(1 + 1 + 8 + 1);
    expect(found[0]).toMatchObject({ text: "a red circle", contextLength: 12, tooLong: false });
    for (const { text, rows, count } of found) {
      const { ids, lengths } = clip.tokenizer.tokenize(text, { contextLength: 12, longText: "truncate" });
      expect(rows.map((row) => row.ids)).toEqual([[...ids.subarray(0, lengths[0])]]);
      expect(count).toBe(clip.tokenizer.encode(text).length + 2);
      expect(rows[0]?.tokens.slice(1, -1).join("")).toBe(clip.tokenizer.decode(rows[0]?.ids.slice(1, -1) ?? []));
    }
  });

  it("says what is cut, chunks, or refuses", async () => {
    const long = "a circle ".repeat(20).trim();
    const cut = await run(withModel("tokenize", long));
    expect(cut.out).toMatch(
      /": \d+ tokens of 12, \d+ too many: cut\n {2}\d+ "<\|startoftext\|>" .*"<\|endoftext\|>"\n$/,
    );
    const [chunked] = lines((await run(withModel("tokenize", long, "--long-text", "chunk", "--json"))).out);
    expect(chunked?.tooLong).toBe(true);
    expect(chunked?.rows.flatMap(({ ids }) => ids.slice(1, -1))).toEqual(clip.tokenizer.encode(long));
    const refused = await run(withModel("tokenize", long, "--long-text", "error"));
    expect(refused.status).toBe(1);
    expect(refused.err).toMatch(/^clip-ts: tokenize: text 0 .* more than the context length 12; [^\n]+\n$/);
  });

  it("has the published vocabulary where there is no model", async () => {
    const { out } = await start(["tokenize", "A photo of an axolotl", "--json"], "", place).outcome;
    expect(lines(out)[0]?.rows[0]?.ids.slice(1, -1)).toEqual(
      (await officialTokenizer()).encode("A photo of an axolotl"),
    );
    const { status, err } = await run(["tokenize", "a", "--model", join(place, "nowhere")]);
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: [^\n]*nowhere[^\n]*\n$/);
  });
});

describe("clip-ts preprocess", () => {
  it("writes the pixels that the model sees", async () => {
    const picture = join(place, "wide.png");
    const noise = Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * 7919) & 255);
    await sharp(noise, { raw: { width: 40, height: 30, channels: 3 } })
      .png()
      .toFile(picture);
    const out = join(place, "seen.png");
    const { status, out: said, err } = await run(withModel("preprocess", picture, "-o", out, "--json"));
    expect(status, err).toBe(0);
    expect(JSON.parse(said)).toMatchObject({
      ...{ image: picture, out, resize: "shortest", interpolation: "bicubic" },
      ...{ from: { width: 40, height: 30 }, to: { width: 16, height: 16 } },
    });
    const { data, info } = await sharp(out).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 16, height: 16, channels: 3 });
    expect([...data]).toEqual([...preprocess(await decodeImage(picture), clip.preprocess).data]);
    expect((await run(withModel("preprocess", picture, "-o", out))).out).toBe(
      `${picture}: 40 x 30 -> 16 x 16 (shortest, bicubic); ${out}\n`,
    );
  });

  it("writes nothing where there is no picture", async () => {
    const out = join(place, "nothing.png");
    const { status, err } = await run(withModel("preprocess", "/no/picture.png", "-o", out));
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: \/no\/picture\.png: [^\n]+\n$/);
    await expect(readFile(out)).rejects.toThrow(/ENOENT/);
  });
});

describe("clip-ts explain", () => {
  it("lays the library's heat over the whole picture, or over what the model sees", async () => {
    const picture = join(place, "tall.png");
    const noise = Uint8Array.from({ length: 20 * 50 * 3 }, (_, i) => (i * 104_729) & 255);
    await sharp(noise, { raw: { width: 20, height: 50, channels: 3 } })
      .png()
      .toFile(picture);
    const own = await clip.explain(picture, "a red circle", { against: ["a blue bar"] });
    const out = join(place, "heat.png");
    const args = withModel(
      "explain",
      picture,
      "--text",
      "a red circle",
      "--against",
      "a blue bar",
      "-o",
      out,
      "--json",
    );
    const { status, out: said, err } = await run(args);
    expect(status, err).toBe(0);
    const found = JSON.parse(said);
    expect(found).toMatchObject({
      ...{ image: picture, text: "a red circle", against: ["a blue bar"], method: "attention", width: 4, height: 4 },
      region: { left: 0, top: 15, width: 20, height: 20 },
    });
    for (const [i, value] of own.heat.entries()) expect(found.heat[i]).toBeCloseTo(value, 5);
    const [image, text] = await Promise.all([
      clip.encodeImage(picture, { normalize: true }),
      clip.encodeText("a red circle", { normalize: true }),
    ]);
    expect(found.similarity).toBeCloseTo(dotProduct(image, text), 5);
    expect(await sharp(out).metadata()).toMatchObject({ width: 20, height: 50 });
    expect((await run([...args, "--crop"])).status).toBe(0);
    expect(await sharp(out).metadata()).toMatchObject({ width: 16, height: 16 });
  });

  it("refuses a text that is too long", async () => {
    const args = ["explain", join(pictures, "red-bar.png"), "--text", "bar ".repeat(30), "-o", join(place, "long.png")];
    const { status, err } = await run(withModel(...args));
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: tokenize: text 0 [^\n]+\n$/);
  });
});
