/**
 * Convolutions with kernels that never change, for inference: onnxruntime's own `Conv` packs such a kernel once and keeps its operands
 * in blocks of channels. It wants channels first, the graph has them last: what stands between two convolutions is computed
 * channels first as well, and only the ends are transposed. (Training's kernels change: `convolution.ts`.)
 */
import { made, type Tensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";

/** The tensor [batch, height, width, channels] as [batch, channels, height, width], or undefined where it is better left as it is. */
export function lowerChannelsFirst(context: Context, tensor: Tensor): Name | undefined {
  const { emit, value, fixed, channelsFirst, isChannelsFirst, provider } = context;
  if (provider === "webgpu" || tensor.dtype !== "f32" || tensor.shape.length !== 4) return undefined;
  const [x, y, bias] = tensor.inputs;
  if (!x) return undefined;
  if (made(tensor, "convolution") && y && fixed(y)) {
    const [[top, bottom], [left, right]] = tensor.attrs.padding;
    return emit.node("Conv", [channelsFirst(x), value(y)], {
      strides: tensor.attrs.stride,
      pads: [top, left, bottom, right],
      kernel_shape: y.shape.slice(2),
    });
  }
  if (made(tensor, "add") && y) {
    for (const [whole, vector] of [
      [x, y],
      [y, x],
    ] as const) {
      const channels = channelVector(vector);
      if (isChannelsFirst(whole) && channels)
        return emit.node("Add", [
          channelsFirst(whole),
          emit.node("Reshape", [value(channels), emit.ints([channels.shape[0] ?? 1, 1, 1])]),
        ]);
    }
    return isChannelsFirst(x) && isChannelsFirst(y)
      ? emit.node("Add", [channelsFirst(x), channelsFirst(y)])
      : undefined;
  }
  if (!isChannelsFirst(x)) return undefined;
  if (made(tensor, "linear") && y && fixed(y)) {
    const kernel = emit.node("Reshape", [value(y), emit.ints([...y.shape, 1, 1])]);
    return emit.node("Conv", [channelsFirst(x), kernel, ...(bias ? [value(bias)] : [])], { kernel_shape: [1, 1] });
  }
  if (made(tensor, "relu")) return emit.node("Relu", [channelsFirst(x)]);
  if (made(tensor, "avgPool")) {
    const { window } = tensor.attrs;
    return emit.node("AveragePool", [channelsFirst(x)], {
      kernel_shape: [window, window],
      strides: [window, window],
    });
  }
  return undefined;
}

/** The vector of one number a channel that a tensor is stretched from. */
function channelVector(x: Tensor): Tensor | undefined {
  const [source] = x.inputs;
  return made(x, "broadcast") &&
    source?.shape.length === 1 &&
    x.attrs.dimensions[0] === 3 &&
    source.shape[0] === x.shape[3]
    ? source
    : undefined;
}
