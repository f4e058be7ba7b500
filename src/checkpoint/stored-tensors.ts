/** The official tensors as another naming stores them: the tables of `namings.ts` in the other direction. */
import { elements, type HostTensor, toHalves } from "../graph/index.ts";
import { type Assembly, toStored } from "./naming.ts";
import { NAMINGS, type NamingKind } from "./namings.ts";
import type { StreamedTensor } from "./safetensors-stream.ts";

export interface OfficialSource {
  /** By official name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** One tensor in f32. */
  read(official: string): Promise<HostTensor>;
}

/** Rows of an official tensor that stand somewhere in a stored one. */
interface Piece {
  readonly official: string;
  /** Of the official tensor. */
  readonly rows: readonly [begin: number, end: number];
  /** First row in the stored tensor. */
  readonly at: number;
  readonly assembly: Assembly;
}

interface Plan {
  readonly shape: readonly number[];
  readonly pieces: Piece[];
}

/**
 * What to write. Tensors are read one at a time, when their bytes are asked for.
 * @throws one line that names the tensor for which the naming has no place
 */
export function storedTensors(kind: NamingKind, source: OfficialSource, dtype: "F32" | "F16"): StreamedTensor[] {
  const plans = new Map<string, Plan>();
  for (const [official, shape] of source.shapes) plan(kind, official, shape, plans);
  for (const [name, { shape, pieces }] of plans) {
    const rows = pieces.reduce((sum, { rows: [begin, end] }) => sum + end - begin, 0);
    if (!pieces[0]?.assembly.transposed && shape.length > 0 && rows !== rowsOf(shape, pieces[0]?.assembly))
      throw new Error(`${NAMINGS[kind].title} naming: tensor ${name} would be written in part only`);
  }
  // Neighbours in a file are often parts of one official tensor.
  let last: { readonly name: string; readonly tensor: Promise<HostTensor> } | undefined;
  const read = (name: string): Promise<HostTensor> => {
    if (last?.name !== name) last = { name, tensor: source.read(name) };
    return last.tensor;
  };
  return [...plans].map(([name, { shape, pieces }]) => ({
    name,
    dtype,
    shape,
    bytes: async () => {
      const values = await gathered(shape, pieces, read);
      try {
        return viewAsBytes(dtype === "F16" ? toHalves(values) : values);
      } catch (error) {
        throw new Error(`tensor ${name}: ${error instanceof Error ? error.message : error}`);
      }
    },
  }));
}

function plan(kind: NamingKind, official: string, shape: readonly number[], plans: Map<string, Plan>): void {
  const assembly = toStored(kind, official);
  if (!assembly) throw new Error(`${NAMINGS[kind].title} naming has no place for tensor ${official}`);
  const { parts, transposed, leadingOnes = 0 } = assembly;
  const [rows = 1, ...rest] = shape;
  // transformers' SiglipModel has vectors of one and refuses scalars.
  const scalar = kind === "huggingFaceSiglip" ? [1] : [];
  for (const [i, { name, slice }] of parts.entries()) {
    const begin = (rows / parts.length) * i;
    const end = (rows / parts.length) * (i + 1);
    const share = slice ? rows / (slice.to - slice.from) : 0;
    const stored = slice ? share * slice.of : end - begin;
    if (!Number.isInteger(stored) || !Number.isInteger(begin))
      throw new Error(`tensor ${official}: ${rows} rows do not part as ${NAMINGS[kind].title} naming stores them`);
    const ones = new Array<number>(leadingOnes).fill(1);
    const whole = shape.length === 0 ? scalar : transposed ? [...rest, stored] : [...ones, stored, ...rest];
    const known = plans.get(name) ?? { shape: whole, pieces: [] };
    known.pieces.push({ official, rows: [begin, end], at: slice ? slice.from * share : 0, assembly });
    plans.set(name, known);
  }
}

const rowsOf = (shape: readonly number[], assembly: Assembly | undefined): number =>
  shape[assembly?.leadingOnes ?? 0] ?? 1;

async function gathered(
  shape: readonly number[],
  pieces: readonly Piece[],
  read: (official: string) => Promise<HostTensor>,
): Promise<Float32Array> {
  const whole = new Float32Array(elements(shape));
  for (const { official, rows, at, assembly } of pieces) {
    const { data, shape: from } = await read(official);
    if (!(data instanceof Float32Array)) throw new Error(`tensor ${official}: expected 32-bit floats`);
    const [height = 1] = from;
    const width = from.length === 0 ? 1 : data.length / height;
    if (assembly.transposed) transposeInto(whole, data, height, width);
    else whole.set(data.subarray(rows[0] * width, rows[1] * width), at * width);
  }
  return whole;
}

/** In blocks that stay in the processor's cache. */
function transposeInto(target: Float32Array, source: Float32Array, rows: number, columns: number): void {
  const block = 32;
  for (let row0 = 0; row0 < rows; row0 += block)
    for (let column0 = 0; column0 < columns; column0 += block)
      for (let row = row0; row < Math.min(rows, row0 + block); row++)
        for (let column = column0; column < Math.min(columns, column0 + block); column++)
          target[column * rows + row] = source[row * columns + column] ?? 0;
}

function viewAsBytes(data: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
