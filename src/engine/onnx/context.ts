import type { HostTensor, Tensor } from "../../graph/index.ts";
import type { Emitter, Name, Placed } from "./emitter.ts";
import type { ExecutionProvider } from "./protocol.ts";

/** Whose kernels will run; "any": operators of the standard alone, which every runtime has. */
export type Kernels = ExecutionProvider | "any";

/** "int8": linear layers and large tables with known weights (`quantized.ts`); "float16": products of all kinds (`halves.ts`). */
export type Arithmetic = "float32" | "float16" | "int8";

/** What a lowering rule may ask for. */
export interface Context {
  readonly emit: Emitter;
  /** Whose kernels will run: not all of onnxruntime's providers compute every operator rightly. */
  readonly provider: Kernels;
  /** The ONNX value of a tensor, with all its axes. */
  value(tensor: Tensor): Name;
  /** Whether some node of the graph reads a further output of this composite. */
  further(tensor: Tensor): boolean;
  /** Whether it follows from baked-in values alone, so that it is the same in every run. */
  fixed(tensor: Tensor): boolean;
  /** Its elements, where it is a baked-in value or rows of one. */
  known(tensor: Tensor): HostTensor | undefined;
  /** Bakes a value in. */
  place(value: Placed): Name;
  readonly arithmetic: Arithmetic;
  /** Channels in a block of onnxruntime's direct convolutions; undefined where it has none. */
  readonly channelBlock: number | undefined;
  /** Whether a tensor [batch, height, width, channels] is there as [batch, channels, height, width]. */
  isChannelsFirst(tensor: Tensor): boolean;
  /** It as [batch, channels, height, width]. */
  channelsFirst(tensor: Tensor): Name;
  /** Whether a tensor is there in float16. */
  isHalf(tensor: Tensor): boolean;
  /** It in float16. */
  half(tensor: Tensor): Name;
  /** Whether a tensor [..., channels] is there in blocks of channels. */
  isInBlocks(tensor: Tensor): boolean;
  /** It in blocks of channels. */
  inBlocks(tensor: Tensor): Name;
  /** A value made once for a key and shared: what forward and gradient both need. */
  shared(key: string, make: () => Name): Name;
}
