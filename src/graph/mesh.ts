/** Devices as a grid, and tensors in pieces on them: what an engine of many devices and those who write its state agree on. */
import { elements, type HostTensor, hostArray, strides } from "./dtype.ts";

/** `data`: the batch is split over it, and so may what is kept be; `model`: the weights of large layers are. */
export type MeshAxis = "data" | "model";
export const MESH_AXES = ["data", "model"] as const satisfies readonly MeshAxis[];

/** How many devices stand along each axis; an axis that is left out has one. Device `i` is at (i / model, i % model). */
export type Mesh = Readonly<Partial<Record<MeshAxis, number>>>;

/** For every axis of a tensor, or for the first ones, the axes of the mesh that split it, the slower one first. */
export type Sharding = readonly (readonly MeshAxis[])[];

/** The same everywhere. */
export const WHOLE: Sharding = [];

/** A box of a tensor. */
export interface Piece {
  readonly start: readonly number[];
  readonly shape: readonly number[];
}

/** More devices are no mesh but a mistake in writing. */
const MOST_DEVICES = 65_536;

export const axisSize = (mesh: Mesh, axis: MeshAxis): number => mesh[axis] ?? 1;
export const meshSize = (mesh: Mesh): number => axisSize(mesh, "data") * axisSize(mesh, "model");

/** `data=4,model=2`. */
export const showMesh = (mesh: Mesh): string =>
  MESH_AXES.flatMap((axis) => (mesh[axis] === undefined ? [] : [`${axis}=${mesh[axis]}`])).join(",") || "one device";

/** @throws one line that names what is no axis, no size, or twice there */
export function parseMesh(text: string): Mesh {
  const mesh: Partial<Record<MeshAxis, number>> = {};
  for (const part of text.split(",")) {
    const [name, size, ...more] = part.split("=").map((word) => word.trim());
    const axis = MESH_AXES.find((known) => known === name);
    if (!axis || more.length > 0 || !/^[1-9]\d{0,5}$/.test(size ?? ""))
      throw new Error(`mesh: expected axes like data=4,model=2 (axes: ${MESH_AXES.join(", ")}), got ${part.trim()}`);
    if (mesh[axis] !== undefined) throw new Error(`mesh: ${axis} stands twice in ${text}`);
    mesh[axis] = Number(size);
  }
  checkMesh(mesh);
  return mesh;
}

/** @throws one line if a size is no whole number above 0, or there are too many devices */
export function checkMesh(mesh: Mesh): void {
  for (const axis of MESH_AXES) {
    const size = axisSize(mesh, axis);
    if (!Number.isSafeInteger(size) || size < 1)
      throw new Error(`mesh: ${axis}: expected a whole number above 0, got ${size}`);
  }
  if (meshSize(mesh) > MOST_DEVICES)
    throw new Error(`mesh: expected at most ${MOST_DEVICES} devices, got ${meshSize(mesh)}`);
}

/** A device's place along an axis. */
export function coordinate(mesh: Mesh, axis: MeshAxis, device: number): number {
  const model = axisSize(mesh, "model");
  return axis === "model" ? device % model : Math.floor(device / model);
}

/** Into how many parts a sharding cuts an axis of a tensor. */
export const partsOf = (mesh: Mesh, axes: readonly MeshAxis[] = []): number =>
  axes.reduce((product, axis) => product * axisSize(mesh, axis), 1);

/**
 * What a device holds of a tensor.
 * @throws one line if the parts are not equal
 */
export function pieceOf(shape: readonly number[], sharding: Sharding, mesh: Mesh, device: number): Piece {
  if (sharding.length > shape.length)
    throw new Error(`mesh: a sharding of ${sharding.length} axes for a tensor [${shape}]`);
  const cut = shape.map((size, i) => {
    const axes = sharding[i] ?? [];
    const parts = partsOf(mesh, axes);
    if (size % parts !== 0)
      throw new Error(`mesh: axis ${i} of [${shape}] does not divide into ${parts} (${axes.join(", ")})`);
    const place = axes.reduce((index, axis) => index * axisSize(mesh, axis) + coordinate(mesh, axis, device), 0);
    return { start: (place * size) / parts, size: size / parts };
  });
  return { start: cut.map(({ start }) => start), shape: cut.map(({ size }) => size) };
}

