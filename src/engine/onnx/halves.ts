/**
 * Products in float16, for devices whose shaders have it. Linear layers, products of matrices, attention, convolutions and tables take
 * halves and give halves, and what only moves, activates or shifts one such result stays so; weights that nothing else reads are baked in
 * as halves. Sums of two results (the residual stream), normalisation, softmax, pooling and what a program returns are float32.
 */
import { filledWith, hostTensor, made, type OpName, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import { type Name, ONNX_TYPE } from "./emitter.ts";
import { lowerNode } from "./lowering.ts";
import { type Probe, probe } from "./probe.ts";

/** What moves elements. */
const MOVES: ReadonlySet<OpName> = new Set(["reshape", "transpose", "slice"]);
const ACTIVATES: ReadonlySet<OpName> = new Set(["relu", "quickGelu", "gelu", "geluTanh"]);

/** The tensor in halves, or undefined where it is better computed in float32. */
export function lowerHalves(context: Context, tensor: Tensor): Name | undefined {
  const isWorthIt = multiplies(context, tensor) || follows(context, tensor);
  return tensor.dtype === "f32" && isWorthIt ? inHalves(context, tensor) : undefined;
}

/** Fails where the device has no float16. */
export const halvesProbe = (): Probe =>
  probe(hostTensor("f32", [1], [1]), (emit, x) => {
    const half = emit.node("Cast", [x], { to: ONNX_TYPE.f16 });
    return emit.node("Cast", [emit.node("Neg", [half])], { to: ONNX_TYPE.f32 });
  });

/** A baked-in tensor that is a part or another view of one, in halves; undefined of any other. */
export function bakedHalves(context: Context, tensor: Tensor): Name | undefined {
  return context.fixed(tensor) && MOVES.has(tensor.op) ? inHalves(context, tensor) : undefined;
}

function multiplies({ fixed }: Context, tensor: Tensor): boolean {
  if (made(tensor, "dot")) return tensor.attrs.exact !== true;
  if (made(tensor, "gather")) return tensor.inputs.some((table, i) => i === 0 && fixed(table));
  return made(tensor, "linear") || made(tensor, "attention") || made(tensor, "convolution");
}

/** Whether it goes on from one result in halves alone. */
function follows({ isHalf, fixed }: Context, { op, inputs }: Tensor): boolean {
  const [x, y] = inputs;
  if (!x) return false;
  if (op === "add" && y) {
    const [varying, baked] = fixed(x) ? [y, x] : [x, y];
    return isHalf(varying) && fixed(baked) && filledWith(baked) === undefined;
  }
  return (MOVES.has(op) || ACTIVATES.has(op)) && isHalf(x);
}

function inHalves(context: Context, tensor: Tensor): Name | undefined {
  const value = (x: Tensor): Name => (x.dtype === "f32" ? context.half(x) : context.value(x));
  return lowerNode({ ...context, value }, tensor)[0];
}
