/** Batch normalisation in few passes over the wide tensor. */
import { elements, made, type Node, type Tensor } from "../../graph/index.ts";
import { affine, isOnePass, sumOfProducts } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Emitter, Name } from "./emitter.ts";
import { tallProduct } from "./matmul.ts";
import { columnSum, withVector } from "./rows.ts";

const rowsOf = (x: Tensor): number => elements(x.shape.slice(0, -1));
const channelsOf = (x: Tensor): number => x.shape.at(-1) ?? 1;

function sumRows(emit: Emitter, name: Name, x: Tensor): Name {
  return columnSum(emit, name, rowsOf(x), channelsOf(x));
}

/** x minus its mean over the rows; the gradient reads it too. */
function centred({ emit, value, shared }: Context, x: Tensor, mean: Name): Name {
  return shared(`centred ${value(x)}`, () => withVector(emit, "Sub", value(x), x.shape, mean));
}

function inverseDeviation({ emit, shared }: Context, variance: Name, epsilon: number): Name {
  return shared(`inverse deviation ${variance} ${epsilon}`, () =>
    emit.node("Reciprocal", [emit.node("Sqrt", [emit.node("Add", [variance, emit.scalar(epsilon, "f32")])])]),
  );
}

/** Rows from which x is not centred: the variance of few rows may be small beside their mean, which costs digits. */
const MANY_ROWS = 4096;

/** What squares are summed of, and the mean that it still has (nothing: none). */
function squared(context: Context, x: Tensor, mean: Name): { readonly from: Name; readonly rest: Name | undefined } {
  return rowsOf(x) < MANY_ROWS
    ? { from: centred(context, x, mean), rest: undefined }
    : { from: context.value(x), rest: mean };
}

/** a - b mean, with what `squared` left of the mean. */
function less({ emit }: Context, a: Name, b: Name, rest: Name | undefined): Name {
  return rest === undefined ? a : emit.node("Sub", [a, emit.node("Mul", [b, rest])]);
}

/** y = from scale + shift, and the statistics. The variance is the mean square less the squared mean: no pass centres x if it is large. */
function batchNorm(
  context: Context,
  node: Node<"batchNorm">,
): Record<"from" | "scale" | "shift" | "mean" | "variance", Name> {
  const { emit, value, shared } = context;
  const [x, gain, bias] = node.inputs as [Tensor, Tensor, Tensor];
  const once = (what: string, make: () => Name): Name => shared(`${what} of batch norm ${node.id}`, make);
  const perRow = emit.scalar(1 / rowsOf(x), "f32");
  const mean = once("mean", () => emit.node("Mul", [sumRows(emit, value(x), x), perRow]));
  const { from, rest } = squared(context, x, mean);
  const variance = once("variance", () => {
    const meanSquare = emit.node("Mul", [sumOfProducts(context, from, from, x.shape), perRow]);
    return emit.node("Max", [less(context, meanSquare, mean, rest), emit.scalar(0, "f32")]);
  });
  const scale = once("scale", () =>
    emit.node("Mul", [value(gain), inverseDeviation(context, variance, node.attrs.epsilon)]),
  );
  const shift = once("shift", () => less(context, value(bias), scale, rest));
  return { from, scale, shift, mean, variance };
}

/** y, mean, variance. */
export function lowerBatchNorm(context: Context, node: Node<"batchNorm">): Name[] {
  const { from, scale, shift, mean, variance } = batchNorm(context, node);
  return [affine(context, { x: from, shape: node.shape, scale, shift }), mean, variance];
}

/** Together with the normalisation before it where that saves a pass; what only the normalisation would have given is then not written. */
export function lowerRelu(context: Context, { inputs, shape }: Node<"relu">): Name {
  const [x] = inputs as [Tensor];
  if (!made(x, "batchNorm") || !isOnePass(context, shape)) return context.emit.node("Relu", [context.value(x)]);
  const { from, scale, shift } = batchNorm(context, x);
  return affine(context, { x: from, shape, scale, shift, relu: true });
}

