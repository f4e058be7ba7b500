/** A state that stays in the worker. */
import { type HostTensor, sameShape, show, type TensorType } from "../../graph/index.ts";
import { type State, type StateValues, wholeValue } from "../engine.ts";
import type { Channel } from "./channel.ts";

interface OnnxState extends State {
  readonly channel: Channel;
  readonly id: number;
  readonly types: Readonly<Record<string, TensorType>>;
}

/** One value after the other: what is on its way to the worker is held twice. */
export async function createState(channel: Channel, values: StateValues): Promise<OnnxState> {
  const id = await channel.call("createState", undefined);
  const types: Record<string, TensorType> = {};
  try {
    for (const [name, value] of Object.entries(values)) {
      const made = await wholeValue(value);
      types[name] = { dtype: made.dtype, shape: made.shape };
      await channel.call("addEntry", { state: id, name, value: made }, made === value ? [] : own(made));
    }
  } catch (error) {
    await channel.call("closeState", id);
    throw error;
  }
  return onnxState(channel, id, types);
}

/** An array's memory where it is nobody else's. */
const own = ({ data }: HostTensor): ArrayBuffer[] =>
  data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength ? [data.buffer] : [];

function onnxState(channel: Channel, id: number, types: Readonly<Record<string, TensorType>>): OnnxState {
  const names = Object.keys(types);
  return {
    channel,
    id,
    types,
    names,
    read: (wanted = names) => channel.call("readState", { state: id, names: wanted }),
    write: async (values) => {
      for (const [name, value] of Object.entries(values)) {
        const held = types[name];
        if (!held || held.dtype !== value.dtype || !sameShape(held.shape, value.shape))
          throw new Error(`state: entry ${name} is ${held ? show(held) : "not there"}, got ${show(value)}`);
      }
      await channel.call("writeState", { state: id, values });
    },
    close: () => channel.call("closeState", id),
  };
}

/** Whether a state is one of this engine. */
export function isOnnxState(state: State | undefined, channel: Channel): state is OnnxState {
  return state !== undefined && "channel" in state && state.channel === channel;
}
