import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { memorySource, readSafetensors } from "../../../src/checkpoint/index.ts";
import type { LabelledRows } from "../../../src/eval/probe/feature-rows.ts";
import { memoryMatrix } from "../../../src/eval/tasks/features.ts";
import type { HostTensor } from "../../../src/graph/index.ts";

const bytes = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../golden/evaluation/${name}`, import.meta.url)));

export const goldenJson = (name: string): unknown => JSON.parse(new TextDecoder().decode(bytes(name)));

/** Tensors of a golden file, by name. */
export async function goldenTensors(name: string): Promise<(tensor: string) => HostTensor> {
  const tensors = await readSafetensors(memorySource(name, new Uint8Array(gunzipSync(bytes(name)))));
  return (tensor) => {
    const found = tensors.get(tensor);
    if (!found) throw new Error(`${name} has no ${tensor}`);
    return found;
  };
}

export const floats = ({ data }: HostTensor): Float32Array => Float32Array.from(data);

/** A split of the official linear probe: its features and labels. */
export function split(tensor: (name: string) => HostTensor, name: string): LabelledRows {
  const { data, shape } = tensor(`${name}.x`);
  return {
    rows: memoryMatrix(Float32Array.from(data), shape[1] ?? 0),
    labels: Int32Array.from(tensor(`${name}.y`).data),
  };
}
