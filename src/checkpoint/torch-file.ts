/** Files of `torch.save` and `torch.jit.save` since PyTorch 1.6: zip archives with a pickle and the storages beside it. */
import type { BytesSource } from "./bytes-source.ts";
import { readPickle } from "./pickle.ts";
import { isKind, type PickleValue, type TorchStorage, type TorchTensor } from "./pickle-values.ts";
import { quote } from "./quote.ts";
import { findStateDict } from "./state-dict.ts";
import { STORED_BYTES } from "./stored-dtypes.ts";
import { named, readTensor, type TensorFile } from "./tensor-file.ts";
import { isStorageType, TORCH_STORAGES } from "./torch-globals.ts";
import { contiguous, type PlacedTensor, placed } from "./torch-tensor.ts";
import { openZip, type ZipArchive } from "./zip-archive.ts";

/** Holds names and places, no numbers: 200 bytes a tensor. */
const LARGEST_PICKLE = 2 ** 26;

/**
 * Opens a PyTorch archive, of any size: its pickle is read, the place of every tensor checked, no tensor read.
 * @param bytes closed with the file
 * @throws an error of one line that names the file and the tensor, entry or global at fault
 */
export async function openTorchFile(bytes: BytesSource): Promise<TensorFile> {
  try {
    return await named(bytes.name, async () => {
      const zip = await named("zip archive", () => openZip(bytes));
      const root = rootOf(zip);
      await checkByteOrder(zip, `${root}byteorder`);
      const pickle = `${root}data.pkl`;
      const size = zip.sizes.get(pickle) ?? 0;
      if (size > LARGEST_PICKLE)
        throw new Error(`${quote(pickle)} has ${size} bytes, expected at most ${LARGEST_PICKLE}`);
      const { value } = readPickle(await zip.read(pickle, 0, size), storageOf);
      const { tensors: found, classes } = findStateDict(value);
      const entryOf = (key: string): string => `${root}data/${key}`;
      const tensors = placeAll(found, ({ key }) => zip.sizes.get(entryOf(key)));
      const read = ({ key, dtype, offset, extent }: PlacedTensor): Promise<Uint8Array> =>
        zip.read(entryOf(key), offset * STORED_BYTES[dtype], extent * STORED_BYTES[dtype]);
      return {
        ...torchTensors(bytes, tensors, read),
        format: zip.sizes.has(`${root}constants.pkl`) ? "torchscript" : "pytorch",
        classes,
      };
    });
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** What zip archives and the files of before have in common. */
export function torchTensors(
  bytes: BytesSource,
  tensors: ReadonlyMap<string, PlacedTensor>,
  spanOf: (tensor: PlacedTensor) => Promise<Uint8Array>,
): Omit<TensorFile, "format"> {
  return {
    name: bytes.name,
    size: bytes.size,
    metadata: new Map(),
    tensors,
    read: (name, as) =>
      readTensor(bytes.name, tensors, name, as, async (tensor) => contiguous(tensor, await spanOf(tensor))),
    close: () => bytes.close(),
  };
}

/** @throws one line that names the tensor whose storage is missing or too small for it */
export function placeAll(
  tensors: ReadonlyMap<string, TorchTensor>,
  bytesOf: (storage: TorchStorage) => number | undefined,
): Map<string, PlacedTensor> {
  const all = new Map<string, PlacedTensor>();
  for (const [name, tensor] of tensors) {
    try {
      all.set(name, placed(tensor, bytesOf(tensor.storage)));
    } catch (error) {
      throw new Error(`tensor ${quote(name)}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
  return all;
}

/** A persistent id of `torch.save`: ("storage", type, key, device, size); files of before 1.6 have a view of it behind. */
export function storageOf(id: PickleValue): TorchStorage {
  const [tag, type, key, , size] = isKind(id, "sequence") ? id.items : [];
  if (tag !== "storage" || !isKind(type, "global") || !isStorageType(type.path) || typeof key !== "string")
    throw new Error("a reference to something that is no storage");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw new Error(`storage ${quote(key)}: bad size ${quote(typeof size === "bigint" ? String(size) : size)}`);
  const dtype = Object.hasOwn(TORCH_STORAGES, type.path) ? TORCH_STORAGES[type.path] : undefined;
  return { kind: "storage", type: type.path, dtype, key, size };
}

/** The folder of the archive that everything stands in, which is named after the file as it was saved. */
function rootOf({ sizes }: ZipArchive): string {
  const [first, second] = [...sizes.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (first === undefined) throw new Error("a zip archive, but no PyTorch checkpoint: it has no data.pkl");
  if (second !== undefined) throw new Error(`both ${quote(first)} and ${quote(second)} are in the archive`);
  return first.slice(0, -"data.pkl".length);
}

async function checkByteOrder(zip: ZipArchive, entry: string): Promise<void> {
  const size = zip.sizes.get(entry);
  if (size === undefined) return; // before PyTorch 2.1
  const order = new TextDecoder().decode(await zip.read(entry, 0, Math.min(size, 16)));
  if (order !== "little") throw new Error(`${quote(entry)} is ${quote(order)}, expected little-endian numbers`);
}
