/** Kernels of convolutions, laid out for products: the taps before the channels. */
import { made, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";

/**
 * A kernel [out, in, kh, kw] as [copies * out, kh, span, in]: copies of its taps that begin at other columns of a window of `span`, zeros
 * around them.
 * @param copies the column at which each begins
 */
export function kernelTaps({ emit, value }: Context, kernel: Tensor, copies: readonly number[], span: number): Name {
  const [out = 0, into = 0, kh = 1, kw = 1] = kernel.shape;
  const matrices = emit.node("Reshape", [value(kernel), emit.ints([out, into, kh * kw])]);
  const taps = emit.node("Reshape", [
    emit.node("Transpose", [matrices], { perm: [0, 2, 1] }),
    emit.ints([out, kh, kw, into]),
  ]);
  const shifted = copies.map((before) => {
    const after = span - before - kw;
    return before + after === 0 ? taps : emit.node("Pad", [taps, emit.ints([0, 0, before, 0, 0, 0, after, 0])]);
  });
  return shifted.length === 1 ? (shifted[0] ?? taps) : emit.node("Concat", shifted, { axis: 0 });
}

/**
 * The taps [kh * kw, in * out] of a kernel [out, in, kh, kw] that is another one with its taps in reverse and its channels swapped, as the
 * gradient of a convolution has it; undefined for any other kernel. From the other one a plain transposition is enough.
 */
export function reversedTaps({ emit, value }: Context, kernel: Tensor): Name | undefined {
  const [reversed] = kernel.inputs;
  if (!made(kernel, "transpose") || `${kernel.attrs.permutation}` !== "1,0,2,3") return undefined;
  const source =
    reversed && made(reversed, "reverse") && `${reversed.attrs.axes}` === "2,3" ? reversed.inputs[0] : undefined;
  if (!source) return undefined;
  const [into = 0, out = 0, kh = 1, kw = 1] = source.shape;
  const lines = emit.node("Reshape", [value(source), emit.ints([into * out, kh * kw])]);
  const taps = emit.node("Transpose", [lines], { perm: [1, 0] });
  const backwards = Int32Array.from({ length: kh * kw }, (_, tap) => kh * kw - 1 - tap);
  const order = emit.initializer(emit.fresh(), { dtype: "i32", shape: [kh * kw], data: backwards });
  return emit.node("Gather", [taps, order], { axis: 0 });
}
