/** Graphs as StableHLO modules. */
import { expand, type Graph, made, type Node, type Sharding, show, type Tensor } from "../../../graph/index.ts";
import type { Precision } from "../../engine.ts";
import type { UncheckedIndex } from "../index-ranges.ts";
import type { Context } from "./context.ts";
import { decomposedForCpu } from "./cpu-decompositions.ts";
import { OPERATIONS, WHOLE } from "./operations.ts";
import { list, typeText, type Value, Writer } from "./writer.ts";

export interface LowerOptions {
  /** @default "float32" */
  readonly precision?: Precision;
  /** XLA's name of the platform. @default "cpu" */
  readonly platform?: string;
  /** Entries that a run replaces: an input and an output of that name may share their memory. @default [] */
  readonly updated?: readonly string[];
  /** Index tensors whose lowest and highest element become further outputs, i32 [2]. @default [] */
  readonly unchecked?: readonly UncheckedIndex[];
  /** Further attributes of arguments and results by name, `sdy.sharding = ...`. @default none */
  readonly attributes?: {
    readonly input?: (name: string) => string | undefined;
    readonly output?: (name: string) => string | undefined;
  };
  /** Says where a `placed` tensor is, of some rank: `<@mesh, [{"data"}, {}]>`. */
  readonly placement?: (sharding: Sharding, rank: number) => string;
  /** Lines of the module before its function: `sdy.mesh @mesh = ...`. @default none */
  readonly declarations?: readonly string[];
}

export interface Lowered {
  readonly module: string;
  /** Names of the inputs that the program takes, in order: those that something depends on. */
  readonly inputs: readonly string[];
  /** Names of the outputs in order; behind them come the ranges of unchecked indices. */
  readonly outputs: readonly string[];
}

/**
 * The graph in operations that have a lowering, and its inputs that are read. XLA fuses what composites decompose into.
 * @param isSpread whether it is for several devices, so that it counts where a tensor is placed
 */
export function decomposed(graph: Graph, isSpread = false, platform = "cpu"): Graph {
  const isWhole = ({ op }: Tensor): boolean => Object.hasOwn(WHOLE, op) || (isSpread && op === "placed");
  const plain = expand(graph, isWhole, platform === "cpu" ? decomposedForCpu : undefined);
  const read = new Set(plain.nodes);
  return { ...plain, inputs: plain.inputs.filter((x) => read.has(x)) };
}

/** @param graph as `decomposed` gives it */
export function lower(graph: Graph, options: LowerOptions = {}): Lowered {
  const { precision = "float32", platform = "cpu", updated = [], unchecked = [], attributes = {} } = options;
  const write = new Writer();
  const context: Context = { write, precision, platform };
  const values = new Map<Tensor, Value>();
  const valueOfTensor = (tensor: Tensor): Value => {
    const value = values.get(tensor);
    if (!value) throw new Error(`stablehlo: ${tensor.op} ${show(tensor)} is used before it is computed`);
    return value;
  };
  for (const [i, { shape, dtype }] of graph.inputs.entries())
    values.set(graph.inputs[i] as Tensor, { name: `%arg${i}`, shape, element: dtype });
  for (const tensor of graph.nodes) {
    if (values.has(tensor)) continue;
    const operands = tensor.inputs.map(valueOfTensor);
    const [x] = operands;
    if (made(tensor, "placed") && x && options.placement) {
      const placement = options.placement(tensor.attrs.sharding, x.shape.length);
      values.set(tensor, write.value(x, `sdy.sharding_constraint ${x.name} ${placement} : ${typeText(x)}`));
    } else values.set(tensor, lowered(context, tensor, operands));
  }

  const names = graph.outputs.map(({ name }) => name);
  const results = [
    ...graph.outputs.map(({ tensor }) => valueOfTensor(tensor)),
    ...unchecked.map(({ indices }) => bounds(write, valueOfTensor(indices))),
  ];
  const parameters = graph.inputs.map((x, i) => {
    const { name } = x.attrs;
    const alias = updated.includes(name) ? names.indexOf(name) : -1;
    const own = [alias < 0 ? undefined : `tf.aliasing_output = ${alias} : i32`, attributes.input?.(name)];
    return `%arg${i}: ${annotated(typeText(valueOfTensor(x)), own)}`;
  });
  const returned = results.map((value, i) => annotated(typeText(value), [attributes.output?.(names[i] ?? "")]));
  const module = [
    "module @program {",
    ...(options.declarations ?? []).map((line) => `  ${line}`),
    `  func.func public @main(${list(parameters)}) -> (${list(returned)}) {`,
    ...write.lines.map((line) => `    ${line}`),
    `    return ${list(results.map(({ name }) => name))} : ${list(results.map(typeText))}`,
    "  }",
    "}",
  ].join("\n");
  return { module, inputs: graph.inputs.map((x) => x.attrs.name), outputs: names };
}

const annotated = (type: string, attributes: readonly (string | undefined)[]): string => {
  const given = attributes.filter((attribute) => attribute !== undefined);
  return given.length > 0 ? `${type} {${list(given)}}` : type;
};

const LOWERINGS: Readonly<Record<string, unknown>> = { ...OPERATIONS, ...WHOLE };

function lowered(context: Context, tensor: Tensor, operands: readonly Value[]): Value {
  const lowering = LOWERINGS[tensor.op] as ((context: Context, node: Node, ...operands: Value[]) => Value) | undefined;
  if (!lowering) throw new Error(`stablehlo: ${tensor.op} has no lowering`);
  return lowering(context, tensor, ...operands);
}

/** The lowest and the highest of some indices. */
function bounds(write: Writer, indices: Value): Value {
  const axes = indices.shape.map((_, axis) => axis);
  const [low, high] = (["minimum", "maximum"] as const).map((op) =>
    write.reshape(write.reduce(op, indices, axes), [1]),
  );
  if (!low || !high) throw new Error("stablehlo: no bounds");
  return write.concat([low, high], 0);
}
