/**
 * Indices outside a table: XLA moves them to its edge and says nothing. So those that come from the host are checked there, those that
 * cannot be outside (an argmax, a position) are known not to be, and the program itself looks at the rest.
 */
import { type Graph, inOrder, made, type Tensor } from "../../graph/index.ts";
import type { HostTensors } from "../engine.ts";

/** Whole numbers from `low` to `high`. */
interface Range {
  readonly low: number;
  readonly high: number;
}

/** What addresses rows of its first operand, which the last two have along the second axis, by its second one. */
const LOOKUPS = ["gather", "scatterAdd", "gatherEach", "scatterAddEach"] as const;

/** An index tensor that a program has to look at. */
export interface UncheckedIndex {
  readonly op: (typeof LOOKUPS)[number];
  readonly indices: Tensor;
  readonly rows: number;
}

export interface IndexChecks {
  /** Number of rows that elements of an input address, by its name: from 0 to below this. */
  readonly inputs: ReadonlyMap<string, number>;
  readonly unchecked: readonly UncheckedIndex[];
}

/** Where the elements of a tensor come from, if they are elements of an input. */
function sourceOf(tensor: Tensor): Tensor | undefined {
  for (let x: Tensor | undefined = tensor; x; x = x.inputs[0]) {
    if (made(x, "input")) return x;
    const moved =
      made(x, "reshape") || made(x, "transpose") || made(x, "slice") || made(x, "broadcast") || made(x, "reverse");
    if (!moved && !made(x, "gather") && !made(x, "gatherEach")) return undefined;
  }
  return undefined;
}

/** @param onHost whether the values of an input are known before a run */
export function indexChecks(graph: Graph, onHost: (input: string) => boolean): IndexChecks {
  const lookups = graph.nodes.flatMap((x) => {
    const op = LOOKUPS.find((name) => name === x.op);
    const [table, indices] = x.inputs;
    if (!op || !table || !indices) return [];
    return [{ op, indices, rows: table.shape[op.endsWith("Each") ? 1 : 0] ?? 0 }];
  });
  const inputs = new Map<string, number>();
  const rest = lookups.filter(({ indices, rows }) => {
    const source = sourceOf(indices);
    if (!source || !made(source, "input") || !onHost(source.attrs.name)) return true;
    inputs.set(source.attrs.name, Math.min(rows, inputs.get(source.attrs.name) ?? rows));
    return false;
  });
  const ranges = rangesOf(
    rest.map(({ indices }) => indices),
    inputs,
  );
  const unchecked = rest.filter(({ indices, rows }) => {
    const range = ranges.get(indices);
    return !range || range.low < 0 || range.high >= rows;
  });
  return { inputs, unchecked };
}

/** Refuses indices outside their tables, of those values that are there. */
export function checkIndices({ inputs }: IndexChecks, values: HostTensors): void {
  for (const [name, rows] of inputs)
    for (const index of values[name]?.data ?? [])
      if (index < 0 || index >= rows) throw new Error(`run: input ${name}: index ${index} of a table of ${rows} rows`);
}

/** Refuses what a program found of indices that it had to look at. */
export function refuseIndex(index: UncheckedIndex | undefined, lowest: number, highest: number): void {
  if (!index || (lowest >= 0 && highest < index.rows)) return;
  const wrong = lowest < 0 ? lowest : highest;
  throw new Error(`run: ${index.op}: index ${wrong} of a table of ${index.rows} rows`);
}

function rangesOf(tensors: readonly Tensor[], inputs: ReadonlyMap<string, number>): Map<Tensor, Range> {
  const ranges = new Map<Tensor, Range>();
  for (const x of inOrder(tensors)) {
    const range = rangeOf(x, ranges, inputs);
    if (range && Math.abs(range.low) < 2 ** 31 && Math.abs(range.high) < 2 ** 31) ranges.set(x, range);
  }
  return ranges;
}

function rangeOf(x: Tensor, known: ReadonlyMap<Tensor, Range>, inputs: ReadonlyMap<string, number>): Range | undefined {
  if (x.dtype !== "i32") return undefined;
  const [first, second] = x.inputs;
  const [a, b] = [first && known.get(first), second && known.get(second)];
  if (made(x, "input")) {
    const rows = inputs.get(x.attrs.name);
    return rows === undefined ? undefined : { low: 0, high: rows - 1 };
  }
  if (made(x, "constant")) {
    const { value } = x.attrs;
    if (typeof value === "number") return { low: value, high: value };
    const at = (choose: (a: number, b: number) => number): number => Array.from(value).reduce(choose, Number(value[0]));
    return { low: at(Math.min), high: at(Math.max) };
  }
  if (made(x, "iota")) return { low: 0, high: (x.shape[x.attrs.axis] ?? 1) - 1 };
  if (made(x, "argmax")) return { low: 0, high: (first?.shape[x.attrs.axis] ?? 1) - 1 };
  const moves = made(x, "reshape") || made(x, "transpose") || made(x, "slice") || made(x, "broadcast");
  if (moves || made(x, "gather") || made(x, "gatherEach")) return a;
  if (!a || !b) return undefined;
  if (made(x, "add")) return { low: a.low + b.low, high: a.high + b.high };
  if (made(x, "sub")) return remainder(x, a) ?? { low: a.low - b.high, high: a.high - b.low };
  if (made(x, "mul")) {
    const products = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
    return { low: Math.min(...products), high: Math.max(...products) };
  }
  if (made(x, "div") && a.low >= 0 && b.low > 0)
    return { low: Math.trunc(a.low / b.high), high: Math.trunc(a.high / b.low) };
  return undefined;
}

/** Of `x - x / n * n`, for x from 0. */
function remainder(difference: Tensor, { low, high }: Range): Range | undefined {
  const [x, product] = difference.inputs;
  if (!x || !product || !made(product, "mul") || low < 0) return undefined;
  for (const [quotient, factor] of [product.inputs, [...product.inputs].reverse()]) {
    if (!quotient || !factor || !made(quotient, "div") || quotient.inputs[0] !== x) continue;
    const [n, m] = [quotient.inputs[1], factor].map((y) => y && filled(y));
    if (n !== undefined && n === m && n > 0) return { low: 0, high: Math.min(high, n - 1) };
  }
  return undefined;
}

function filled(x: Tensor): number | undefined {
  if (made(x, "constant") && typeof x.attrs.value === "number") return x.attrs.value;
  return made(x, "broadcast") && x.inputs[0] ? filled(x.inputs[0]) : undefined;
}
