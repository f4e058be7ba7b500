export type { CompileOptions, Engine, HostTensors, Program, State } from "./engine.ts";
export { createOnnxEngine, type OnnxEngineOptions } from "./onnx/onnx-engine.ts";
export { createPjrtEngine, type PjrtEngineOptions } from "./pjrt/pjrt-engine.ts";
export { createReferenceEngine } from "./reference/reference-engine.ts";
