/**
 * Tensors to and from the memory of a device. onnxruntime-node keeps a result there (`gpu-buffer`) and takes it as an operand, but
 * copies none on request (`getData` of such a tensor ends the process): programs of one Identity move them.
 */
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { TensorType } from "../../graph/index.ts";
import { Emitter } from "./emitter.ts";
import { inputName, outputName } from "./names.ts";

export type Location = "cpu" | "gpu-buffer";
type CreateSession = (model: Uint8Array, locations: Readonly<Record<string, Location>>) => Promise<InferenceSession>;

export interface DeviceMemory {
  /** From the host, or a copy of what is on the device. */
  upload(tensor: Tensor, type: TensorType): Promise<Tensor>;
  download(tensor: Tensor, type: TensorType): Promise<Tensor>;
}

export function deviceMemory(createSession: CreateSession): DeviceMemory {
  const sessions = new Map<string, Promise<InferenceSession>>();
  const move = async (tensor: Tensor, { dtype, shape }: TensorType, location: Location): Promise<Tensor> => {
    const key = `${dtype} ${shape} ${location}`;
    const known = sessions.get(key);
    const session = known ?? createSession(identity({ dtype, shape }), { [VALUE]: location });
    if (!known) sessions.set(key, session);
    const { [outputName(VALUE)]: moved } = await (await session).run({ [inputName(VALUE)]: tensor });
    if (!moved) throw new Error(`onnx: a tensor was not moved to ${location}`);
    return moved;
  };
  return {
    upload: (tensor, type) => move(tensor, type, "gpu-buffer"),
    download: (tensor, type) => move(tensor, type, "cpu"),
  };
}

const VALUE = "value";

function identity(type: TensorType): Uint8Array {
  const emit = new Emitter();
  emit.output(outputName(VALUE), emit.node("Identity", [emit.input(inputName(VALUE), type)]), type);
  return emit.write();
}
