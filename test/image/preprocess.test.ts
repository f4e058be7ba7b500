import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decodeImage, preprocess } from "../../src/image/index.ts";
import { official } from "./official.ts";

// A part of the project's fixtures lies in the repository; CLIP_TS_FIXTURES=<folder> runs all of them.
const fixtures = process.env.CLIP_TS_FIXTURES;
const folder = fixtures ? new URL(`file://${fixtures}/preprocess/`) : new URL("../golden/preprocess/", import.meta.url);
const { images, malformed } = z
  .object({
    images: z.array(
      z.object({
        file: z.string(),
        mode: z.string(),
        expected: z.array(z.object({ n_px: z.number(), rgb_sha256: z.string() })),
      }),
    ),
    malformed: z.array(z.object({ file: z.string() })),
  })
  .parse(JSON.parse(readFileSync(new URL("images.json", folder), "utf8")));

const pathOf = (file: string): string => new URL(file, folder).pathname;

describe("the official evaluation transform, bit for bit", () => {
  const cases = images.flatMap(({ file, mode, expected }) => expected.map((wanted) => ({ file, mode, ...wanted })));
  test.each(cases)("$file ($mode) to $n_px", async (wanted) => {
    const image = await decodeImage(pathOf(wanted.file));
    const { data, width, height } = preprocess(image, official(wanted.n_px));
    expect([width, height]).toEqual([wanted.n_px, wanted.n_px]);
    expect(createHash("sha256").update(data).digest("hex")).toBe(wanted.rgb_sha256);
  });
});

const { cases: openClip } = z
  .object({
    cases: z.array(
      z.object({
        image: z.string(),
        size: z.union([z.number(), z.tuple([z.number(), z.number()])]),
        resize_mode: z.enum(["shortest", "squash", "longest"]),
        interpolation: z.enum(["bicubic", "bilinear"]),
        fill_color: z.number(),
        width: z.number(),
        height: z.number(),
        rgb_sha256: z.string(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("open_clip.json", folder), "utf8")));

describe("open_clip's evaluation transform, bit for bit", () => {
  test.each(openClip)("$image $resize_mode $interpolation to $size, fill $fill_color", async (wanted) => {
    const { resize_mode: resize, interpolation, fill_color: fill } = wanted;
    const image = await decodeImage(pathOf(wanted.image));
    const { data, width, height } = preprocess(image, official(wanted.size, { resize, interpolation, fill }));
    expect([width, height]).toEqual([wanted.width, wanted.height]);
    expect(createHash("sha256").update(data).digest("hex")).toBe(wanted.rgb_sha256);
  });
});

describe("broken files", () => {
  test.each(malformed)("$file is refused in one line that names it", async ({ file }) => {
    const error = await decodeImage(pathOf(file)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    const message = error instanceof Error ? error.message : "";
    expect(message).toContain(file);
    expect(message).not.toContain("\n");
    expect(message).toMatch(/cannot be decoded: \S/);
  });

  test("a picture with more pixels than allowed is refused by its header", async () => {
    await expect(decodeImage(pathOf("images/gray.png"), { maxPixels: 300 * 200 - 1 })).rejects.toThrow(
      /gray\.png: cannot be decoded: .*pixel/,
    );
    await expect(decodeImage(pathOf("images/gray.png"), { maxPixels: 300 * 200 })).resolves.toMatchObject({
      width: 300,
    });
  });

  test("bytes are named as the caller says, a path that does not exist by itself", async () => {
    await expect(decodeImage(Uint8Array.of(1, 2, 3), { name: "upload 7" })).rejects.toThrow(/^upload 7: cannot/);
    await expect(decodeImage("/nowhere/x.png")).rejects.toThrow(/^\/nowhere\/x\.png: cannot be decoded: .*ENOENT/);
  });
});
