/** What stands behind a barrier is computed again by onnxruntime too, whatever its optimiser finds equal. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import ort from "onnxruntime-node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lower } from "../../src/engine/onnx/lower.ts";
import type { Graph, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-barrier-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The operators that are left of a graph, in the order in which they run. */
async function optimised(graph: Graph): Promise<string[]> {
  const file = join(folder, "optimised.onnx");
  const place = (): never => {
    throw new Error("there are no constants");
  };
  const model = lower(graph, "cpu", { constants: {}, place, arithmetic: "float32" }).write();
  const session = await ort.InferenceSession.create(model, { optimizedModelFilePath: file, logSeverityLevel: 3 });
  await session.release();
  return fromBinary(ModelProtoSchema, await readFile(file)).graph?.node.map(({ opType }) => opType) ?? [];
}

const DEPTH = 4;
const built = (checkpointed: boolean): Graph =>
  g.trace({ x: { dtype: "f32", shape: [32, 16] }, w: { dtype: "f32", shape: [16, 16] } }, ({ x, w }) => {
    const keep: Tensor[] = [];
    let y = x;
    for (let block = 0; block < DEPTH; block++) {
      keep.push(y);
      y = g.erf(g.abs(g.linear(y, w)));
    }
    return { dw: g.gradients(g.reduceSum(y), [w], { keep: checkpointed ? keep : [] })[0] as Tensor };
  });

it("keeps each block's forward pass and its repetition apart", async () => {
  const count = (ops: readonly string[], op: string): number => ops.filter((other) => other === op).length;
  const [plain, again] = [await optimised(built(false)), await optimised(built(true))];
  expect(count(plain, "Abs")).toBe(DEPTH);
  expect(count(again, "Abs")).toBe(2 * DEPTH - 1);
  // Forward, again, and two gradients a block; the first needs none to its input.
  expect(count(again, "Gemm") + count(again, "MatMul")).toBeGreaterThanOrEqual(4 * DEPTH - 3);
});
