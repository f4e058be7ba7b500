/** Reads safetensors files: the header at once, each tensor when it is asked for. */
import type { HostTensor } from "../graph/index.ts";
import { type BytesSource, fileSource } from "./bytes-source.ts";
import { LARGEST_HEADER, parseHeader } from "./safetensors-header.ts";
import { named, readTensor, type TensorFile } from "./tensor-file.ts";

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
      format: "safetensors",
      size: bytes.size,
      ...header,
      read: (tensor, as) =>
        readTensor(bytes.name, header.tensors, tensor, as, ({ begin, end }) => bytes.read(start + begin, end - begin)),
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
