import type { OpAttrs, Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";

/**
 * x [batch, height, width, channels] with its padding, as [pixels / fold, fold * channels].
 * @param size rows and columns with as much of the padding as is read, of columns maybe more: a multiple of `fold`
 */
export function paddedPixels(
  { emit, value, shared }: Context,
  x: Tensor,
  padding: OpAttrs["convolution"]["padding"],
  size: readonly [number, number],
  fold: number,
): Name {
  const [batch = 0, height = 0, width = 0, into = 0] = x.shape;
  const bottom = size[0] - height - padding[0][0];
  const right = size[1] - width - padding[1][0];
  const padded = shared(`padded ${value(x)} ${padding} ${size}`, () => {
    const lines = emit.node("Reshape", [value(x), emit.ints([batch, height, width * into])]);
    // Negative amounts crop.
    const amounts = [0, padding[0][0], padding[1][0] * into, 0, bottom, right * into];
    return amounts.some((n) => n !== 0) ? emit.node("Pad", [lines, emit.ints(amounts)]) : lines;
  });
  return emit.node("Reshape", [padded, emit.ints([(batch * size[0] * size[1]) / fold, fold * into])]);
}
