import { readFileSync } from "node:fs";
import fc from "fast-check";
import sharp, { type JpegOptions } from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage, preprocess, preprocessFile } from "../../src/image/index.ts";
import { decodeJpeg, readJpegHeader } from "../../src/image/jpeg.ts";
import { simdKernels } from "../../src/image/kernels.ts";
import { noise } from "./noise.ts";
import { official } from "./official.ts";

const kernels = simdKernels() ?? missing();

function missing(): never {
  throw new Error("the kernels are not there: npm run build makes them");
}

/** Noise over waves: all coefficients occur, and blocks with one only. */
function encode(width: number, height: number, seed: number, options: JpegOptions): Promise<Buffer> {
  const { data } = noise(width, height, seed);
  const share = (seed % 5) / 4;
  for (let i = 0; i < data.length; i++) {
    const x = Math.floor(i / 3) % width;
    const wave = 128 + 120 * Math.sin(x / (2 + (seed % 17)) + (i % 3)) * Math.cos(i / width / 3 / 11);
    data[i] = share * (data[i] ?? 0) + (1 - share) * wave;
  }
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg(options)
    .toBuffer();
}

function decode(bytes: Uint8Array): Uint8Array | undefined {
  const header = readJpegHeader(bytes);
  return header && decodeJpeg(kernels, bytes, header)?.data;
}

/** A comparison by elements takes longer than all the rest. */
async function expectSame(bytes: Uint8Array): Promise<void> {
  const [got, wanted] = [decode(bytes), await sharp(bytes).raw().toBuffer()];
  expect(got && Buffer.compare(got, wanted)).toBe(0);
}

const golden = (file: string): Uint8Array =>
  readFileSync(new URL(`../golden/preprocess/images/${file}`, import.meta.url));

describe("the JPEG decoder has the pixels of libjpeg-turbo", () => {
  const sides = fc.oneof(fc.integer({ min: 5, max: 40 }), fc.integer({ min: 41, max: 150 }));
  const quality = fc.constantFrom(1, 20, 75, 90, 100);

  test("of any size, quality and chroma", async () => {
    await fc.assert(
      fc.asyncProperty(
        sides,
        sides,
        quality,
        fc.constantFrom("4:2:0", "4:4:4"),
        fc.boolean(),
        fc.nat(),
        async (width, height, quality, chromaSubsampling, optimiseCoding, seed) => {
          const bytes = await encode(width, height, seed, { quality, chromaSubsampling, optimiseCoding });
          await expectSame(bytes);
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each(["jpeg_422.jpg", "jpeg_420.jpg", "jpeg_restart.jpg", "jpeg_exif_orientation.jpg"])("%s", async (file) => {
    await expectSame(golden(file));
  });

  test.each(["jpeg_progressive.jpg", "jpeg_cmyk.jpg", "jpeg_gray.jpg", "palette.png"])(
    "%s is left to sharp",
    (file) => {
      expect(readJpegHeader(golden(file))).toBeUndefined();
    },
  );

  test("a result that needs a part of the picture gets the same pixels from that part", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 16, max: 300 }),
        fc.integer({ min: 16, max: 300 }),
        fc.constantFrom("4:2:0", "4:4:4"),
        fc.constantFrom("shortest", "longest", "squash"),
        fc.integer({ min: 1, max: 100 }),
        fc.nat(),
        async (width, height, chromaSubsampling, resize, size, seed) => {
          const bytes = await encode(width, height, seed, { quality: 85, chromaSubsampling });
          const config = official(size, { resize, fill: 7 });
          fc.pre(resize !== "longest" || Math.max(width, height) / Math.min(width, height) < size);
          const [got, wanted] = [await preprocessFile(bytes, config), preprocess(await decodeImage(bytes), config)];
          expect([got.width, got.height]).toEqual([wanted.width, wanted.height]);
          expect(Buffer.compare(got.data, wanted.data)).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("damaged JPEGs", () => {
  test("change, vanish or are refused in one line; nothing else happens", async () => {
    const whole = await encode(90, 70, 3, { quality: 80 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.oneof(fc.constant(whole.length), fc.nat(whole.length)),
        async (changes, length) => {
          const bytes = Uint8Array.from(whole.subarray(0, length));
          for (const [at, value] of changes) if (at < length) bytes[at] = value;
          const header = readJpegHeader(bytes);
          if (header && header.width * header.height < 1e6) decodeJpeg(kernels, bytes, header);
          const outcome = await decodeImage(bytes, { maxPixels: 1e6 }).catch((error: Error) => error.message);
          if (typeof outcome === "string") expect(outcome).toMatch(/^image: cannot be decoded: [^\n]+$/);
          else expect(outcome.data.length).toBe(outcome.width * outcome.height * 3);
        },
      ),
      { numRuns: 400 },
    );
    // The kernels' memory is as good as before.
    await expectSame(whole);
  });

  test("a unit of the longest codes and values that goes on behind the end reads no more than there is room for", () => {
    const table = (kind: number, symbol: number) => [0xff, 0xc4, 0, 20, kind, ...Array(15).fill(0), 1, symbol];
    const bytes = Uint8Array.of(
      ...[0xff, 0xd8, 0xff, 0xdb, 0, 67, 0, ...Array(64).fill(1)],
      ...[0xff, 0xc0, 0, 17, 8, 0, 16, 0, 16, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0],
      ...[...table(0, 15), ...table(0x10, 15)],
      ...[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0],
    );
    expect(readJpegHeader(bytes)?.start).toBe(bytes.length);
    new Uint8Array(kernels.memory.buffer).fill(0);
    expect(decode(bytes)).toBeUndefined();
  });

  test("first coefficients' symbols with a run are left to sharp", async () => {
    const bytes = await encode(20, 20, 3, { quality: 80 });
    const at = bytes.indexOf(Uint8Array.of(0xff, 0xc4));
    expect(bytes[at + 4]).toBe(0);
    bytes[at + 4 + 17] = 0x11;
    expect(readJpegHeader(bytes)).toBeUndefined();
  });

  test("a file that ends in the middle is refused", async () => {
    const whole = await encode(200, 200, 3, { quality: 80 });
    for (const share of [0.3, 0.6, 0.95]) {
      const bytes = whole.subarray(0, Math.floor(whole.length * share));
      expect(decode(bytes)).toBeUndefined();
      await expect(preprocessFile(bytes, official(32))).rejects.toThrow(/^image: cannot be decoded: /);
    }
  });
});
