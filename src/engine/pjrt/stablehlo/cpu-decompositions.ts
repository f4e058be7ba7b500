/**
 * What some composites become on the CPU, where XLA computes one sum or one product at a time and each reads its operands from memory:
 * formulas that need fewer passes over wide tensors than the definitions in `graph/composites.ts`.
 */
import {
  add,
  type CompositeAttrs,
  type CompositeName,
  dot,
  elements,
  linear,
  max,
  mul,
  type Node,
  reduceMean,
  reduceSum,
  reshape,
  rsqrt,
  slice,
  square,
  sub,
  type Tensor,
  transpose,
} from "../../../graph/index.ts";

/** The outputs of a composite; undefined where its definition is as good. */
type Decomposition<K extends CompositeName> = (
  attrs: CompositeAttrs[K],
  ...inputs: Tensor[]
) => readonly Tensor[] | undefined;

/** Rows from which x is not centred: the variance of few rows may be small beside their mean, which costs digits. */
const MANY_ROWS = 4096;

const rowsOf = (x: Tensor): number => elements(x.shape.slice(0, -1));
const leading = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, axis) => axis);
/** [..., channels] as [rows, channels]. */
const asRows = (x: Tensor): Tensor => reshape(x, [rowsOf(x), x.shape.at(-1) ?? 1]);
const scaledRows = (weight: Tensor, scale: Tensor): Tensor => mul(weight, reshape(scale, [-1, 1]));
/** a^T b, of matrices. */
const sumOverRows = (a: Tensor, b: Tensor, exact = false): Tensor =>
  dot(a, b, { batch: [[], []], contract: [[0], [0]], ...(exact && { exact }) });

/** The variance is the mean square less the squared mean, so that no pass centres x. */
const batchNorm: Decomposition<"batchNorm"> = ({ epsilon }, x, gain, bias) => {
  if (rowsOf(x) < MANY_ROWS) return undefined;
  const mean = reduceMean(x, leading(x));
  const variance = max(sub(reduceMean(square(x), leading(x)), square(mean)), 0);
  const scale = mul(gain, rsqrt(add(variance, epsilon)));
  return [add(mul(x, scale), sub(bias, mul(mean, scale))), mean, variance];
};

/** With c = x - mean, dx deviation / gain is g - mean(g) - c mean(g c) / variance, here as g + x slope + offset. */
const batchNormGrad: Decomposition<"batchNormGrad"> = ({ epsilon }, x, mean, variance, g) => {
  if (rowsOf(x) < MANY_ROWS) return undefined;
  const inverse = rsqrt(add(variance, epsilon));
  const dbias = reduceSum(g, leading(x));
  const dgain = mul(sub(reduceSum(mul(g, x), leading(x)), mul(mean, dbias)), inverse);
  const minusPerRow = -1 / rowsOf(x);
  const slope = mul(mul(dgain, inverse), minusPerRow);
  const offset = sub(mul(dbias, minusPerRow), mul(slope, mean));
  return [add(add(g, mul(x, slope)), offset), dgain, dbias];
};

/** Whether the statistics of a linear map's wide result are worked out from the covariance of its narrow operand. */
function byCovariance(x: Tensor, weight: Tensor): boolean {
  const [out = 0, into = 0] = weight.shape;
  return out >= 2 * into && rowsOf(x) >= 4 * into;
}

/** Mean of x over the rows [in], x less its mean [rows, in], and (its covariance times rows) W^T [in, out]. */
function covariance(x: Tensor, weight: Tensor) {
  const flat = asRows(x);
  const mean = reduceMean(flat, [0]);
  const centre = sub(flat, mean);
  const mixed = dot(sumOverRows(centre, centre, true), weight, { batch: [[], []], contract: [[1], [1]], exact: true });
  return { mean, centre, mixed };
}

/** [out]: for each column of [in, out] its product with the weight's row, summed. */
const withWeight = (columns: Tensor, weight: Tensor): Tensor => reduceSum(mul(columns, transpose(weight, [1, 0])), [0]);

/** With C the covariance of x and w a row of W: mean(y) = w mean(x), variance(y) = w C w^T, and y = (x - mean(x)) (scale W)^T + bias. */
const linearBatchNorm: Decomposition<"linearBatchNorm"> = ({ epsilon }, x, weight, gain, bias) => {
  if (!byCovariance(x, weight)) return undefined;
  const { mean, centre, mixed } = covariance(x, weight);
  const variance = mul(withWeight(mixed, weight), 1 / rowsOf(x));
  const scale = mul(gain, rsqrt(add(variance, epsilon)));
  const y = linear(centre, scaledRows(weight, scale), bias);
  const meanOut = dot(weight, mean, { batch: [[], []], contract: [[1], [0]], exact: true });
  return [reshape(y, [...x.shape.slice(0, -1), weight.shape[0] ?? 0]), meanOut, variance];
};

/**
 * dx, dweight, dgain, dbias. With c = x - mean(x), P = c^T g, s = gain / deviation and k = -(sum of g times the normalised y) / (rows
 * deviation): dW = s (P + C k)^T and dx = g sW + c ((sW k)^T W) - mean(g) sW.
 */
const linearBatchNormGrad: Decomposition<"linearBatchNormGrad"> = (
  { epsilon },
  x,
  weight,
  gain,
  _mean,
  variance,
  wide,
) => {
  if (!byCovariance(x, weight)) return undefined;
  const { centre, mixed } = covariance(x, weight);
  const g = asRows(wide);
  const inverse = rsqrt(add(variance, epsilon));
  const scale = mul(gain, inverse);
  const scaled = scaledRows(weight, scale);
  const minusPerRow = -1 / rowsOf(x);
  const product = sumOverRows(centre, g);
  const dgain = mul(withWeight(product, weight), inverse);
  const dbias = reduceSum(g, [0]);
  const slope = mul(mul(dgain, inverse), minusPerRow);
  const dweight = transpose(mul(add(product, mul(mixed, slope)), scale), [1, 0]);
  const inner = sumOverRows(scaledRows(scaled, slope), weight);
  const offset = dot(mul(dbias, minusPerRow), scaled, { batch: [[], []], contract: [[0], [0]], exact: true });
  const times = (a: Tensor, matrix: Tensor): Tensor => dot(a, matrix, { batch: [[], []], contract: [[1], [0]] });
  const dx = add(add(times(g, scaled), times(centre, inner)), offset);
  return [reshape(dx, x.shape), dweight, dgain, dbias];
};

/** The sum of the tiles' elements, place by place: XLA computes what is pooled as it reads it, which before a reduction it would write first. */
const avgPool: Decomposition<"avgPool"> = ({ window }, x) => {
  const places = Array.from({ length: window ** 2 }, (_, i) => [Math.floor(i / window), i % window]);
  const parts = places.map(([row = 0, column = 0]) => slice(x, [0, row, column, 0], x.shape, [1, window, window, 1]));
  return [mul(parts.reduce(add), 1 / window ** 2)];
};

const DECOMPOSITIONS: { readonly [K in CompositeName]?: Decomposition<K> } = {
  batchNorm,
  batchNormGrad,
  linearBatchNorm,
  linearBatchNormGrad,
  avgPool,
};

export function decomposedForCpu<K extends CompositeName>({
  op,
  attrs,
  inputs,
}: Node<K>): readonly Tensor[] | undefined {
  const rule: Decomposition<K> | undefined = DECOMPOSITIONS[op];
  return rule?.(attrs, ...inputs);
}
