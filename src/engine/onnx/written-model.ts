/** A graph as a model that onnxruntime can read. */
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BYTES, elements, type Graph, isResizable } from "../../graph/index.ts";
import type { HostTensors } from "../engine.ts";
import { bytesOf, type Emitter, type Name, type Placed } from "./emitter.ts";
import { updatedInPlace } from "./in-place.ts";
import { type LowerOptions, lower } from "./lower.ts";
import type { ExecutionProvider, ModelSource } from "./protocol.ts";
import { lowerResizable } from "./resizable.ts";

/** Weights beyond this stand in a file beside the model: in a protobuf, which holds at most 2 GiB, they would be copied several times. */
const LARGEST_EMBEDDED = 2 ** 24;

/** The model as bytes, or, with large weights, as a file with the weights beside it in a folder of its own. */
export async function writeModel(
  graph: Graph,
  constants: HostTensors,
  provider: ExecutionProvider,
  kernels: Pick<LowerOptions, "arithmetic" | "channelBlock">,
  updated: readonly string[],
): Promise<
  Pick<ModelSource, "inPlace"> & { readonly model: Uint8Array<ArrayBuffer> | string; readonly folder?: string }
> {
  const total = Object.values(constants).reduce((sum, { data }) => sum + data.byteLength, 0);
  if (total <= LARGEST_EMBEDDED) {
    const place = (emit: Emitter, value: Placed): Name => emit.initializer(emit.fresh(), value);
    const emit = lowered(graph, provider, { constants, place, ...kernels });
    return { model: emit.write(), inPlace: updatedInPlace(emit.parts(), updated) };
  }
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-"));
  try {
    const weights: Placed[] = [];
    let offset = 0;
    const place = (emit: Emitter, value: Placed): Name => {
      const placed = emit.initializer(emit.fresh(), value, {
        file: "weights.bin",
        offset,
        length: lengthOf(value),
      });
      weights.push(value);
      offset += lengthOf(value);
      return placed;
    };
    const emit = lowered(graph, provider, { constants, place, ...kernels });
    const file = await open(join(folder, "weights.bin"), "w");
    try {
      for (const { data } of weights) await file.writeFile(bytesOf(data));
    } finally {
      await file.close();
    }
    await writeFile(join(folder, "model.onnx"), emit.write());
    return { model: join(folder, "model.onnx"), folder, inPlace: updatedInPlace(emit.parts(), updated) };
  } catch (error) {
    // A full disk, say: nothing half-written stays.
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function lowered(graph: Graph, provider: ExecutionProvider, options: LowerOptions): Emitter {
  return isResizable(graph) ? lowerResizable(graph, provider, options) : lower(graph, provider, options);
}

const lengthOf = ({ dtype, shape }: Placed): number => elements(shape) * (dtype === "f16" ? 2 : BYTES[dtype]);
