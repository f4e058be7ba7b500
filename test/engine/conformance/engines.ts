/** Every engine that has to pass the suite. */

import type { Engine } from "../../../src/engine/engine.ts";
import { createOnnxEngine } from "../../../src/engine/onnx/onnx-engine.ts";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";

export interface EngineUnderTest {
  readonly name: string;
  create(): Promise<Engine>;
}

/** The onnx engine's worker is the built one: `npm test` builds first. */
export const ENGINES: readonly EngineUnderTest[] = [
  { name: "reference", create: async () => createReferenceEngine() },
  { name: "onnx", create: () => createOnnxEngine({ executionProvider: "cpu", threads: 1 }) },
  // Some kernels split their work, and then add in another order.
  { name: "onnx on two threads", create: () => createOnnxEngine({ executionProvider: "cpu", threads: 2 }) },
];
