/** Stands in for the conformance suite's list of engines. */
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import type { EngineUnderTest } from "../engine/conformance/engines.ts";

export const ENGINES: readonly EngineUnderTest[] = [
  { name: "onnx webgpu", create: () => createOnnxEngine({ executionProvider: "webgpu" }) },
];
