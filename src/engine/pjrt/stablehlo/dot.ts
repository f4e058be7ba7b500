import { elements, type Node } from "../../../graph/index.ts";
import type { Context } from "./context.ts";
import { list, signature, type Value, type Writer } from "./writer.ts";

type Axes = readonly [readonly number[], readonly number[]];
type Contraction = { readonly batch: Axes; readonly contract: Axes };

export const lowerDot = (context: Context, { attrs }: Node<"dot">, a: Value, b: Value): Value =>
  dot(context, attrs, a, b);

/** The product of two values as the graph's `dot` means it, in the precision and by the way round that suit the platform. */
export function dot(context: Context, attrs: Node<"dot">["attrs"], a: Value, b: Value): Value {
  const { write, platform } = context;
  const free = (x: Value, side: 0 | 1): number[] =>
    x.shape.flatMap((_, axis) =>
      attrs.batch[side].includes(axis) || attrs.contract[side].includes(axis) ? [] : [axis],
    );
  const [freeA, freeB] = [free(a, 0), free(b, 1)];
  const shape = [
    ...attrs.batch[0].map((axis) => a.shape[axis] ?? 0),
    ...freeA.map((axis) => a.shape[axis] ?? 0),
    ...freeB.map((axis) => b.shape[axis] ?? 0),
  ];
  // A sum of squares, say: no product of matrices, and never rounded.
  if (freeA.length + freeB.length === 0 && attrs.batch[0].length === 0)
    return innerProduct(write, a, b, attrs.contract);
  const element = context.precision === "bfloat16" && attrs.exact !== true && a.element === "f32" ? "bf16" : a.element;
  const [left, right] = [write.convert(a, element), write.convert(b, element)];
  const result = ((): Value => {
    if (platform !== "cpu") return product(write, left, right, attrs, shape, roundsFactors(platform, element));
    if (element === "bf16") return alignedProduct(write, left, right, attrs, [freeA, freeB]);
    return sumOverRows(write, left, right, attrs) ?? product(write, left, right, attrs, shape);
  })();
  return write.convert(write.reshape(result, shape), a.element);
}

/** Whether XLA's default rounds factors of float32: to TF32 on NVIDIA's GPUs, to bfloat16 on TPUs. The narrow type is one's own choice. */
export const roundsFactors = (platform: string, element: string): boolean => platform !== "cpu" && element === "f32";

/** Columns of a factor up to which a sum over rows is said as one of matrices: measured; wider ones are faster as they come. */
const FEW_COLUMNS = 64;

/**
 * A sum over rows, the leading axes of both factors, as a weight's gradient is; undefined for other products and wide factors. XLA's CPU
 * compiler would write the left factor anew, transposed; as a product of matrices, the narrower one on the left, that takes half the time.
 */
function sumOverRows(write: Writer, a: Value, b: Value, { batch, contract }: Contraction): Value | undefined {
  const isOverRows = contract.every((axes) => axes.every((axis, i) => axis === i)) && batch[0].length === 0;
  const matrix = (x: Value): Value => {
    const leading = contract[0].length;
    return write.reshape(x, [elements(x.shape.slice(0, leading)), elements(x.shape.slice(leading))]);
  };
  const columns = (x: Value): number => elements(x.shape.slice(contract[0].length));
  const [m, n] = [columns(a), columns(b)];
  if (!isOverRows || Math.min(m, n) > FEW_COLUMNS) return undefined;
  const axes = { batch: [[], []], contract: [[0], [0]] } as const;
  const [left, right] = [matrix(a), matrix(b)];
  return m <= n
    ? product(write, left, right, axes, [m, n])
    : write.transpose(product(write, right, left, axes, [n, m]), [1, 0]);
}

function product(
  write: Writer,
  a: Value,
  b: Value,
  { batch, contract }: Contraction,
  shape: readonly number[],
  highest = false,
): Value {
  const paired = (axes: Axes): string => `[${list(axes[0])}] x [${list(axes[1])}]`;
  const axes = [
    ...(batch[0].length > 0 ? [`batching_dims = ${paired(batch)}`] : []),
    `contracting_dims = ${paired(contract)}`,
    ...(highest ? ["precision = [HIGHEST, HIGHEST]"] : []),
  ];
  const type = { shape, element: a.element };
  return write.value(type, `stablehlo.dot_general ${a.name}, ${b.name}, ${list(axes)} : ${signature([a, b], type)}`);
}

function innerProduct(write: Writer, a: Value, b: Value, contract: Axes): Value {
  const aligned = write.transpose(
    b,
    a.shape.map((_, axis) => contract[1][contract[0].indexOf(axis)] ?? axis),
  );
  return write.sum(write.same("stablehlo.multiply", a, aligned));
}

/**
 * XLA's bfloat16 kernels of the CPU take a left factor whose rows are contracted and either form of the right one; of others it makes
 * float32 products, half as fast.
 */
function alignedProduct(
  write: Writer,
  a: Value,
  b: Value,
  { batch, contract }: Contraction,
  [freeA, freeB]: Axes,
): Value {
  const size = (x: Value, axes: readonly number[]): number => elements(axes.map((axis) => x.shape[axis] ?? 1));
  const lead = batch[0].length > 0 ? [size(a, batch[0])] : [];
  const [rows, inner, columns] = [size(a, freeA), size(a, contract[0]), size(b, freeB)];
  const left = arranged(write, a, [...batch[0], ...freeA, ...contract[0]], [...lead, rows, inner]);
  const across = [...batch[1], ...freeB, ...contract[1]];
  const turned = across.every((axis, i) => axis === i);
  const right = turned
    ? arranged(write, b, across, [...lead, columns, inner])
    : arranged(write, b, [...batch[1], ...contract[1], ...freeB], [...lead, inner, columns]);
  const first = lead.length;
  const axes = lead.length > 0 ? [0] : [];
  return product(write, left, right, { batch: [axes, axes], contract: [[first + 1], [turned ? first + 1 : first]] }, [
    ...lead,
    rows,
    columns,
  ]);
}

/** The transposed value as a matrix. XLA folds a plain transposition back into the product; not one of a batch of one. */
function arranged(write: Writer, x: Value, order: readonly number[], shape: readonly number[]): Value {
  if (order.every((axis, i) => axis === i)) return write.reshape(x, shape);
  const one = write.reshape(x, [1, ...x.shape]);
  return write.reshape(write.transpose(one, [0, ...order.map((axis) => axis + 1)]), shape);
}
