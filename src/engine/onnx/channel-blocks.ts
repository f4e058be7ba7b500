/**
 * onnxruntime's direct kernels (MLAS) hold channels in blocks of as many as a vector register has. Its optimiser writes them only where
 * weights never change; training writes them itself. Outside of them all stays channels last: where the channels are one block, the two
 * layouts are the same.
 */
import { elements, type HostTensor, hostTensor } from "../../graph/index.ts";
import type { Context } from "./context.ts";
import type { Name } from "./emitter.ts";
import { type Probe, probe } from "./probe.ts";
import { columnSum, withVector } from "./rows.ts";

/** The domain of the blocked kernels. */
export const BLOCKED = "com.microsoft.nchwc";

/** Finds out how many channels make a block. onnxruntime takes it only where it has such kernels. */
export const blockProbe = (): Probe =>
  // Two pixels of 16 channels: pixel 0 of channel c is 2c, pixel 1 of channel 0 is 1.
  probe(
    hostTensor(
      "f32",
      [1, 16, 1, 2],
      Array.from({ length: 32 }, (_, i) => i),
    ),
    (emit, x) => emit.node("ReorderInput", [x], {}, BLOCKED),
  );

/** Channels in a block, from what the model gave: the second pixel of channel 0 comes behind the first pixel of all channels of the block. */
export const blockOf = ({ data }: HostTensor): number => data.indexOf(1);

/** Pixels [batch, height, width, channels], of whole blocks, as the direct kernels take them. */
export function intoBlocks({ emit, channelBlock }: Context, pixels: Name, shape: readonly number[]): Name {
  const [batch = 0, height = 0, width = 0, channels = 0] = shape;
  return channels === channelBlock
    ? emit.node("Reshape", [pixels, emit.ints([batch, channels, height, width])])
    : emit.node("ReorderInput", [pixels], { channels_last: 1 }, BLOCKED);
}

/** And back: what a direct kernel gave as pixels of that shape. */
export function outOfBlocks({ emit, channelBlock }: Context, blocks: Name, shape: readonly number[]): Name {
  const channels = shape.at(-1) ?? 1;
  return channels === channelBlock
    ? emit.node("Reshape", [blocks, emit.ints(shape)])
    : emit.node("ReorderOutput", [blocks], { channels, channels_last: 1 }, BLOCKED);
}

/** Pixels that a thread takes at once. */
const LINE = 256;

interface Affine {
  /** [..., channels] and its shape. */
  readonly x: Name;
  readonly shape: readonly number[];
  /** [channels]. */
  readonly scale: Name;
  readonly shift: Name;
  /** Added at the end, of the shape of x. */
  readonly plus?: Name;
  readonly relu?: boolean;
}

/** Whether `affine` is one pass: neighbouring rows make one block of channels. */
export function isOnePass({ channelBlock: block }: Context, shape: readonly number[]): boolean {
  const channels = shape.at(-1) ?? 1;
  return block !== undefined && block % channels === 0 && (elements(shape) / block) % LINE === 0;
}

/** x scale + shift + plus, and what is positive of it: where `isOnePass` says so, by a convolution of each channel for itself. */
export function affine(context: Context, { x, shape, scale, shift, plus, relu = false }: Affine): Name {
  const { emit, channelBlock: block = 1 } = context;
  if (!isOnePass(context, shape)) {
    const scaled = withVector(emit, "Mul", x, shape, scale);
    const shifted = withVector(emit, "Add", scaled, shape, shift);
    const whole = plus === undefined ? shifted : emit.node("Add", [shifted, plus]);
    return relu ? emit.node("Relu", [whole]) : whole;
  }
  const rows = block / (shape.at(-1) ?? 1);
  const grid = emit.ints([1, block, elements(shape) / block / LINE, LINE]);
  const laid = (name: Name): Name => emit.node("Reshape", [name, grid]);
  const vector = (name: Name): Name => (rows === 1 ? name : emit.node("Tile", [name, emit.ints([rows])]));
  const y = emit.node(
    "Conv",
    [
      laid(x),
      emit.node("Reshape", [vector(scale), emit.ints([block, 1, 1, 1])]),
      vector(shift),
      ...(plus === undefined ? [] : [laid(plus)]),
    ],
    { group: block, kernel_shape: [1, 1], ...(relu ? { activation: "Relu" } : {}) },
    BLOCKED,
  );
  return emit.node("Reshape", [y, emit.ints(shape)]);
}

/**
 * a b summed over the rows, [channels]: where `isOnePass` says so, no product is written. Stretches of LINE pixels of a are pictures of
 * their own, each convolved with the same stretch of b as a kernel of its size, which gives one number a channel.
 */
export function sumOfProducts(context: Context, a: Name, b: Name, shape: readonly number[]): Name {
  const { emit } = context;
  const channels = shape.at(-1) ?? 1;
  if (!isOnePass(context, shape))
    return columnSum(emit, emit.node("Mul", [a, b]), elements(shape) / channels, channels);
  const count = elements(shape) / LINE;
  const pictures = emit.node("Reshape", [a, emit.ints([1, count, 1, LINE])]);
  const kernels = emit.node("Reshape", [b, emit.ints([count, 1, 1, LINE])]);
  const sums = emit.node("Conv", [pictures, kernels], { group: count, kernel_shape: [1, LINE] }, BLOCKED);
  return columnSum(emit, sums, count / channels, channels);
}
