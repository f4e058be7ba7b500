/** How each primitive is said in StableHLO: one entry an op, no entry no program. */
import type { CompositeName, Direction, Node, OpName, PrimitiveName, Tensor } from "../../../graph/index.ts";
import type { Context } from "./context.ts";
import { lowerConvolution, lowerConvolutionKernelGrad } from "./convolution.ts";
import { lowerDot } from "./dot.ts";
import { list, signature, typeText, type Value, type ValueType } from "./writer.ts";

type Lowering<K extends OpName> = (context: Context, node: Node<K>, ...operands: Value[]) => Value;

const typeOf = ({ shape, dtype }: Tensor): ValueType => ({ shape, element: dtype });

const same =
  (op: string) =>
  ({ write }: Context, _: Tensor, ...operands: Value[]): Value =>
    write.same(op, ...operands);

const reduction =
  (op: "add" | "maximum" | "minimum") =>
  ({ write }: Context, { attrs }: Node<"reduceSum" | "reduceMax" | "reduceMin">, x: Value): Value =>
    write.reduce(op, x, attrs.axes);

const COMPARED = { eq: "EQ", ne: "NE", lt: "LT", le: "LE", gt: "GT", ge: "GE" } as const satisfies Record<
  Direction,
  string
>;

/** Whole rows of a table, each by one index; with `each`, of tables along the first axis, by indices along theirs. */
function lowerGather({ write }: Context, node: Tensor, [table, indices]: readonly [Value, Value], each = false): Value {
  const { window, indexVector, axis } = rows(table, indices, each);
  const sizes = table.shape.map((size, i) => (i <= axis ? 1 : size));
  const batch = each ? "operand_batching_dims = [0], start_indices_batching_dims = [0], " : "";
  const numbers = `#stablehlo.gather<offset_dims = [${window}], collapsed_slice_dims = [${axis}], ${batch}start_index_map = [${axis}], ${indexVector}>`;
  const attributes = `<{dimension_numbers = ${numbers}, indices_are_sorted = false, slice_sizes = array<i64: ${list(sizes)}>}>`;
  const type = typeOf(node);
  return write.value(
    type,
    `"stablehlo.gather"(${table.name}, ${indices.name}) ${attributes} : ${signature([table, indices], type)}`,
  );
}

function lowerScatterAdd(
  { write }: Context,
  node: Tensor,
  operands: readonly [table: Value, indices: Value, updates: Value],
  each = false,
): Value {
  const [table, indices] = operands;
  const { window, indexVector, axis } = rows(table, indices, each);
  const batch = each ? "input_batching_dims = [0], scatter_indices_batching_dims = [0], " : "";
  const numbers = `#stablehlo.scatter<update_window_dims = [${window}], inserted_window_dims = [${axis}], ${batch}scatter_dims_to_operand_dims = [${axis}], ${indexVector}>`;
  const attributes = `<{indices_are_sorted = false, scatter_dimension_numbers = ${numbers}, unique_indices = false}>`;
  const scalar = typeText({ shape: [], element: table.element });
  const body = `^bb0(%held: ${scalar}, %added: ${scalar}): %sum = stablehlo.add %held, %added : ${scalar} stablehlo.return %sum : ${scalar}`;
  const names = list(operands.map(({ name }) => name));
  const type = typeOf(node);
  return write.value(type, `"stablehlo.scatter"(${names}) ${attributes} ({ ${body} }) : ${signature(operands, type)}`);
}

/** Where a row's own axes stand in a result, and the table's axis that is addressed. */
function rows(table: Value, { shape }: Value, each: boolean) {
  const axis = each ? 1 : 0;
  const own = table.shape.length - 1 - axis;
  return {
    axis,
    window: list(Array.from({ length: own }, (_, i) => shape.length + i)),
    indexVector: `index_vector_dim = ${shape.length}`,
  };
}

