/** What a PNG's header says that the decoder does not pass on. */
export interface PngHeader {
  readonly bits: number;
  /** 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha. */
  readonly colourType: number;
  /** RGB of the palette, empty if there is none. */
  readonly palette: Uint8Array;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export function readPngHeader(bytes: Uint8Array): PngHeader | undefined {
  if (bytes.length < 33 || SIGNATURE.some((byte, i) => bytes[i] !== byte)) return;
  return { bits: bytes[24] ?? 0, colourType: bytes[25] ?? 0, palette: chunkBeforePixels(bytes, "PLTE") };
}

function chunkBeforePixels(png: Uint8Array, type: string): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let at = 8; at + 12 <= png.length; at += 12 + view.getUint32(at)) {
    const found = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (found === type) return png.subarray(at + 8, at + 8 + view.getUint32(at));
    if (found === "IDAT") break;
  }
  return new Uint8Array(0);
}
