import { input, reshape, transpose } from "./build.ts";
import { decompose, isComposite } from "./composites.ts";
import type { HostArray } from "./dtype.ts";
import type { Graph } from "./graph.ts";
import { node } from "./node.ts";
import { inOrder } from "./order.ts";
import { type CompositeName, made, type Node, type Tensor, type TensorType } from "./tensor.ts";
import { verify } from "./verify.ts";

/**
 * Runs a function on symbolic inputs and keeps the graph of what it computed.
 * Equal subexpressions become one. Throws where an op's operands do not fit.
 */
export function trace<S extends Readonly<Record<string, TensorType>>>(
  signature: S,
  fn: (inputs: { readonly [name in keyof S]: Tensor }) => Readonly<Record<string, Tensor>>,
): Graph {
  const inputs = Object.entries(signature).map(([name, { dtype, shape }]) => input(name, dtype, shape));
  const results = fn(
    Object.fromEntries(Object.keys(signature).map((name, i) => [name, inputs[i]])) as {
      readonly [name in keyof S]: Tensor;
    },
  );
  return finish(inputs, results);
}

/** The graph of some results, equal subexpressions merged, verified. */
function finish(inputs: readonly Tensor[], results: Readonly<Record<string, Tensor>>): Graph {
  const shared = share(inputs, Object.values(results));
  const outputs = Object.entries(results).map(([name, result]) => ({ name, tensor: shared.get(result) ?? result }));
  const graph = {
    inputs: inputs.filter((x) => made(x, "input")),
    outputs,
    nodes: inOrder(outputs.map(({ tensor }) => tensor)),
  };
  verify(graph);
  return graph;
}

/**
 * The same graph with composites replaced by their decompositions, all the way down, except those that an engine runs whole.
 * `further` says whether a composite's further outputs are read; `own` gives an engine's own decomposition where it has one.
 */
export function expand(
  graph: Graph,
  whole: (composite: Node<CompositeName>, further: boolean) => boolean,
  own: (composite: Node<CompositeName>) => readonly Tensor[] | undefined = () => undefined,
): Graph {
  const read = new Set<Tensor>(graph.nodes.flatMap((x) => (made(x, "output") ? x.inputs : [])));
  const outputsOf = new Map<Tensor, readonly Tensor[]>();
  const replaced = (x: Tensor): Tensor => outputsOf.get(x)?.[0] ?? x;
  const replace = (tensor: Tensor): void => {
    if (outputsOf.has(tensor)) return;
    const operands = tensor.inputs.map(replaced);
    if (made(tensor, "output")) {
      const [source] = tensor.inputs;
      const part = source && outputsOf.get(source)?.[tensor.attrs.index];
      if (part) outputsOf.set(tensor, [part]);
    }
    if (outputsOf.has(tensor)) return;
    const here = operands.some((x, i) => x !== tensor.inputs[i]) ? node(tensor.op, tensor.attrs, operands) : tensor;
    if (!isComposite(here.op) || whole(here as Node<CompositeName>, read.has(tensor))) {
      outputsOf.set(tensor, [here]);
      return;
    }
    const parts = own(here as Node<CompositeName>) ?? decompose(here as Node<CompositeName>);
    // The operands are done already; what the decomposition made may hold composites again.
    for (const x of operands) if (!outputsOf.has(x)) outputsOf.set(x, [x]);
    for (const part of inOrder(parts, operands)) replace(part);
    outputsOf.set(tensor, parts.map(replaced));
  };
  for (const tensor of graph.nodes) replace(tensor);
  return finish(graph.inputs, Object.fromEntries(graph.outputs.map(({ name, tensor }) => [name, replaced(tensor)])));
}

/** Common subexpressions once: a map from each tensor to the one that stands for it. */
function share(inputs: readonly Tensor[], roots: readonly Tensor[]): Map<Tensor, Tensor> {
  const standing = new Map<Tensor, Tensor>(inputs.map((x) => [x, x]));
  const known = new Map<string, Tensor>();
  for (const tensor of inOrder(roots)) {
    if (standing.has(tensor)) continue;
    const operands = tensor.inputs.map((x) => standing.get(x) ?? x);
    const key = keyOf(tensor, operands);
    const moved = operands.some((x, i) => x !== tensor.inputs[i]);
    const here = known.get(key) ?? collapse(moved ? node(tensor.op, tensor.attrs, operands) : tensor);
    // What collapsed may be there already under its own key.
    const own = keyOf(here, here.inputs);
    const standsFor = known.get(own) ?? here;
    known.set(own, standsFor);
    known.set(key, standsFor);
    standing.set(tensor, standsFor);
  }
  return standing;
}

/** Reshapes of reshapes and transposes of transposes as one. */
function collapse(tensor: Tensor): Tensor {
  const [operand] = tensor.inputs;
  const [source] = operand?.inputs ?? [];
  if (!operand || !source) return tensor;
  if (made(tensor, "reshape") && made(operand, "reshape")) return reshape(source, tensor.attrs.shape);
  if (made(tensor, "transpose") && made(operand, "transpose")) {
    const { permutation } = operand.attrs;
    return transpose(
      source,
      tensor.attrs.permutation.map((axis) => permutation[axis] ?? axis),
    );
  }
  return tensor;
}

const arrayIds = new WeakMap<HostArray, number>();
let arrays = 0;

/** Equal for tensors that are the same op of the same operands. */
function keyOf({ op, attrs }: Tensor, operands: readonly Tensor[]): string {
  const written = JSON.stringify(attrs, (_, value: unknown) => {
    // JSON has no NaN, no infinities and no -0.
    if (typeof value === "number") return Object.is(value, -0) ? "-0" : `${value}`;
    if (!ArrayBuffer.isView(value)) return value;
    const array = value as HostArray;
    const id = arrayIds.get(array) ?? arrays++;
    arrayIds.set(array, id);
    return `array ${id}`;
  });
  return `${op} ${operands.map(({ id }) => id)} ${written}`;
}