export const OPERATIONS: { readonly [K in Exclude<PrimitiveName, "input" | "output">]: Lowering<K> } = {
  constant: ({ write }, { attrs: { value, dtype, shape } }) =>
    typeof value === "number" ? write.filled(value, dtype, shape) : write.array(value, dtype, shape),
  iota: ({ write }, node) => write.iota(typeOf(node), node.attrs.axis),
  neg: same("stablehlo.negate"),
  exp: same("stablehlo.exponential"),
  log: same("stablehlo.log"),
  sqrt: same("stablehlo.sqrt"),
  rsqrt: same("stablehlo.rsqrt"),
  tanh: same("stablehlo.tanh"),
  sigmoid: same("stablehlo.logistic"),
  // Of CHLO, StableHLO's companion dialect.
  erf: ({ write }, _, x) => write.value(x, `chlo.erf ${x.name} : ${typeText(x)} -> ${typeText(x)}`),
  abs: same("stablehlo.abs"),
  sign: same("stablehlo.sign"),
  not: same("stablehlo.not"),
  add: same("stablehlo.add"),
  sub: same("stablehlo.subtract"),
  mul: same("stablehlo.multiply"),
  div: same("stablehlo.divide"),
  pow: same("stablehlo.power"),
  max: same("stablehlo.maximum"),
  min: same("stablehlo.minimum"),
  and: same("stablehlo.and"),
  or: same("stablehlo.or"),
  compare: ({ write }, { attrs }, a, b) => write.compare(COMPARED[attrs.direction], a, b),
  select: ({ write }, _, condition, yes, no) => write.select(condition, yes, no),
  convert: ({ write }, { attrs }, x) => write.convert(x, attrs.dtype),
  reshape: ({ write }, { attrs }, x) => write.reshape(x, attrs.shape),
  transpose: ({ write }, { attrs }, x) => write.transpose(x, attrs.permutation),
  broadcast: ({ write }, { attrs }, x) => write.broadcast(x, attrs.shape, attrs.dimensions),
  slice: ({ write }, { attrs }, x) => write.slice(x, attrs.start, attrs.limit, attrs.stride),
  pad: ({ write }, { attrs }, x) => write.pad(x, attrs.low, attrs.high, attrs.interior),
  concat: ({ write }, { attrs }, ...parts) => write.concat(parts, attrs.axis),
  reverse: ({ write }, { attrs }, x) => write.changed("stablehlo.reverse", [x], `, dims = [${list(attrs.axes)}]`, x),
  reduceSum: reduction("add"),
  reduceMax: reduction("maximum"),
  reduceMin: reduction("minimum"),
  // The lowest index of those that hold the highest value: three plain operations, which every backend vectorises.
  argmax: ({ write }, { attrs: { axis } }, x) => {
    const highest = write.reduce("maximum", x, [axis]);
    const others = x.shape.flatMap((_, i) => (i === axis ? [] : [i]));
    const size = x.shape[axis] ?? 1;
    const places = { shape: x.shape, element: "i32" } as const;
    const hit = write.compare("EQ", x, write.broadcast(highest, x.shape, others));
    const index = write.select(hit, write.iota(places, axis), write.filled(size - 1, "i32", x.shape));
    return write.reduce("minimum", index, [axis]);
  },
  dot: lowerDot,
  gather: (context, node, table, indices) => lowerGather(context, node, [table, indices]),
  scatterAdd: (context, node, table, indices, updates) => lowerScatterAdd(context, node, [table, indices, updates]),
  convolution: lowerConvolution,
  barrier: ({ write }, _, ...operands) => write.barrier(operands),
};

/** Composites that are said whole, since XLA has better for them than what they decompose into. */
export const WHOLE: { readonly [K in CompositeName]?: Lowering<K> } = {
  convolutionKernelGrad: lowerConvolutionKernelGrad,
  // What the partitioner sees to be of one device.
  gatherEach: (context, node, tables, indices) => lowerGather(context, node, [tables, indices], true),
  scatterAddEach: (context, node, tables, indices, updates) =>
    lowerScatterAdd(context, node, [tables, indices, updates], true),
};
