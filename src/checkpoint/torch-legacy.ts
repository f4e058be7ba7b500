/**
 * Files of `torch.save` before PyTorch 1.6: five pickles one after the other (a magic number, the protocol, the machine, the object, the
 * keys of its storages), then the storages, each with the number of its elements before it.
 */
import type { BytesSource } from "./bytes-source.ts";
import { readPickle } from "./pickle.ts";
import { isKind, type PickleValue, type TorchStorage } from "./pickle-values.ts";
import { quote } from "./quote.ts";
import { findStateDict } from "./state-dict.ts";
import { STORED_BYTES } from "./stored-dtypes.ts";
import { named, type TensorFile } from "./tensor-file.ts";
import { placeAll, storageOf, torchTensors } from "./torch-file.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** The pickles stand within so many bytes. */
const LARGEST_PICKLES = 2 ** 26;

/** As `openTorchFile`, for files of before. */
export async function openLegacyTorchFile(bytes: BytesSource): Promise<TensorFile> {
  try {
    return await named(bytes.name, async () => {
      const head = await bytes.read(0, Math.min(bytes.size, LARGEST_PICKLES));
      const storages = new Map<string, TorchStorage>();
      const persistent = (id: PickleValue): TorchStorage => {
        const storage = storageOf(id);
        const known = storages.get(storage.key);
        if (known && (known.type !== storage.type || known.size !== storage.size))
          throw new Error(`storage ${quote(storage.key)} is declared twice, differently`);
        if (isKind(id, "sequence") && (id.items[5] ?? null) !== null)
          throw new Error(`storage ${quote(storage.key)} is a view of another, which is not supported`);
        storages.set(storage.key, storage);
        return storage;
      };
      let at = 0;
      const next = (): PickleValue => {
        const { value, length } = readPickle(head.subarray(at), persistent);
        at += length;
        return value;
      };
      if (next() !== MAGIC) throw new Error("a pickle, but no PyTorch checkpoint: its magic number is another");
      const protocol = next();
      if (protocol !== PROTOCOL) throw new Error(`PyTorch's format ${quote(String(protocol))}, expected ${PROTOCOL}`);
      const machine = next();
      if (isKind(machine, "dict") && machine.entries.get("little_endian") === false)
        throw new Error("its numbers are big-endian, expected little-endian");
      const { tensors: found } = findStateDict(next());
      const keys = next();
      const places = await placesOf(bytes, at, keys, storages);
      const tensors = placeAll(found, ({ key }) => places.get(key)?.bytes);
      return {
        ...torchTensors(bytes, tensors, ({ key, dtype, offset, extent }) =>
          bytes.read((places.get(key)?.begin ?? 0) + offset * STORED_BYTES[dtype], extent * STORED_BYTES[dtype]),
        ),
        format: "pytorch-legacy",
      };
    });
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

interface Place {
  readonly begin: number;
  readonly bytes: number;
}

/** Where each storage stands: behind the pickles, in the order of the list, its number of elements before it. */
async function placesOf(
  bytes: BytesSource,
  begin: number,
  keys: PickleValue,
  storages: ReadonlyMap<string, TorchStorage>,
): Promise<Map<string, Place>> {
  if (!isKind(keys, "sequence")) throw new Error("expected a list of storages");
  const places = new Map<string, Place>();
  let at = begin;
  for (const key of keys.items) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (!storage || places.has(storage.key)) throw new Error("the list of storages is not that of the tensors");
    const count = await bytes.read(at, 8);
    const elements = Number(new DataView(count.buffer, count.byteOffset).getBigInt64(0, true));
    if (elements !== storage.size)
      throw new Error(`storage ${quote(storage.key)} has ${elements} elements, declared are ${storage.size}`);
    const width = storage.dtype === undefined ? 1 : STORED_BYTES[storage.dtype];
    places.set(storage.key, { begin: at + 8, bytes: elements * width });
    at += 8 + elements * width;
    if (at > bytes.size) throw new Error(`storage ${quote(storage.key)} ends behind the file's end`);
  }
  return places;
}
