/** Batch normalisation in few passes over the wide tensor. */
import { elements, type Node, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Emitter, Name } from "./emitter.ts";
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

/** y, mean, variance. */
export function lowerBatchNorm(context: Context, node: Node<"batchNorm">): Name[] {
  const { emit, value } = context;
  const [x, gain, bias] = node.inputs as [Tensor, Tensor, Tensor];
  const perRow = emit.scalar(1 / rowsOf(x), "f32");
  const mean = emit.node("Mul", [sumRows(emit, value(x), x), perRow]);
  const centre = centred(context, x, mean);
  const variance = emit.node("Mul", [sumRows(emit, emit.node("Mul", [centre, centre]), x), perRow]);
  const scale = emit.node("Mul", [value(gain), inverseDeviation(context, variance, node.attrs.epsilon)]);
  const y = withVector(emit, "Add", withVector(emit, "Mul", centre, x.shape, scale), x.shape, value(bias));
  return [y, mean, variance];
}

/** dx, dgain, dbias: with c = x - mean, dx = gain/deviation (g - mean(g) - c mean(g c)/variance). */
export function lowerBatchNormGrad(context: Context, node: Node<"batchNormGrad">): Name[] {
  const { emit, value } = context;
  const [x, gain, mean, variance, g] = node.inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const centre = centred(context, x, value(mean));
  const inverse = inverseDeviation(context, value(variance), node.attrs.epsilon);
  const dbias = sumRows(emit, value(g), x);
  const along = sumRows(emit, emit.node("Mul", [value(g), centre]), x);
  const dgain = emit.node("Mul", [along, inverse]);
  const minusPerRow = emit.scalar(-1 / rowsOf(x), "f32");
  const scale = emit.node("Mul", [value(gain), inverse]);
  const slope = emit.node("Mul", [emit.node("Mul", [emit.node("Mul", [dgain, inverse]), minusPerRow]), scale]);
  const offset = emit.node("Mul", [emit.node("Mul", [dbias, minusPerRow]), scale]);
  const line = withVector(emit, "Add", withVector(emit, "Mul", centre, x.shape, slope), x.shape, offset);
  const dx = emit.node("Add", [withVector(emit, "Mul", value(g), x.shape, scale), line]);
  return [dx, dgain, dbias];
}
