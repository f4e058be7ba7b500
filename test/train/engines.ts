/** The engines that training is tested on. */
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";

export const fastEngines = (): { readonly name: string; readonly create: () => Promise<Engine> }[] => [
  { name: "onnx", create: () => createOnnxEngine({ threads: 1 }) },
];
