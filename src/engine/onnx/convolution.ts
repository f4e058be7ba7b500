import type { Node, Tensor } from "../../graph/index.ts";
import type { Name } from "./emitter.ts";
import type { Context } from "./lowering.ts";

export function lowerConvolution({ emit, value }: Context, node: Node<"convolution">): Name {
  const [x, kernel] = node.inputs as [Tensor, Tensor];
  const { stride, padding } = node.attrs;
  const pads = [padding[0][0], padding[1][0], padding[0][1], padding[1][1]];
  const channelsFirst = emit.node("Transpose", [value(x)], { perm: [0, 3, 1, 2] });
  const y = emit.node("Conv", [channelsFirst, value(kernel)], { strides: stride, pads });
  return emit.node("Transpose", [y], { perm: [0, 2, 3, 1] });
}
