import { type DType, elements, type Node, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import { type Emitter, type Name, ONNX_TYPE } from "./emitter.ts";

/**
 * ONNX has no barrier, and onnxruntime removes what it sees to change nothing. So x minus a zero that it cannot foresee: one element of
 * each other operand is compared with itself, which is less never, not even where it is not a number. x - 0 is x to the last bit, and is
 * written where x stands if nothing else reads that.
 */
export function lowerBarrier({ emit, value }: Context, { inputs }: Node<"barrier">): Name {
  const [x, ...others] = inputs as [Tensor, ...Tensor[]];
  if (elements(x.shape) === 0) return value(x);
  const present = others.filter(({ shape }) => elements(shape) > 0);
  const first = (present.length > 0 ? present : [x]).map((other) => firstElement(emit, value(other), other));
  const together = first.length === 1 ? (first[0] ?? "") : emit.node("Concat", first, { axis: 0 });
  const never = cast(emit, emit.node("Less", [together, together]), "f32");
  const zero = emit.node("ReduceMax", [never, emit.ints([0])], { keepdims: 0 });
  if (x.dtype === "f32") return emit.node("Sub", [value(x), zero]);
  if (x.dtype === "i32") return emit.node("Sub", [value(x), cast(emit, zero, "i32")]);
  // onnxruntime's arithmetic has no 8-bit kernels.
  return cast(emit, emit.node("Sub", [cast(emit, value(x), "i32"), cast(emit, zero, "i32")]), x.dtype);
}

/** f32 [1]. */
function firstElement(emit: Emitter, name: Name, { shape, dtype }: Tensor): Name {
  const of = (bound: number): Name => emit.ints(shape.map(() => bound));
  const axes = emit.ints(shape.map((_, axis) => axis));
  const cut = shape.length === 0 ? name : emit.node("Slice", [name, of(0), of(1), axes]);
  const one = shape.length === 1 ? cut : emit.node("Reshape", [cut, emit.ints([1])]);
  return dtype === "f32" ? one : cast(emit, one, "f32");
}

function cast(emit: Emitter, name: Name, dtype: DType): Name {
  return emit.node("Cast", [name], { to: ONNX_TYPE[dtype] });
}
