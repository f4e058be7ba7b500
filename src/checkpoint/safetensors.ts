/** Reads safetensors files: the header at once, each tensor when it is asked for. */
import { boxRuns, elements, type HostTensor, isWithin, type Piece } from "../graph/index.ts";
import { type BytesSource, fileSource } from "./bytes-source.ts";
import { LARGEST_HEADER, parseHeader, type StoredTensor } from "./safetensors-header.ts";
import { STORED_BYTES } from "./stored-dtypes.ts";
import { type BoxFile, named, readTensor } from "./tensor-file.ts";

/**
 * Opens a safetensors file, of any size, and checks its header in full.
 * @param source a path, or where else the bytes come from; closed with the file
 * @throws an error of one line that names the file and, where one is at fault, the tensor
 */
export async function openSafetensors(source: string | BytesSource): Promise<BoxFile> {
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
      readBox: (tensor, box, as) =>
        readTensor(
          bytes.name,
          header.tensors,
          tensor,
          as,
          (info) => readRuns(bytes, { ...info, begin: start + info.begin }, box),
          box.shape,
        ),
      close: () => bytes.close(),
    };
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** Stretches of a file with less than this between them are read at once: it is a block of the file system. */
const BLOCK = 4096;

/** The bytes of a box of a tensor, whose stretches stand apart in the file. */
async function readRuns(
  bytes: BytesSource,
  { dtype, shape, begin }: Pick<StoredTensor, "dtype" | "shape" | "begin">,
  box: Piece,
): Promise<Uint8Array> {
  if (!isWithin(box, shape)) throw new Error(`a box of [${box.shape}] at [${box.start}] is not within [${shape}]`);
  const size = STORED_BYTES[dtype];
  const result = new Uint8Array(size * elements(box.shape));
  let together: { readonly at: number; readonly to: number; readonly length: number }[] = [];
  const read = async (): Promise<void> => {
    const [first, last] = [together[0], together.at(-1)];
    if (!first || !last) return;
    const stretch = await bytes.read(begin + first.at, last.at + last.length - first.at);
    for (const { at, to, length } of together) result.set(stretch.subarray(at - first.at, at - first.at + length), to);
    together = [];
  };
  for (const { whole, part, length } of boxRuns(shape, box)) {
    const last = together.at(-1);
    if (last && whole * size - (last.at + last.length) >= BLOCK) await read();
    together.push({ at: whole * size, to: part * size, length: length * size });
  }
  await read();
  return result;
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
