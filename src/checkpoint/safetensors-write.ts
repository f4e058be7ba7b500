import { BYTES, elements, type HostTensor } from "../graph/index.ts";
import { writeFileAtomic } from "./atomic-write.ts";
import { WRITTEN } from "./stored-dtypes.ts";

/**
 * Writes a safetensors file in one step: it is whole or not there. Tensors are streamed, not gathered.
 * @param tensors by name; f64, f32, i32, u8 or bool, stored as F64, F32, I32, U8, BOOL
 * @param metadata strings for the header
 * @throws if a tensor's data does not fill its shape, or what the file system throws
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, HostTensor>> | ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const named: [string, HostTensor][] = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  // Wide elements first, so that every tensor is aligned; then by name, so that the same tensors give the same file.
  named.sort(([a, x], [b, y]) => BYTES[y.dtype] - BYTES[x.dtype] || (a < b ? -1 : 1));
  await writeFileAtomic(path, pieces(path, named, metadata));
}

function* pieces(
  path: string,
  tensors: readonly (readonly [string, HostTensor])[],
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  yield headerBytes(path, tensors, metadata);
  for (const [, { data }] of tensors) yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function headerBytes(
  path: string,
  tensors: readonly (readonly [string, HostTensor])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  // Text rather than an object: a tensor may be named __proto__.
  const entries = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let begin = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    if (name === "__metadata__") throw new Error(`${path}: no tensor can be named ${name}`);
    if (data.length !== elements(shape))
      throw new Error(`${path}: tensor ${JSON.stringify(name)}: [${shape}] does not hold ${data.length} elements`);
    const end = begin + data.byteLength;
    const entry = { dtype: WRITTEN[dtype], shape, data_offsets: [begin, end] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin = end;
  }
  const text = new TextEncoder().encode(`{${entries.join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  return bytes;
}
