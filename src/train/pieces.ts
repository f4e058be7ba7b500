/** What each of several processes writes of a training state: every box once, by one of those that hold it. */
import type { TensorPiece } from "../checkpoint/index.ts";
import type { Shardings, State } from "../engine/engine.ts";
import { distinctPieces, elements, type HostTensor, type Mesh, meshSize, WHOLE } from "../graph/index.ts";
import { type Group, momentNames } from "./optimizer.ts";

export interface PieceOptions {
  readonly mesh: Mesh;
  readonly shardings: Shardings;
  readonly groups: readonly Group[];
  /** This process, of how many; each has as many devices, next to each other in the mesh. */
  readonly node: number;
  readonly nodes: number;
}

/** An entry of the state as checkpoints know it. */
interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
}

/** @param entries names and shapes of what is to be written, as the state has them */
export function ownPieces(state: State, entries: readonly Entry[], options: PieceOptions): TensorPiece[] {
  const { mesh, shardings, groups, node, nodes } = options;
  const perNode = meshSize(mesh) / nodes;
  const groupOf = new Map(groups.flatMap((group) => momentNames(group).map((name) => [name, group] as const)));
  return entries.flatMap(({ name, shape }, turn) => {
    const pieces = distinctPieces(shape, shardings[name] ?? WHOLE, mesh);
    return pieces.flatMap(({ piece, devices }, i) => {
      // What several hold is written in turns, so that no process has it all to do.
      const writer = devices[(turn + i) % devices.length] ?? 0;
      if (Math.floor(writer / perNode) !== node) return [];
      const value = async (): Promise<HostTensor> => finite(name, await boxAt(state, name, piece.start));
      const group = groupOf.get(name);
      if (!group) return [{ name, whole: shape, ...piece, value }];
      return published(name, group, piece.start, piece.shape, value);
    });
  });
}

async function boxAt(state: State, name: string, start: readonly number[]): Promise<HostTensor> {
  if (!state.readPiece) throw new Error("checkpoint: the engine does not tell what its devices hold");
  return state.readPiece(name, start);
}

/** A piece of a group's moments, by the parameters' names and in their shapes. */
function published(
  name: string,
  { name: group, members, shape }: Group,
  start: readonly number[],
  size: readonly number[],
  value: () => Promise<HostTensor>,
): TensorPiece[] {
  const moment = name.slice(0, name.length - group.length);
  const [only, another] = members;
  if (only && !another) {
    const whole = only.shape;
    if (shape.length === whole.length) return [{ name: moment + only.name, whole, start, shape: size, value }];
    // Laid flat, and cut between rows.
    const row = elements(whole.slice(1));
    const [from = 0, length = 0] = [...start, ...size];
    const box = [length / row, ...whole.slice(1)];
    const at = [from / row, ...whole.slice(1).map(() => 0)];
    const reshaped = async (): Promise<HostTensor> => ({ ...(await value()), shape: box });
    return [{ name: moment + only.name, whole, start: at, shape: box, value: reshaped }];
  }
  // Many small ones in one vector, which is read once.
  let packed: Promise<HostTensor> | undefined;
  return members.map(({ name: member, shape: whole, offset }) => ({
    name: moment + member,
    whole,
    start: whole.map(() => 0),
    shape: whole,
    value: async () => {
      packed ??= value();
      const { dtype, data } = await packed;
      return { dtype, shape: whole, data: data.slice(offset, offset + elements(whole)) };
    },
  }));
}

/** @throws one line, so that no checkpoint is made of spoilt values */
export function finite(name: string, value: HostTensor): HostTensor {
  // x - x is 0 for every number but NaN and the infinities; one test at the end is ten times quicker than one each.
  let sum = 0;
  for (const x of value.data) sum += x - x;
  if (sum !== 0) throw new Error(`${name} is not finite; the checkpoint is not written`);
  return value;
}
