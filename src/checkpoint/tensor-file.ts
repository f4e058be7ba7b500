/** Tensors by name in a file, whatever its format. */
import type { DType, HostTensor, Piece } from "../graph/index.ts";
import { quote } from "./quote.ts";
import { decodeElements, NATURAL, type StoredDType } from "./stored-dtypes.ts";

export interface TensorInfo {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
}

export type TensorFormat = "safetensors" | "pytorch" | "torchscript" | "pytorch-legacy";

/** An open file of tensors: what there is is known, each is read when it is asked for. */
export interface TensorFile {
  /** What error messages call it. */
  readonly name: string;
  readonly format: TensorFormat;
  /** In bytes. */
  readonly size: number;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of classes in a TorchScript archive, which tell what the weights do not: the activation. */
  readonly classes?: ReadonlySet<string>;
  /**
   * One tensor. F16 and BF16 come as f32 and I64 as i32 unless something else is asked for.
   * @throws an error of one line that names file and tensor, if there is none or it does not convert
   */
  read(tensor: string, as?: DType): Promise<HostTensor>;
  close(): Promise<void>;
}

/** A file of which boxes of tensors can be read. */
export interface BoxFile extends TensorFile {
  /**
   * A box of a tensor, without reading more of it than the blocks of the file in which that stands.
   * @throws as `read`, and if the box is not within the tensor
   */
  readBox(tensor: string, box: Piece, as?: DType): Promise<HostTensor>;
}

/**
 * Finds a tensor, lets `bytesOf` read its little-endian elements or those of a box of it, and decodes them.
 * @param box where they are not all of it: the shape of what is read
 * @throws one line that names file and tensor
 */
export async function readTensor<Info extends TensorInfo>(
  file: string,
  tensors: ReadonlyMap<string, Info>,
  name: string,
  as: DType | undefined,
  bytesOf: (info: Info) => Promise<Uint8Array>,
  box?: readonly number[],
): Promise<HostTensor> {
  const info = tensors.get(name);
  if (!info) throw new Error(`${file}: no tensor ${quote(name)}`);
  const { dtype: from, shape } = info;
  const dtype = as ?? NATURAL[from] ?? "f32";
  return named(`${file}: tensor ${quote(name)}`, async () => ({
    dtype,
    shape: box ?? shape,
    data: decodeElements(await bytesOf(info), from, dtype),
  }));
}

/** Runs and puts a name before the message of what it throws, if that does not begin with it. */
export async function named<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.startsWith(`${name}: `)) throw error;
    throw new Error(`${name}: ${message}`, { cause: error });
  }
}
