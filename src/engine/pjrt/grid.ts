/** The devices that a program spans, and which piece of a tensor each of them holds. */
import {
  axisSize,
  coordinate,
  cut,
  distinctPieces,
  elements,
  type HostTensor,
  hostArray,
  type Mesh,
  meshSize,
  type Piece,
  paste,
  pieceOf,
  type Sharding,
  show,
  showMesh,
  type TensorType,
  WHOLE,
} from "../../graph/index.ts";
import type { BoxedValue } from "../engine.ts";
import type { Client, Device, DeviceBuffer } from "./client.ts";

export interface Grid {
  readonly mesh: Mesh;
  /** Those of this process, in the order of the mesh. */
  readonly devices: readonly Device[];
  /** Where the first of them stands in the mesh. */
  readonly first: number;
  /** Of all processes, in the order of the mesh. */
  readonly ids: readonly number[];
  /** Of the rows that are split over `data`: the part that this process gives. */
  readonly rows: { readonly index: number; readonly of: number };
}

/** A tensor on a grid: a piece on each device of this process. */
export interface Spread {
  readonly type: TensorType;
  readonly sharding: Sharding;
  readonly pieces: readonly DeviceBuffer[];
}

const ALL_ROWS = { index: 0, of: 1 } as const;

export const gridOfOne = (device: Device): Grid => ({
  mesh: {},
  devices: [device],
  first: 0,
  ids: [device.id],
  rows: ALL_ROWS,
});

/** @throws one line if the mesh has not the devices that there are, or splits a batch unevenly among processes */
export function gridOf(client: Client, mesh: Mesh): Grid {
  const ids = client.ids.toSorted((a, b) => a - b);
  if (ids.length !== meshSize(mesh))
    throw new Error(
      `pjrt: the mesh ${showMesh(mesh)} has ${meshSize(mesh)} devices, ${client.platform} has ${ids.length}`,
    );
  const devices = client.devices.toSorted((a, b) => a.id - b.id);
  const first = ids.indexOf(devices[0]?.id ?? -1);
  if (devices.some(({ id }, i) => id !== ids[first + i]))
    throw new Error(`pjrt: the devices of this process, ${devices.map(({ id }) => id)}, are not next to each other`);
  const [from, to] = [first, first + devices.length - 1].map((place) => coordinate(mesh, "data", place)) as [
    number,
    number,
  ];
  const [data, held] = [axisSize(mesh, "data"), to - from + 1];
  const even = devices.length % axisSize(mesh, "model") === 0 || held === 1;
  if (data % held !== 0 || from % held !== 0 || !even)
    throw new Error(`pjrt: the mesh ${showMesh(mesh)} does not divide among processes of ${devices.length} devices`);
  return { mesh, devices, first, ids, rows: { index: from / held, of: data / held } };
}

/** Whether a process gives only its part of the rows of what is split so. */
export const isSplitByRows = (sharding: Sharding): boolean => (sharding[0] ?? []).includes("data");

/** What every device of this process holds of a tensor. */
export const piecesOn = (grid: Grid, shape: readonly number[], sharding: Sharding): Piece[] =>
  grid.devices.map((_, i) => pieceOf(shape, sharding, grid.mesh, grid.first + i));

/**
 * Copies a tensor to a grid.
 * @param rows the part of its rows that is there; where a tensor is split over `data`, what this process's devices hold. @default all
 */
export function spread(
  client: Client,
  grid: Grid,
  tensor: HostTensor,
  sharding: Sharding = WHOLE,
  rows: Grid["rows"] = ALL_ROWS,
): Spread {
  const [height = 1, ...rest] = tensor.shape;
  const shape = tensor.shape.length === 0 ? [] : [height * rows.of, ...rest];
  const pieces = piecesOn(grid, shape, sharding).map(({ start: [row = 0, ...start], shape: size }) =>
    cut(tensor, { start: tensor.shape.length === 0 ? [] : [row - rows.index * height, ...start], shape: size }),
  );
  return {
    type: { dtype: tensor.dtype, shape },
    sharding,
    pieces: pieces.map((piece, i) => client.upload(piece, grid.devices[i])),
  };
}

/** Copies a value to a grid, of which no more is read than the devices of this process hold, each box once. */
export async function spreadBoxes(
  client: Client,
  grid: Grid,
  { dtype, shape, readBox }: BoxedValue,
  sharding: Sharding = WHOLE,
): Promise<Spread> {
  const places = piecesOn(grid, shape, sharding);
  const pieces: DeviceBuffer[] = [];
  try {
    // One box after the other, each for all devices that hold it.
    for (const [first, piece] of places.entries()) {
      if (pieces[first]) continue;
      const box = await readBox(piece);
      for (const [device, { start }] of places.entries())
        if (start.join() === piece.start.join()) pieces[device] = client.upload(box, grid.devices[device]);
    }
  } catch (error) {
    for (const piece of pieces) if (piece) client.destroy(piece);
    throw error;
  }
  return { type: { dtype, shape }, sharding, pieces };
}

/** What this process holds of a tensor, each piece once. */
export const heldPieces = (
  grid: Grid,
  { type, sharding, pieces }: Spread,
): { readonly start: readonly number[]; readonly piece: DeviceBuffer }[] =>
  distinctPieces(type.shape, sharding, grid.mesh).flatMap(({ piece: { start }, devices }) => {
    const piece = devices.map((device) => pieces[device - grid.first]).find((held) => held !== undefined);
    return piece ? [{ start, piece }] : [];
  });

/** Copies a tensor to the host, whole. @throws one line if another process holds a part of it */
export async function gather(client: Client, grid: Grid, { type, sharding, pieces }: Spread): Promise<HostTensor> {
  const [only] = pieces;
  if (only && elements(only.type.shape) === elements(type.shape)) return client.download(only);
  const held = heldPieces(grid, { type, sharding, pieces });
  if (held.reduce((sum, { piece }) => sum + elements(piece.type.shape), 0) < elements(type.shape))
    throw new Error(`pjrt: ${show(type)} is in pieces, of which other processes hold some`);
  const whole = { ...type, data: hostArray(type.dtype, elements(type.shape)) };
  await Promise.all(held.map(async ({ start, piece }) => paste(whole, await client.download(piece), start)));
  return whole;
}

/** What Shardy calls a sharding of a tensor of some rank: `<@mesh, [{"data"}, {}]>`. */
export function shardyText(sharding: Sharding, rank: number): string {
  const axes = Array.from({ length: rank }, (_, i) => `{${(sharding[i] ?? []).map((axis) => `"${axis}"`).join(", ")}}`);
  return `<@mesh, [${axes.join(", ")}]>`;
}

export const shardyMesh = (mesh: Mesh): string =>
  `sdy.mesh @mesh = <["data"=${axisSize(mesh, "data")}, "model"=${axisSize(mesh, "model")}]>`;
