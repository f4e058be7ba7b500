import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage, onBackground, type PreprocessConfig, preprocess, preprocessFile } from "../../src/image/index.ts";

/** A drawing in three colours with soft edges, transparent around it and black under that, as most programs write. */
const SIDE = 48;
const drawing = sharp(
  Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"><circle cx="20" cy="22" r="15" fill="#d22"/><path d="M10 40 L44 8 L40 44 Z" fill="#2a2" fill-opacity="0.6"/></svg>`,
  ),
);

const files = {
  png: () => drawing.clone().png().toBuffer(),
  "png with a palette": () => drawing.clone().png({ palette: true }).toBuffer(),
  "png of gray": () => drawing.clone().toColourspace("b-w").png().toBuffer(),
  "png of 16 bits": () => drawing.clone().toColourspace("rgb16").png().toBuffer(),
  webp: () => drawing.clone().webp({ lossless: true }).toBuffer(),
  gif: () => drawing.clone().gif().toBuffer(),
  tiff: () => drawing.clone().tiff({ compression: "lzw" }).toBuffer(),
} as const;

/** What sharp, whose blending is libvips', makes of the same file. */
async function laidBySharp(bytes: Buffer, level: number): Promise<Uint8Array> {
  const background = { r: level, g: level, b: level };
  return sharp(bytes).flatten({ background }).toColourspace("srgb").raw({ depth: "uchar" }).toBuffer();
}

const greatest = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), a.length === b.length ? 0 : 256);

const config: PreprocessConfig = {
  size: 16,
  resize: "shortest",
  interpolation: "bicubic",
  mean: [0, 0, 0],
  deviation: [1, 1, 1],
  fill: 0,
};

describe("a background", () => {
  for (const [kind, file] of Object.entries(files))
    it.each([255, 90])(`shows through what is transparent of a ${kind} (level %i)`, async (level) => {
      const bytes = await file();
      const laid = onBackground(await decodeImage(bytes), level);
      expect(laid.data[0]).toBe(level); // the corner has nothing on it
      expect(greatest(laid.data, await laidBySharp(bytes, level))).toBeLessThanOrEqual(kind.includes("16") ? 2 : 1);
    });

  it("is there before the resize, of files and of pixels alike", async () => {
    for (const file of Object.values(files)) {
      const bytes = await file();
      const picture = await decodeImage(bytes);
      const seen = preprocess(picture, { ...config, background: 255 });
      expect(seen.data).toEqual(preprocess(onBackground(picture, 255), config).data);
      expect(await preprocessFile(bytes, { ...config, background: 255 })).toEqual(seen);
      expect([...seen.data.subarray(0, 3)]).toEqual([255, 255, 255]);
    }
  });

  it("changes nothing of opaque pictures, whose palettes are filtered then", async () => {
    const opaque = drawing.clone().flatten({ background: "#7af" });
    const plain = await decodeImage(await opaque.clone().png().toBuffer());
    expect(onBackground(plain, 255).data).toEqual(plain.data);
    const indexed = await decodeImage(await opaque.clone().png({ palette: true }).toBuffer());
    const rgb = { width: SIDE, height: SIDE, data: indexed.data };
    expect(preprocess(indexed, { ...config, background: 0 })).toEqual(preprocess(rgb, config));
  });

  it("keeps the light of 16-bit gray, which the official transform turns white", async () => {
    const ramp = Uint16Array.from({ length: 64 * 64 }, (_, i) => i * 16);
    for (const format of ["png", "tiff"] as const) {
      const bytes = await sharp(ramp, { raw: { width: 64, height: 64, channels: 1 } })
        .toColourspace("grey16")
        .toFormat(format, format === "tiff" ? { compression: "lzw" } : {})
        .toBuffer();
      const picture = await decodeImage(bytes);
      expect(picture.data.filter((value) => value < 255).length).toBeLessThanOrEqual(3 * 16);
      expect([...onBackground(picture, 255).data.filter((_, i) => i % 3 === 0)]).toEqual(
        [...ramp].map((value) => value >> 8),
      );
    }
  });
});
