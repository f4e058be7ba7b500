/** What a training state begins with: weights in memory, or a checkpoint, of which each process reads what its devices hold. */
import type { BoxFile } from "../checkpoint/index.ts";
import type { BoxedValue, HostTensors, StateValues } from "../engine/engine.ts";
import { cut, elements, type HostTensor, hostArray, sameShape, type TensorType, wholePiece } from "../graph/index.ts";
import { type Group, momentNames, momentTypes } from "./optimizer.ts";

/** Parameters and running statistics by published names and, where training goes on, moments as `moment1.` and `moment2.` and the name. */
export interface SavedState extends Pick<BoxFile, "name" | "readBox"> {
  readonly tensors: ReadonlyMap<string, Pick<TensorType, "shape">>;
}

/**
 * @param initial tensors, which are copied; or a function that gives them, whose arrays are taken over
 * @param kept parameters and running statistics
 * @throws one line that names the tensor that is missing or has another shape
 */
export function startingValues(
  initial: HostTensors | (() => HostTensors) | SavedState,
  kept: Readonly<Record<string, TensorType>>,
  groups: readonly Group[],
): StateValues {
  const saved = isSaved(initial) ? initial : inMemory(initial);
  const own = Object.entries(kept).map(([name, { shape }]) => [name, stored(saved, name, shape)]);
  const goesOn = [...saved.tensors.keys()].some((name) => name.startsWith("moment1."));
  if (!goesOn) return { ...Object.fromEntries(own), ...zeros(momentTypes(groups)) };
  const moments = groups.flatMap((group) => momentNames(group).map((name) => [name, momentsOf(saved, name, group)]));
  return Object.fromEntries([...own, ...moments]);
}

/** Zeros of some types. */
export const zeros = (types: Readonly<Record<string, TensorType>>): StateValues =>
  Object.fromEntries(
    Object.entries(types).map(([name, { dtype, shape }]) => [
      name,
      {
        dtype,
        shape,
        readBox: async (box) => ({ dtype, shape: box.shape, data: hostArray(dtype, elements(box.shape)) }),
      },
    ]),
  );

const isSaved = (initial: HostTensors | (() => HostTensors) | SavedState): initial is SavedState =>
  "readBox" in initial && typeof initial.readBox === "function";

function inMemory(initial: HostTensors | (() => HostTensors)): SavedState {
  const given = typeof initial === "function" ? initial() : initial;
  return {
    name: "training",
    tensors: new Map(Object.entries(given)),
    readBox: async (name, box) => {
      const tensor = given[name];
      if (!tensor) throw new Error(`training: no tensor ${name}`);
      const part = cut(tensor, box);
      return part === tensor && given === initial ? { ...tensor, data: tensor.data.slice() } : part;
    },
  };
}

/** A tensor as it is saved. */
function stored({ name: file, tensors, readBox }: SavedState, name: string, shape: readonly number[]): BoxedValue {
  const found = tensors.get(name)?.shape;
  if (!found || !sameShape(found, shape))
    throw new Error(`${file}: expected a tensor ${name} [${shape}], got ${found ? `[${found}]` : "none"}`);
  return { dtype: "f32", shape, readBox: (box) => readBox(name, box, "f32") };
}

/** Moments of a group, of which those of each parameter are saved; the reverse of `unpackMoments`. */
function momentsOf(saved: SavedState, entry: string, { name: group, members, shape, length }: Group): BoxedValue {
  const moment = entry.slice(0, entry.length - group.length);
  const parts = members.map(({ name, shape: own, offset }) => ({ offset, ...stored(saved, moment + name, own) }));
  const [only, another] = parts;
  if (only && !another) {
    if (sameShape(only.shape, shape)) return only;
    // Laid flat, and cut between rows.
    const [, ...rest] = only.shape;
    const row = elements(rest);
    const readBox: BoxedValue["readBox"] = async ({ start: [from = 0], shape: size }) => {
      const box = { start: [from / row, ...rest.map(() => 0)], shape: [(size[0] ?? 0) / row, ...rest] };
      return { ...(await only.readBox(box)), shape: size };
    };
    return { dtype: "f32", shape, readBox };
  }
  return {
    dtype: "f32",
    shape,
    readBox: async (box) => {
      const data = hostArray("f32", length);
      for (const { offset, shape: own, readBox } of parts) data.set((await readBox(wholePiece(own))).data, offset);
      const whole: HostTensor = { dtype: "f32", shape, data };
      return cut(whole, box);
    },
  };
}
