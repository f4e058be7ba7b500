/** A file's tensors as the models want them: under official names, whole, in f32, each read when it is asked for. */
import { elements, type HostTensor, hostTensor } from "../graph/index.ts";
import { type Assembly, namingOf, prefixOf, toOfficial } from "./naming.ts";
import { NAMINGS, type NamingKind, type StoredPart } from "./namings.ts";
import { quote } from "./quote.ts";
import { STORED_BYTES } from "./stored-dtypes.ts";
import { named, type TensorFile, type TensorInfo } from "./tensor-file.ts";

export interface OfficialTensors {
  readonly naming: NamingKind;
  /** What stands before every name in the file. */
  readonly prefix: string;
  /** By official name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Tensors outside the prefix: of a larger model that the CLIP is a part of. */
  readonly outside: readonly string[];
  /** The name or names in the file, as messages want them. */
  nameInFile(official: string): string;
  /**
   * One tensor in f32, which must be finite.
   * @throws one line that names the file and the tensor
   */
  read(official: string): Promise<HostTensor>;
}

const FLOATS: readonly string[] = ["F64", "F32", "F16", "BF16"];

/** Views of one storage can name more than the file has; tied weights are rare and few. */
const MOST_BYTES = { times: 2, more: 2 ** 26 } as const;

/** @throws one line, without the file's name, that names the tensor which is unknown, incomplete, no float or misshapen */
export function officialTensors(file: TensorFile): OfficialTensors {
  const prefix = prefixOf(file.tensors.keys());
  const inside = new Map<string, TensorInfo>();
  const outside: string[] = [];
  for (const [name, info] of file.tensors)
    if (name.startsWith(prefix)) inside.set(name.slice(prefix.length), info);
    else outside.push(name);
  const naming = namingOf(inside.keys());
  const { tensors, unknown } = toOfficial(naming, inside.keys());
  if (unknown.length > 0)
    throw new Error(
      `unexpected tensor ${quote(prefix + unknown[0])}${more(unknown)}: it is not one of ${NAMINGS[naming].title}`,
    );
  const shapes = new Map(
    [...tensors].map(([name, assembly]) => [name, assembledShape(name, assembly, inside, prefix)]),
  );
  refuseMany(file, [...tensors.values()], inside);
  return {
    naming,
    prefix,
    shapes,
    outside,
    nameInFile: (official) => {
      const parts = tensors.get(official)?.parts.map(({ name }) => prefix + name) ?? [official];
      return parts.join(", ");
    },
    read: (official) =>
      named(file.name, async () => {
        const assembly = tensors.get(official);
        const shape = shapes.get(official);
        if (!assembly || !shape) throw new Error(`no tensor ${quote(official)}`);
        const pieces: Float32Array[] = [];
        for (const part of assembly.parts) pieces.push(await readPart(file, prefix, part));
        const joined = assembly.transposed ? transposedOf(pieces[0], shape) : joinedOf(pieces, shape);
        return hostTensor("f32", shape, joined);
      }),
  };
}

/** What the parts' shapes make; @throws one line that names the part which is missing or does not fit */
function assembledShape(
  official: string,
  { parts, transposed, leadingOnes = 0 }: Assembly,
  stored: ReadonlyMap<string, TensorInfo>,
  prefix: string,
): readonly number[] {
  let [rows, firstShape]: [number, readonly number[] | undefined] = [0, undefined];
  for (const { name, slice } of parts) {
    const info = stored.get(name);
    if (!info) throw new Error(`tensor ${prefix + name} is missing (a part of ${official})`);
    const { dtype, shape } = info;
    if (!FLOATS.includes(dtype))
      throw new Error(`tensor ${prefix + name}: expected floating-point numbers, got ${dtype}`);
    firstShape ??= shape;
    if (shape.join() !== firstShape.join())
      throw new Error(`tensor ${prefix + name}: expected [${firstShape}] as ${parts[0]?.name} has, got [${shape}]`);
    const [first = 0] = shape;
    if (slice && first % slice.of !== 0)
      throw new Error(`tensor ${prefix + name}: expected a multiple of ${slice.of} rows, got [${shape}]`);
    rows += slice ? (first / slice.of) * (slice.to - slice.from) : first;
  }
  const shape = firstShape === undefined || firstShape.length === 0 ? [] : [rows, ...firstShape.slice(1)];
  if (transposed) {
    if (shape.length !== 2) throw new Error(`tensor ${prefix}${parts[0]?.name}: expected a matrix, got [${shape}]`);
    return [shape[1] ?? 0, shape[0] ?? 0];
  }
  // open_clip and Hugging Face store scalars as vectors of one, too.
  if (/^logit_(scale|bias)$/.test(official) && shape.join() === "1") return [];
  return shape.slice(0, leadingOnes).every((n) => n === 1) ? shape.slice(leadingOnes) : shape;
}

/** Memory is bounded by what the file really has. */
function refuseMany(file: TensorFile, assemblies: readonly Assembly[], stored: ReadonlyMap<string, TensorInfo>): void {
  let bytes = 0;
  for (const name of new Set(assemblies.flatMap(({ parts }) => parts.map(({ name }) => name)))) {
    const info = stored.get(name);
    if (info) bytes += elements(info.shape) * STORED_BYTES[info.dtype];
  }
  const most = MOST_BYTES.times * file.size + MOST_BYTES.more;
  if (bytes > most)
    throw new Error(`its tensors take ${bytes} bytes, the file has ${file.size}: views that share storage`);
}

async function readPart(file: TensorFile, prefix: string, { name, slice }: StoredPart): Promise<Float32Array> {
  const { shape, data } = await file.read(prefix + name, "f32");
  if (!(data instanceof Float32Array)) throw new Error(`tensor ${quote(name)}: expected floats`);
  const broken = firstNotFinite(data);
  if (broken >= 0) throw new Error(`tensor ${prefix + name}: element ${broken} is ${data[broken]}`);
  if (!slice) return data;
  const share = ((shape[0] ?? 0) / slice.of) * elements(shape.slice(1));
  return data.subarray(slice.from * share, slice.to * share);
}

/** -1 if all are. */
function firstNotFinite(data: Float32Array): number {
  // x - x is 0 for every number but NaN and the infinities; one test at the end is ten times quicker than one each.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] ?? 0) - (data[i] ?? 0);
  return sum === 0 ? -1 : data.findIndex((x) => !Number.isFinite(x));
}

function joinedOf(pieces: readonly Float32Array[], shape: readonly number[]): Float32Array {
  const [only] = pieces;
  if (only && pieces.length === 1) return only;
  const whole = new Float32Array(elements(shape));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A stored [columns, rows] as the official [rows, columns]. */
function transposedOf(
  stored: Float32Array = new Float32Array(),
  [rows = 0, columns = 0]: readonly number[],
): Float32Array {
  const whole = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) whole[row * columns + column] = stored[column * rows + row] ?? 0;
  return whole;
}

const more = ({ length }: readonly string[]): string => (length > 1 ? ` (and ${length - 1} more)` : "");