/** The pieces of a tensor, each once, with the devices that hold it. */
export function distinctPieces(
  shape: readonly number[],
  sharding: Sharding,
  mesh: Mesh,
): { readonly piece: Piece; readonly devices: readonly number[] }[] {
  const found = new Map<string, { readonly piece: Piece; readonly devices: number[] }>();
  for (let device = 0; device < meshSize(mesh); device++) {
    const piece = pieceOf(shape, sharding, mesh, device);
    const key = piece.start.join();
    const known = found.get(key);
    if (known) known.devices.push(device);
    else found.set(key, { piece, devices: [device] });
  }
  return [...found.values()];
}

/** All of a tensor. */
export const wholePiece = (shape: readonly number[]): Piece => ({ start: shape.map(() => 0), shape });

/** Whether a box lies within a tensor. */
export const isWithin = ({ start, shape }: Piece, whole: readonly number[]): boolean =>
  shape.length === whole.length &&
  shape.every((size, axis) => {
    const from = start[axis] ?? -1;
    return Number.isSafeInteger(from) && from >= 0 && from + size <= (whole[axis] ?? 0);
  });

/** What two boxes of a tensor have in common; undefined where that is nothing. */
export function commonPiece(one: Piece, other: Piece): Piece | undefined {
  const start = one.start.map((from, axis) => Math.max(from, other.start[axis] ?? 0));
  const end = one.start.map((from, axis) =>
    Math.min(from + (one.shape[axis] ?? 0), (other.start[axis] ?? 0) + (other.shape[axis] ?? 0)),
  );
  const shape = end.map((to, axis) => to - (start[axis] ?? 0));
  return shape.every((size) => size > 0) ? { start, shape } : undefined;
}

/** Copies a box out of a tensor; the tensor itself if that is all of it. */
export function cut(tensor: HostTensor, { start, shape }: Piece): HostTensor {
  if (elements(shape) === elements(tensor.shape)) return tensor;
  const data = hostArray(tensor.dtype, elements(shape));
  for (const { whole, part, length } of boxRuns(tensor.shape, { start, shape }))
    data.set(tensor.data.subarray(whole, whole + length), part);
  return { dtype: tensor.dtype, shape, data };
}

/** Copies a box into a tensor. @throws one line if it does not fit in */
export function paste(into: HostTensor, piece: HostTensor, start: readonly number[]): void {
  const { shape, data, dtype } = piece;
  if (dtype !== into.dtype || data.length !== elements(shape) || !isWithin({ start, shape }, into.shape))
    throw new Error(`mesh: a piece ${dtype}[${shape}] at [${start}] is not within ${into.dtype}[${into.shape}]`);
  for (const { whole, part, length } of boxRuns(into.shape, { start, shape }))
    into.data.set(data.subarray(part, part + length), whole);
}

/** Stretches of elements that stand together both in a tensor and in a box of it. */
export function* boxRuns(
  whole: readonly number[],
  { start, shape }: Piece,
): Generator<{ readonly whole: number; readonly part: number; readonly length: number }> {
  if (shape.includes(0)) return;
  const steps = strides(whole);
  // The last axis that the box does not fill; those behind it are one stretch with it.
  let split = shape.length - 1;
  while (split > 0 && shape[split] === whole[split]) split--;
  const length = elements(shape.slice(Math.max(split, 0)));
  const outer = shape.slice(0, Math.max(split, 0));
  const base = start.reduce((sum, from, axis) => sum + from * (steps[axis] ?? 0), 0);
  const index = new Array<number>(outer.length).fill(0);
  for (let done = 0; done < elements(outer); done++) {
    yield {
      whole: base + index.reduce((sum, i, axis) => sum + i * (steps[axis] ?? 0), 0),
      part: done * length,
      length,
    };
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (outer[axis] ?? 0)) break;
      index[axis] = 0;
    }
  }
}
