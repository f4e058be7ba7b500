/**
 * Linear layers whose weights never change, as convolutions of one pixel by onnxruntime's direct kernels: on processors with AVX-512 faster
 * than its matrix product, and the weights, being laid out here, are read where they lie, without a copy for the product. What stands between
 * two such layers stays in blocks of channels.
 */
import { elements, type HostTensor, made, type OpName, type Tensor } from "../../graph/index.ts";
import { BLOCKED, intoBlocks, outOfBlocks } from "./channel-blocks.ts";
import type { Context } from "./context.ts";
import type { Name, Placed } from "./emitter.ts";
import { lowerNode } from "./lowering.ts";

/** Channels in a block of AVX-512, the one that was measured. */
const BLOCK = 16;

const ACTIVATIONS: ReadonlySet<OpName> = new Set(["relu", "quickGelu", "gelu", "geluTanh"]);

/** The tensor [..., channels] in blocks, [1, channels, rows, 1] to onnxruntime; undefined where it is better left as it is. */
export function lowerInBlocks(context: Context, tensor: Tensor): Name | undefined {
  const { emit, value, known, place, inBlocks, isInBlocks, channelBlock, arithmetic } = context;
  if (channelBlock !== BLOCK || arithmetic !== "float32") return undefined;
  const [x, weight, bias] = tensor.inputs;
  if (!x) return undefined;
  if (ACTIVATIONS.has(tensor.op) && isInBlocks(x)) return lowerNode({ ...context, value: inBlocks }, tensor)[0];
  const floats = made(tensor, "linear") && weight && known(weight);
  if (!floats || floats.shape.some((size) => size % BLOCK !== 0)) return undefined;
  const operands = [inBlocks(x), place(inKernelOrder(floats)), ...(bias ? [value(bias)] : [])];
  return emit.node("Conv", operands, { kernel_shape: [1, 1] }, BLOCKED);
}

/** A tensor [..., channels] as a picture, a pixel a row. */
const asPixels = ({ shape }: Tensor): number[] => [1, elements(shape) / (shape.at(-1) ?? 1), 1, shape.at(-1) ?? 1];

/** Rows [..., channels] brought into blocks. */
export function rowsIntoBlocks(context: Context, x: Tensor): Name {
  const { emit, value } = context;
  return intoBlocks(context, emit.node("Reshape", [value(x), emit.ints(asPixels(x))]), asPixels(x));
}

/** And back: of the shape of x. */
export function rowsOutOfBlocks(context: Context, blocks: Name, x: Tensor): Name {
  const { emit } = context;
  return emit.node("Reshape", [outOfBlocks(context, blocks, asPixels(x)), emit.ints(x.shape)]);
}

/** A matrix [out, in] as the kernel [out / block, in / block, block of in, block of out], laid out when it is written. */
function inKernelOrder({ shape, data }: HostTensor): Placed {
  const [out = 0, into = 0] = shape;
  return {
    dtype: "f32",
    shape: [out, into, 1, 1],
    get data() {
      const laid = new Float32Array(out * into);
      let at = 0;
      for (let row = 0; row < out; row += BLOCK)
        for (let column = 0; column < into; column++)
          for (let i = 0; i < BLOCK; i++) laid[at++] = data[(row + i) * into + column] ?? 0;
      return laid;
    },
  };
}
