import { InvalidArgumentError } from "commander";
import type { Engine } from "../engine/engine.ts";

export const ENGINES = ["cpu", "webgpu", "reference"] as const;
export type EngineName = (typeof ENGINES)[number];

export async function createEngine(name: EngineName, threads?: number): Promise<Engine> {
  if (name === "reference") {
    const { createReferenceEngine } = await import("../engine/reference/reference-engine.ts");
    return createReferenceEngine();
  }
  const { createOnnxEngine } = await import("../engine/onnx/onnx-engine.ts");
  return createOnnxEngine({ executionProvider: name, ...(threads === undefined ? {} : { threads }) });
}

export function engineName(text: string): EngineName {
  const found = ENGINES.find((name) => name === text);
  if (found) return found;
  throw new InvalidArgumentError(`expected one of ${ENGINES.join(", ")}`);
}
