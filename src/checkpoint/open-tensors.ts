/** Opens a file of tensors by what it begins with, whatever it is named. */
import { type BytesSource, fileSource } from "./bytes-source.ts";
import { openSafetensors } from "./safetensors.ts";
import type { TensorFile } from "./tensor-file.ts";
import { openTorchFile } from "./torch-file.ts";
import { openLegacyTorchFile } from "./torch-legacy.ts";

/** Other things that stand under a checkpoint's name, and what they begin with. */
const STRANGERS: readonly (readonly [beginning: string, what: string])[] = [
  ["version https://git-lfs", "a Git LFS pointer; fetch the file itself (git lfs pull)"],
  ["GGUF", "a GGUF file"],
  ["\x89HDF", "an HDF5 file"],
  ["\x1f\x8b", "a gzip file; unpack it"],
  ["\x93NUMPY", "a NumPy array"],
  ["%PDF", "a PDF"],
  ["\x89PNG", "a picture"],
  ["\xff\xd8\xff", "a picture"],
];

/**
 * Opens a safetensors file or one of PyTorch's.
 * @param source a path, or where else the bytes come from; closed with the file
 * @throws an error of one line that names the file and what is wrong with it
 */
export async function openTensors(source: string | BytesSource): Promise<TensorFile> {
  const bytes = typeof source === "string" ? await fileSource(source) : source;
  let head: Uint8Array;
  try {
    head = await bytes.read(0, Math.min(bytes.size, 512));
    if (!looksLikeSafetensors(head, bytes.size)) refuseStrangers(bytes.name, head);
  } catch (error) {
    await bytes.close();
    throw error;
  }
  if (looksLikeSafetensors(head, bytes.size)) return openSafetensors(bytes);
  if (beginsWith(head, "PK\x03\x04") || beginsWith(head, "PK\x05\x06")) return openTorchFile(bytes);
  const [first, protocol = 0] = head;
  if (first === 0x80 && protocol >= 2 && protocol <= 5) return openLegacyTorchFile(bytes);
  return openSafetensors(bytes);
}

/** The length of the header, which can be any bytes, that of another format too, then the header. */
function looksLikeSafetensors(head: Uint8Array, size: number): boolean {
  if (head.length < 9 || head[8] !== 0x7b) return false;
  return new DataView(head.buffer, head.byteOffset).getBigUint64(0, true) <= BigInt(size - 8);
}

function refuseStrangers(name: string, head: Uint8Array): void {
  const found = STRANGERS.find(([beginning]) => beginsWith(head, beginning))?.[1];
  const text = new TextDecoder("latin1").decode(head).trimStart();
  const what = found ?? (/^<(!doctype|html|\?xml)/i.test(text) ? "a web page" : undefined);
  if (what !== undefined) throw new Error(`${name}: is no checkpoint but ${what}`);
}

function beginsWith(head: Uint8Array, beginning: string): boolean {
  return Array.from(beginning).every((character, i) => head[i] === character.charCodeAt(0));
}
