/** Reads safetensors files: the header at once, each tensor when it is asked for. */
import type { DType, HostTensor } from "../graph/index.ts";
import { type BytesSource, fileSource } from "./bytes-source.ts";
import { LARGEST_HEADER, parseHeader, type StoredTensor } from "./safetensors-header.ts";
import { decodeElements, NATURAL } from "./stored-dtypes.ts";

export interface TensorFile {
  /** What error messages call it. */
  readonly name: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * One tensor. F16 and BF16 come as f32 and I64 as i32 unless something else is asked for.
   * @throws an error of one line that names file and tensor, if there is none or it does not convert
   */
  read(tensor: string, as?: DType): Promise<HostTensor>;
  close(): Promise<void>;
}

/**
 * Opens a safetensors file, of any size, and checks its header in full.
 * @param source a path, or where else the bytes come from; closed with the file
 * @throws an error of one line that names the file and, where one is at fault, the tensor
 */
export async function openSafetensors(source: string | BytesSource): Promise<TensorFile> {
  const bytes = typeof source === "string" ? await fileSource(source) : source;
  try {
    const headerSize = await readHeaderSize(bytes);
    const start = 8 + headerSize;
    const header = await named(bytes.name, async () =>
      parseHeader(await bytes.read(8, headerSize), bytes.size - start),
    );
    return {
      name: bytes.name,
      ...header,
      read: (tensor, as) => readTensor(bytes, start, header.tensors, tensor, as),
      close: () => bytes.close(),
    };
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** All tensors of a file, in memory. */
export async function readSafetensors(source: string | BytesSource): Promise<Map<string, HostTensor>> {
  const file = await openSafetensors(source);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return tensors;
  } finally {
    await file.close();
  }
}

async function readHeaderSize(bytes: BytesSource): Promise<number> {
  if (bytes.size < 8) throw new Error(`${bytes.name}: not a safetensors file: it has only ${bytes.size} bytes`);
  const first = await bytes.read(0, 8);
  const size = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  const most = Math.min(bytes.size - 8, LARGEST_HEADER);
  if (size < 2n || size > BigInt(most))
    throw new Error(
      `${bytes.name}: not a safetensors file, or cut off: a header of ${size} bytes in a file of ${bytes.size}`,
    );
  return Number(size);
}

async function readTensor(
  bytes: BytesSource,
  start: number,
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  as: DType | undefined,
): Promise<HostTensor> {
  const stored = tensors.get(name);
  if (!stored) throw new Error(`${bytes.name}: no tensor ${JSON.stringify(name)}`);
  const { dtype: from, shape, begin, end } = stored;
  const dtype = as ?? NATURAL[from] ?? "f32";
  const raw = await bytes.read(start + begin, end - begin);
  return named(`${bytes.name}: tensor ${JSON.stringify(name)}`, () => ({
    dtype,
    shape,
    data: decodeElements(raw, from, dtype),
  }));
}

/** Runs and puts a name before the message of what it throws. */
async function named<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