/** dx deviation / gain, dgain, dbias: with c = x - mean, the first is g - mean(g) - c mean(g c)/variance, as g + x slope + offset. */
export function lowerBatchNormGrad(context: Context, node: Node<"batchNormGrad">): Name[] {
  const { emit, value } = context;
  const [x, mean, variance, g] = node.inputs as [Tensor, Tensor, Tensor, Tensor];
  const { from, rest } = squared(context, x, value(mean));
  const inverse = inverseDeviation(context, value(variance), node.attrs.epsilon);
  const dbias = sumRows(emit, value(g), x);
  const along = less(context, sumOfProducts(context, value(g), from, x.shape), dbias, rest);
  const dgain = emit.node("Mul", [along, inverse]);
  const minusPerRow = emit.scalar(-1 / rowsOf(x), "f32");
  const slope = emit.node("Mul", [emit.node("Mul", [dgain, inverse]), minusPerRow]);
  const offset = less(context, emit.node("Mul", [dbias, minusPerRow]), slope, rest);
  const dx = affine(context, { x: from, shape: x.shape, scale: slope, shift: offset, plus: value(g) });
  return [dx, dgain, dbias];
}

/**
 * Whether to work out the statistics of a linear map's wide result from the covariance of its narrow operand: no pass over the
 * wide tensor is needed then, neither forward nor backward.
 */
export function byCovariance([x, weight]: readonly Tensor[]): boolean {
  const [out = 0, into = 0] = weight?.shape ?? [];
  return x !== undefined && out >= 2 * into && rowsOf(x) >= 4 * into;
}

/** Mean of x over the rows [in], x less its mean [rows, in], and (its covariance times rows) W^T [in, out]. */
function covariance(
  context: Context,
  x: Tensor,
  weight: Tensor,
): { readonly mean: Name; readonly centre: Name; readonly mixed: Name } {
  const { emit, value, shared } = context;
  const mean = shared(`mean ${value(x)}`, () =>
    emit.node("Mul", [sumRows(emit, value(x), x), emit.scalar(1 / rowsOf(x), "f32")]),
  );
  const flat = emit.ints([rowsOf(x), channelsOf(x)]);
  const centre = shared(`centred rows ${value(x)}`, () => emit.node("Reshape", [centred(context, x, mean), flat]));
  const squares = shared(`covariance ${value(x)}`, () =>
    tallProduct(context, [{ a: centre, b: centre, rows: rowsOf(x) }], channelsOf(x), channelsOf(x)),
  );
  const mixed = shared(`mixed ${value(x)} ${value(weight)}`, () =>
    emit.node("Gemm", [squares, value(weight)], { transB: 1 }),
  );
  return { mean, centre, mixed };
}

/** [out]: for each column of [in, out] its product with the weight's row, summed. */
function withWeight(emit: Emitter, columns: Name, weight: Name): Name {
  const turned = emit.node("Transpose", [weight], { perm: [1, 0] });
  return emit.node("ReduceSum", [emit.node("Mul", [columns, turned]), emit.ints([0])], { keepdims: 0 });
}

/** The weight's rows scaled: [out, in]. */
function scaledRows(emit: Emitter, weight: Name, scale: Name): Name {
  return emit.node("Mul", [weight, emit.node("Unsqueeze", [scale, emit.ints([1])])]);
}

/** With C the covariance of x and w a row of W: mean(y) = w mean(x), variance(y) = w C w^T, and y = (x - mean(x)) (scale W)^T + bias. */
function linearBatchNorm(
  context: Context,
  node: Node<"linearBatchNorm">,
): Record<"centre" | "matrix" | "bias" | "mean" | "variance", Name> {
  const { emit, value, shared } = context;
  const [x, weight, gain, bias] = node.inputs as [Tensor, Tensor, Tensor, Tensor];
  const { mean, centre, mixed } = covariance(context, x, weight);
  const variance = shared(`variance of linear batch norm ${node.id}`, () =>
    emit.node("Mul", [withWeight(emit, mixed, value(weight)), emit.scalar(1 / rowsOf(x), "f32")]),
  );
  const matrix = shared(`matrix of linear batch norm ${node.id}`, () => {
    const scale = emit.node("Mul", [value(gain), inverseDeviation(context, variance, node.attrs.epsilon)]);
    return scaledRows(emit, value(weight), scale);
  });
  return { centre, matrix, bias: value(bias), mean, variance };
}

