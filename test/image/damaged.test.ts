import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { decodeImage } from "../../src/image/index.ts";

const { cases } = z
  .object({ cases: z.array(z.object({ what: z.string(), data: z.string() })) })
  .parse(JSON.parse(readFileSync(new URL("../golden/preprocess/pillow.json", import.meta.url), "utf8")));

// Those formats whose readers are our own; the headers of the others are in there too.
test.each(["gif", "bmp", "png", "tiff", "webp"])("damaged %s files decode or are refused in one line", async (kind) => {
  const files = cases.filter(({ what }) => what.includes(kind)).map(({ data }) => Buffer.from(data, "base64"));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
      fc.boolean(),
      async (file, changes, share, isEarly) => {
        const bytes = Uint8Array.from(file.subarray(0, Math.ceil(share * file.length)));
        const reach = isEarly ? Math.min(64, bytes.length) : bytes.length;
        for (const [at, value] of changes) if (reach > 0) bytes[Math.floor(at * reach)] = value;
        const outcome = await decodeImage(bytes, { maxPixels: 1e5 }).catch((error: Error) => error.message);
        if (typeof outcome === "string") expect(outcome).toMatch(/^image: cannot be decoded: [^\n]+$/);
        else {
          expect(outcome.data.length).toBe(outcome.width * outcome.height * 3);
          expect(outcome.width * outcome.height).toBeLessThanOrEqual(1e5);
        }
      },
    ),
    { numRuns: 300 },
  );
});
