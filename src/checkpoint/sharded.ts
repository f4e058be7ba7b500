/** Models in several files, with an index that says which tensor stands in which: Hugging Face's `*.index.json`. */
import { dirname, join } from "node:path";
import { openTensors } from "./open-tensors.ts";
import { quote } from "./quote.ts";
import { named, type TensorFile, type TensorInfo } from "./tensor-file.ts";

const MOST_SHARDS = 10_000;

/**
 * Opens all files of an index as one. They stand beside it; no name leads elsewhere.
 * @param weightMap the file of every tensor
 * @throws one line that names the index, or the file, and the tensor
 */
export async function openSharded(index: string, weightMap: ReadonlyMap<string, string>): Promise<TensorFile> {
  const files = new Map<string, TensorFile>();
  const close = async (): Promise<void> => {
    for (const file of files.values()) await file.close();
  };
  try {
    await named(index, () => {
      if (weightMap.size === 0) throw new Error("weight_map is empty");
      for (const [tensor, file] of weightMap)
        if (!/^[\w][\w.-]{0,254}$/.test(file))
          throw new Error(`tensor ${quote(tensor)} in ${quote(file)}: no name of a file beside`);
    });
    const names = [...new Set(weightMap.values())];
    if (names.length > MOST_SHARDS) throw new Error(`${index}: ${names.length} files, expected at most ${MOST_SHARDS}`);
    for (const name of names) files.set(name, await openTensors(join(dirname(index), name)));
    const tensors = new Map<string, TensorInfo>();
    for (const [name, file] of files)
      for (const [tensor, info] of file.tensors) {
        if (weightMap.get(tensor) !== name)
          throw new Error(`${file.name}: tensor ${quote(tensor)} is not said to be here by ${index}`);
        tensors.set(tensor, info);
      }
    for (const [tensor, name] of weightMap)
      if (!tensors.has(tensor)) throw new Error(`${index}: tensor ${quote(tensor)} is not in ${quote(name)}`);
    const [first] = files.values();
    if (!first) throw new Error(`${index}: no files`);
    return {
      name: index,
      format: first.format,
      size: [...files.values()].reduce((sum, { size }) => sum + size, 0),
      metadata: first.metadata,
      tensors,
      read: (tensor, as) => {
        const file = files.get(weightMap.get(tensor) ?? "");
        if (!file) return Promise.reject(new Error(`${index}: no tensor ${quote(tensor)}`));
        return file.read(tensor, as);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
