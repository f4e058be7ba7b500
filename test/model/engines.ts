/** The engines that the models' tests run on. */
import { afterAll, beforeAll } from "vitest";
import type { Engine, HostTensors } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { type HostTensor, type Tensor, trace } from "../../src/graph/index.ts";

export interface EngineUnderTest {
  readonly name: string;
  /** Plain loops: large inputs take minutes. */
  readonly slow: boolean;
  readonly create: () => Engine | Promise<Engine>;
}

export function engines(): EngineUnderTest[] {
  return [
    { name: "reference", slow: true, create: createReferenceEngine },
    { name: "onnx", slow: false, create: () => createOnnxEngine({ threads: 2 }) },
  ];
}

export const REFERENCE: EngineUnderTest = { name: "reference", slow: true, create: createReferenceEngine };

/** An engine that lives as long as the surrounding block of tests, as a function that computes once. */
export function running(engine: EngineUnderTest) {
  let alive: Engine | undefined;
  beforeAll(async () => {
    alive = await engine.create();
  });
  afterAll(() => alive?.close());
  return async <N extends string>(
    inputs: HostTensors,
    fn: (inputs: Readonly<Record<string, Tensor>>) => Readonly<Record<N, Tensor>>,
  ): Promise<Readonly<Record<N, HostTensor>>> => {
    if (!alive) throw new Error(`${engine.name} is not there`);
    const program = await alive.compile(trace(inputs, fn));
    try {
      return (await program.run(inputs)) as Readonly<Record<N, HostTensor>>;
    } finally {
      await program.close();
    }
  };
}
