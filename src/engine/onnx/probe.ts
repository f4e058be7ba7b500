/** Small models that show what a provider or its device can: onnxruntime does not say. */
import type { HostTensor } from "../../graph/index.ts";
import { Emitter, type Name } from "./emitter.ts";
import { inputName, outputName } from "./names.ts";

/** A model of one value, which gives one of the same type. */
export interface Probe {
  readonly model: Uint8Array<ArrayBuffer>;
  readonly input: string;
  readonly output: string;
  readonly value: HostTensor;
}

export function probe(value: HostTensor, build: (emit: Emitter, x: Name) => Name): Probe {
  const emit = new Emitter();
  const [input, output] = ["x", "y"];
  emit.output(outputName(output), build(emit, emit.input(inputName(input), value)), value);
  return { model: emit.write(), input, output, value };
}