/** y, mean, variance. */
export function lowerLinearBatchNorm(context: Context, node: Node<"linearBatchNorm">): Name[] {
  const { emit, value } = context;
  const { centre, matrix, bias, mean, variance } = linearBatchNorm(context, node);
  const y = emit.node("Gemm", [centre, matrix, bias], { transB: 1 });
  const row = emit.node("Unsqueeze", [mean, emit.ints([0])]);
  const weight = value(node.inputs[1] as Tensor);
  const meanOut = emit.node("Reshape", [emit.node("Gemm", [row, weight], { transB: 1 }), emit.ints([-1])]);
  return [emit.node("Reshape", [y, emit.ints(node.shape)]), meanOut, variance];
}

/**
 * The sum of two normalised linear maps, which is one product with both operands side by side: neither wide result is written. Undefined
 * for other operands.
 */
export function lowerSumOfLinearBatchNorms(context: Context, { inputs, shape }: Tensor): Name | undefined {
  const { emit } = context;
  const [a, b] = inputs as [Tensor, Tensor];
  if (!made(a, "linearBatchNorm") || !made(b, "linearBatchNorm")) return undefined;
  const [left, right] = [linearBatchNorm(context, a), linearBatchNorm(context, b)];
  const beside = (x: Name, y: Name): Name => emit.node("Concat", [x, y], { axis: 1 });
  const bias = emit.node("Add", [left.bias, right.bias]);
  const operands = [beside(left.centre, right.centre), beside(left.matrix, right.matrix), bias];
  return emit.node("Reshape", [emit.node("Gemm", operands, { transB: 1 }), emit.ints(shape)]);
}

/**
 * dx, dweight, dgain, dbias. With c = x - mean(x), P = c^T g, s = gain / deviation and k = -(sum of g times the normalised y) / (rows
 * deviation): dW = s (P + C k)^T and dx = g sW + c ((sW k)^T W) - mean(g) sW.
 */
export function lowerLinearBatchNormGrad(context: Context, node: Node<"linearBatchNormGrad">): Name[] {
  const { emit, value } = context;
  const [x, weight, gain, , variance, g] = node.inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const [out = 0] = weight.shape;
  const { centre, mixed } = covariance(context, x, weight);
  const inverse = inverseDeviation(context, value(variance), node.attrs.epsilon);
  const scale = emit.node("Mul", [value(gain), inverse]);
  const scaled = scaledRows(emit, value(weight), scale);
  const minusPerRow = emit.scalar(-1 / rowsOf(x), "f32");
  const flat = emit.node("Reshape", [value(g), emit.ints([rowsOf(x), out])]);
  const product = tallProduct(context, [{ a: centre, b: flat, rows: rowsOf(x) }], channelsOf(x), out);
  const dgain = emit.node("Mul", [withWeight(emit, product, value(weight)), inverse]);
  const dbias = sumRows(emit, value(g), g);
  const slope = emit.node("Mul", [emit.node("Mul", [dgain, inverse]), minusPerRow]);
  const columns = emit.node("Mul", [emit.node("Add", [product, emit.node("Mul", [mixed, slope])]), scale]);
  const dweight = emit.node("Transpose", [columns], { perm: [1, 0] });
  const inner = emit.node("Gemm", [scaledRows(emit, scaled, slope), value(weight)], { transA: 1 });
  const offset = emit.node("Gemm", [
    emit.node("Unsqueeze", [emit.node("Mul", [dbias, minusPerRow]), emit.ints([0])]),
    scaled,
  ]);
  const along = emit.node("Gemm", [centre, inner, offset]);
  const dx = emit.node("Reshape", [emit.node("Gemm", [flat, scaled, along]), emit.ints(node.shape)]);
  return [dx, dweight, dgain, dbias];
}
