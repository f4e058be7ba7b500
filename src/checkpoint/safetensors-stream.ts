/** Writes safetensors files that are larger than the memory: a tensor at a time. */
import { elements } from "../graph/index.ts";
import { writeFileAtomic } from "./atomic-write.ts";
import { STORED_BYTES, type StoredDType } from "./stored-dtypes.ts";

export interface StreamedTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Its little-endian elements; asked for once, when it is written. */
  bytes(): Promise<Uint8Array>;
}

export const storedSize = ({ dtype, shape }: Pick<StreamedTensor, "dtype" | "shape">): number =>
  elements(shape) * STORED_BYTES[dtype];

/**
 * Writes a file in one step: it is whole or not there.
 * @throws one line if a tensor's bytes do not fill its shape; what its `bytes` throws; what the file system throws
 */
export async function streamSafetensors(
  path: string,
  tensors: readonly StreamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  // Wide elements first, so that every tensor is aligned.
  const ordered = [...tensors].sort((a, b) => STORED_BYTES[b.dtype] - STORED_BYTES[a.dtype]);
  await writeFileAtomic(path, pieces(path, ordered, metadata));
}

async function* pieces(
  path: string,
  tensors: readonly StreamedTensor[],
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  yield headerOf(tensors, metadata);
  for (const tensor of tensors) {
    const bytes = await tensor.bytes();
    if (bytes.length !== storedSize(tensor))
      throw new Error(
        `${path}: tensor ${tensor.name}: ${tensor.dtype} [${tensor.shape}] takes ${storedSize(tensor)} bytes, got ${bytes.length}`,
      );
    yield bytes;
  }
}

function headerOf(tensors: readonly StreamedTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const end = begin + storedSize(tensor);
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = new TextEncoder().encode(`{${entries.join(",")}}`);
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(text, 8);
  return bytes;
}
