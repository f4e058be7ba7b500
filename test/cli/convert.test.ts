/** clip-ts convert: what it prints, how it fails. */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "./command.ts";

const MODEL = fileURLToPath(new URL("../golden/models/tiny-vit/model_f16.safetensors", import.meta.url));

let place: string;
let model: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-convert-command-"));
  model = join(place, "model.safetensors");
  await cp(MODEL, model);
  await mkdir(join(place, "strangers"));
  await writeFile(join(place, "strangers", "notes.txt"), "");
});
afterAll(() => rm(place, { recursive: true }));

test("a folder of Hugging Face's, then of that a clip-ts file: sizes, differences, notes", async () => {
  const folder = join(place, "hf");
  const first = await run(["convert", model, "-o", folder, "--to", "hf", "--dtype", "f16"]);
  expect(first.err).toMatch(/^\[={24}\] 1\.9\/1\.9 MB {2}.*\n$/);
  expect(first.status).toBe(0);
  expect(first.out).toBe(
    `${folder}: hf, 2.0 MB in 3 files; loaded back, features differ by 0.0e+0 (images), 0.0e+0 (texts) of the largest\nnote: the model's tokenizer is not known: its files are not written\n`,
  );
  const file = join(place, "back.safetensors");
  const second = await run(["convert", folder, "-o", file, "--to", "clip-ts", "--json"]);
  const { path, files, bytes, difference } = JSON.parse(second.out);
  expect({ path, files, difference }).toEqual({
    path: file,
    files: ["back.safetensors"],
    difference: { images: 0, texts: 0 },
  });
  expect(bytes).toBeGreaterThan(4 * 974_977);
});

test.each([
  [
    "a model that is not there",
    ["absent.pt", "-o", "x", "--to", "hf"],
    /^clip-ts: absent\.pt: there is no such file or folder.*\n$/,
  ],
  [
    "a format that is none",
    ["MODEL", "-o", "x", "--to", "tf"],
    /^clip-ts: option '--to <format>'.*expected one of openai, open_clip, hf, clip-ts, onnx/,
  ],
  [
    "a file's name that is none",
    ["MODEL", "-o", "x.pt", "--to", "openai"],
    /^clip-ts: x\.pt: openai is written as a safetensors file.*\n$/,
  ],
  [
    "other people's things",
    ["MODEL", "-o", "STRANGERS", "--to", "hf", "--force"],
    /^clip-ts: .*strangers: holds notes\.txt, which no conversion wrote: not replaced\n$/,
  ],
] as const)("%s: one line", async (_, args, line) => {
  const before = await readdir(place, { recursive: true });
  const named: Readonly<Record<string, string>> = { MODEL: model, STRANGERS: join(place, "strangers") };
  const given = args.map((arg) => named[arg] ?? arg);
  const { status, out, err } = await run(["convert", ...given]);
  expect([status, out]).toEqual([1, ""]);
  expect(err).toMatch(line);
  expect(existsSync("x")).toBe(false);
  expect(await readdir(place, { recursive: true })).toEqual(before);
});
