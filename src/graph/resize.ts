/**
 * Graphs whose sizes vary from run to run. A graph has static shapes; traced twice, with other sizes of a batch, say, its twin tells
 * which of its numbers are multiples of those sizes. Nothing else has to know: the rules, the models and the lowerings stay static.
 */
import type { Graph } from "./graph.ts";
import { node } from "./node.ts";
import { inOrder } from "./order.ts";
import { made, type OpAttrs, type OpName, type Tensor } from "./tensor.ts";
import { verify } from "./verify.ts";

/** A size that each run may choose. */
export interface FreeSize {
  readonly name: string;
  /** What it is in the graph, and in its twin: two primes that no other size of the model is a product of by chance. */
  readonly here: number;
  readonly twin: number;
}

/** A graph that computes the same at any value of its free sizes. */
export interface ResizableGraph extends Graph {
  readonly sizes: readonly FreeSize[];
  readonly twin: Graph;
}

export const isResizable = (graph: Graph): graph is ResizableGraph => "twin" in graph;

/** A number of a program: a factor times some of the free sizes, by their positions. */
export interface Multiple {
  readonly factor: number;
  readonly of: readonly number[];
}

/**
 * Traces a function at two settings of its free sizes.
 * @param sizes by name the two values to trace with, at least 2 and different for all
 * @throws where the traces differ in anything but multiples of the sizes
 */
export function traceResizable<Name extends string>(
  sizes: Readonly<Record<Name, readonly [here: number, twin: number]>>,
  traced: (sizes: Readonly<Record<Name, number>>) => Graph,
): ResizableGraph {
  const names = Object.keys(sizes) as Name[];
  const at = (side: 0 | 1): Graph =>
    traced(Object.fromEntries(names.map((name) => [name, sizes[name][side]])) as Record<Name, number>);
  const free = names.map((name) => ({ name, here: sizes[name][0], twin: sizes[name][1] }));
  const graph = { ...at(0), sizes: free, twin: at(1) };
  resize(
    graph,
    free.map(({ twin }) => twin),
  );
  return graph;
}

/** What a pair of numbers, one of the graph and one of its twin, is at any sizes; undefined where it is no multiple of some. */
export function multiple(here: number, twin: number, sizes: readonly FreeSize[]): Multiple | undefined {
  if (here === twin) return { factor: here, of: [] };
  for (let chosen = 1; chosen < 2 ** sizes.length; chosen++) {
    const of = sizes.flatMap((_, i) => ((chosen >> i) & 1 ? [i] : []));
    const product = (side: "here" | "twin"): number => of.reduce((n, i) => n * (sizes[i]?.[side] ?? 1), 1);
    const factor = here / product("here");
    if (Number.isInteger(factor) && factor * product("twin") === twin) return { factor, of };
  }
  return undefined;
}

export const numberAt = ({ factor, of }: Multiple, values: readonly number[]): number =>
  of.reduce((product, i) => product * (values[i] ?? 1), factor);

/** The values that a run's inputs give the free sizes. @throws one line where they contradict each other */
export function sizesOf(
  { inputs, twin, sizes }: ResizableGraph,
  shapeOf: (name: string) => readonly number[] | undefined,
): number[] {
  const values = new Array<number | undefined>(sizes.length);
  for (const [i, x] of inputs.entries()) {
    const shape = shapeOf(x.attrs.name);
    for (const [axis, size] of x.shape.entries()) {
      const index = sizes.findIndex(({ here, twin: there }) => size === here && twin.inputs[i]?.shape[axis] === there);
      const given = shape?.[axis];
      if (index < 0 || given === undefined) continue;
      if ((values[index] ?? given) !== given)
        throw new Error(`run: ${sizes[index]?.name} is ${values[index]} elsewhere, input ${x.attrs.name} has ${given}`);
      values[index] = given;
    }
  }
  return sizes.map(({ name }, i) => {
    const value = values[i];
    if (value === undefined || value < 1) throw new Error(`run: no input says what ${name} is`);
    return value;
  });
}

/** The graph at some values of its free sizes, with static shapes. */
export function resize({ inputs, outputs, nodes, twin, sizes }: ResizableGraph, values: readonly number[]): Graph {
  const moved = new Map<Tensor, Tensor>();
  const at = (tensor: Tensor): Tensor => moved.get(tensor) ?? tensor;
  if (nodes.length !== twin.nodes.length)
    throw new Error(`resize: ${nodes.length} nodes at the first sizes, ${twin.nodes.length} at the second`);
  const pairs = [
    ...inputs.map((x, i) => [x, twin.inputs[i]] as const),
    ...nodes.map((x, i) => [x, twin.nodes[i]] as const),
  ];
  for (const [here, there] of pairs) {
    if (moved.has(here)) continue;
    if (!there || here.op !== there.op || here.inputs.length !== there.inputs.length)
      throw new Error(`resize: ${here.op} at the first sizes is ${there?.op ?? "missing"} at the second`);
    moved.set(here, resized(here, there, here.inputs.map(at), sizes, values));
  }
  const results = outputs.map(({ name, tensor }) => ({ name, tensor: at(tensor) }));
  const graph = {
    inputs: inputs.map(at).filter((x) => made(x, "input")),
    outputs: results,
    nodes: inOrder(results.map(({ tensor }) => tensor)),
  };
  verify(graph);
  return graph;
}

function resized<K extends OpName>(
  here: Tensor & { readonly op: K; readonly attrs: OpAttrs[K] },
  there: Tensor,
  operands: readonly Tensor[],
  sizes: readonly FreeSize[],
  values: readonly number[],
): Tensor {
  const number = (a: number, b: unknown): number => {
    const found = typeof b === "number" ? multiple(a, b, sizes) : undefined;
    if (!found)
      throw new Error(`resize: ${here.op}: ${a} at the first sizes and ${b} at the second are no multiples of them`);
    return numberAt(found, values);
  };
  const same = <T>(a: T, b: unknown): T => {
    if (typeof a === "number") return number(a, b) as T;
    if (Array.isArray(a)) return a.map((part, i) => same(part, Array.isArray(b) ? b[i] : undefined)) as T;
    if (typeof a !== "object" || a === null) return a;
    if (ArrayBuffer.isView(a)) {
      if (!ArrayBuffer.isView(b) || a.byteLength !== b.byteLength)
        throw new Error(`resize: ${here.op}: its elements depend on the sizes`);
      return a;
    }
    const other = new Map(Object.entries(b ?? {}));
    return Object.fromEntries(Object.entries(a).map(([key, part]) => [key, same(part, other.get(key))])) as T;
  };
  return node(here.op, same(here.attrs, there.attrs), operands);
}
