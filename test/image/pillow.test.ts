import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decodeImage, preprocess, preprocessFile } from "../../src/image/index.ts";
import { official } from "./official.ts";

const { cases } = z
  .object({
    cases: z.array(
      z.object({
        what: z.string(),
        data: z.string(),
        expected: z.array(
          z.object({
            size: z.union([z.number(), z.tuple([z.number(), z.number()])]),
            resize: z.enum(["shortest", "squash", "longest"]),
            interpolation: z.enum(["bicubic", "bilinear"]),
            fill: z.number(),
            sha256: z.string().optional(),
            error: z.string().optional(),
          }),
        ),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("../golden/preprocess/pillow.json", import.meta.url), "utf8")));

const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

describe("files of every kind, as Pillow and open_clip's transform see them", () => {
  test.each(cases.map((one, i) => ({ ...one, name: `${i}: ${one.what}` })))("$name", async ({ data, expected }) => {
    const bytes = Buffer.from(data, "base64");
    for (const { size, resize, interpolation, fill, sha256 } of expected) {
      const config = official(size, { resize, interpolation, fill });
      const twoSteps = decodeImage(bytes).then((image) => hash(preprocess(image, config).data));
      const oneStep = preprocessFile(bytes, config).then((image) => hash(image.data));
      if (sha256 === undefined) {
        await expect(twoSteps).rejects.toThrow(/^(image: cannot be decoded|preprocess): [^\n]+$/);
        await expect(oneStep).rejects.toThrow(/^image: cannot be decoded: [^\n]+$/);
      } else expect([await twoSteps, await oneStep]).toEqual([sha256, sha256]);
    }
  });
});
