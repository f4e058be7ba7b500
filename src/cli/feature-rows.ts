/** Features as bytes: safetensors and NumPy's .npy, whose headers have a fixed size so that they can be written last, and JSON lines. */

export type RowFormat = "safetensors" | "npy" | "jsonl";

/** Of safetensors and .npy: rows begin aligned, and any number of them fits. */
export const HEADER_BYTES = 1024;

export interface Row {
  readonly name: string;
  readonly features: Float32Array;
}

export function rowBytes({ name, features }: Row, format: RowFormat): Uint8Array {
  if (format === "jsonl") return Buffer.from(`${JSON.stringify({ name, features: [...features] })}\n`);
  return new Uint8Array(features.buffer, features.byteOffset, features.byteLength);
}

/** The header before `count` rows of float32. */
export function featureHeader(
  format: Exclude<RowFormat, "jsonl">,
  count: number,
  meaning: {
    readonly width: number;
    readonly fingerprint: string;
    readonly kind: string;
    readonly normalized: boolean;
  },
): Uint8Array {
  const { width, fingerprint, kind, normalized } = meaning;
  const header = Buffer.alloc(HEADER_BYTES, " ");
  if (format === "npy") {
    // numpy.lib.format, version 1.0: the magic, the version, the header's length, a Python literal, a line feed
    header.write("\x93NUMPY\x01\x00", 0, "latin1");
    header.writeUInt16LE(HEADER_BYTES - 10, 8);
    header.write(`{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${width}), }`, 10, "latin1");
    header.write("\n", HEADER_BYTES - 1, "latin1");
    return header;
  }
  const metadata = { format: "clip-ts/features", kind, model: fingerprint, normalized: String(normalized) };
  const features = { dtype: "F32", shape: [count, width], data_offsets: [0, count * width * 4] };
  const text = Buffer.from(JSON.stringify({ __metadata__: metadata, features }));
  if (text.length > HEADER_BYTES - 8) throw new Error(`features: a header of ${text.length} bytes is too long`);
  header.writeBigUInt64LE(BigInt(HEADER_BYTES - 8), 0);
  header.set(text, 8);
  return header;
}
