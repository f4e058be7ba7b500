import { input, reshape, transpose } from "./build.ts";
import type { HostArray } from "./dtype.ts";
import { inOrder } from "./order.ts";
import { made, type Node, node, type Tensor, type TensorType } from "./tensor.ts";
import { verify } from "./verify.ts";

/** A function, traced: what goes in by name, what comes out by name, and every value between in order. */
export interface Graph {
  /** In the order of the signature, used or not. */
  readonly inputs: readonly (Tensor & Node<"input">)[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  /** All values that the outputs need, operands before users. */
  readonly nodes: readonly Tensor[];
}

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
  const shared = share(inputs, Object.values(results));
  const outputs = Object.keys(results).map((name) => {
    const tensor = shared.get(results[name] as Tensor);
    if (!tensor) throw new Error(`trace: output ${name} was lost`);
    return { name, tensor };
  });
  const graph = {
    inputs: inputs.filter((x) => made(x, "input")),
    outputs,
    nodes: inOrder(outputs.map(({ tensor }) => tensor)),
  };
  verify(graph);
  return graph;
}

/** Common subexpressions once: a map from each tensor to the one that stands for it. */
function share(inputs: readonly Tensor[], roots: readonly Tensor[]): Map<Tensor, Tensor> {
  const standing = new Map<Tensor, Tensor>(inputs.map((x) => [x, x]));
  const known = new Map<string, Tensor>();
  for (const tensor of inOrder(roots)) {
    if (standing.has(tensor)) continue;
    const operands = tensor.inputs.map((x) => standing.get(x) ?? x);
    const key = `${tensor.op} ${operands.map(({ id }) => id)} ${attrsKey(tensor)}`;
    const moved = operands.some((x, i) => x !== tensor.inputs[i]);
    const here = known.get(key) ?? collapse(moved ? node(tensor.op, tensor.attrs, operands) : tensor);
    known.set(key, here);
    standing.set(tensor, here);
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

function attrsKey(tensor: Tensor): string {
  return JSON.stringify(tensor.attrs, (_, value: unknown) => {
    if (!ArrayBuffer.isView(value)) return value;
    const array = value as HostArray;
    const id = arrayIds.get(array) ?? arrays++;
    arrayIds.set(array, id);
    return `array ${id}`;
  });
}
