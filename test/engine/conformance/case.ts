/** One graph that every engine has to compute as the reference engine does in double precision. */
import { expect } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { interpret } from "../../../src/engine/reference/reference-engine.ts";
import {
  type DType,
  type Graph,
  type HostTensor,
  hostTensor,
  isFloat,
  show,
  type Tensor,
  type TensorType,
  trace,
} from "../../../src/graph/index.ts";
import { type Elements, fill, type Operand } from "../../graph/random.ts";

export interface Case {
  readonly name: string;
  /** Floats are f32 on the engine under test and f64, with the same numbers, on the reference. */
  readonly operands: readonly Operand[];
  /** New floating tensors take an operand's dtype. */
  build(...operands: Tensor[]): Tensor | readonly Tensor[];
  /** Of the largest magnitude of each result. @default 1e-5 */
  readonly tolerance?: number;
}

export const real = (shape: readonly number[], elements: Elements = "any"): Operand => ({
  dtype: "f32",
  shape,
  elements,
});
export const whole = (shape: readonly number[], elements: Elements = { within: 9 }): Operand => ({
  dtype: "i32",
  shape,
  elements,
});
export const bytes = (shape: readonly number[], below = 256): Operand => ({ dtype: "u8", shape, elements: { below } });
export const truths = (shape: readonly number[]): Operand => ({ dtype: "bool", shape, elements: "bool" });

/** One case for each shape or list of operands. */
export function each<T>(list: readonly T[], make: (item: T) => Case): Case[] {
  return list.map(make);
}

export const named = (...shapes: (readonly number[])[]): string => shapes.map((shape) => `[${shape}]`).join(" ");

const TOLERANCE = 1e-5;
const SEED = 3;

function traced({ operands, build }: Case, float: "f32" | "f64"): Graph {
  const signature: Record<string, TensorType> = {};
  for (const [i, { dtype, shape }] of operands.entries())
    signature[`x${i}`] = { dtype: dtype === "f32" ? float : dtype, shape };
  return trace(signature, (inputs) => {
    const results = [build(...operands.map((_, i) => inputs[`x${i}`] as Tensor))].flat() as Tensor[];
    return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
  });
}

const asFloat = (value: HostTensor, float: DType): HostTensor =>
  value.dtype === "f32" ? hostTensor(float, value.shape, Array.from(value.data)) : value;

/** Compiles, runs and compares one case. */
export async function check(engine: Engine, one: Case): Promise<void> {
  const values = fill(one.operands, SEED);
  const inputs = (float: DType) => Object.fromEntries(values.map((value, i) => [`x${i}`, asFloat(value, float)]));
  const graph = traced(one, "f32");
  const program = await engine.compile(graph);
  const found = await program.run(inputs("f32"));
  await program.close();
  const expected = interpret(traced(one, "f64"), inputs("f64"));
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  for (const { name, tensor } of graph.outputs)
    expectSame(name, found[name], { ...(expected[name] as HostTensor), dtype: tensor.dtype }, one.tolerance);
}

/** Floats within the tolerance of the largest magnitude (or of 0.1, the size of sums that cancel); others exactly. */
export function expectSame(
  what: string,
  found: HostTensor | undefined,
  expected: HostTensor,
  tolerance = TOLERANCE,
): void {
  if (!found) throw new Error(`${what}: is missing`);
  expect(show(found), what).toBe(show(expected));
  expect(found.data.length, `${what}: elements`).toBe(expected.data.length);
  const magnitudes = Array.from(expected.data, Math.abs).filter(Number.isFinite);
  const largest = magnitudes.reduce((a, b) => Math.max(a, b), 0.1);
  const allowed = isFloat(expected.dtype) ? tolerance * largest : 0;
  for (const [i, y] of found.data.entries()) {
    const x = expected.data[i] as number;
    if (!(Object.is(x, y) || Math.abs(x - y) <= allowed))
      throw new Error(
        `${what} ${show(expected)}: element ${i} is ${y}, expected ${x}: [${first(found)}], expected [${first(expected)}]`,
      );
  }
}

const first = ({ data }: HostTensor): string => `${data.subarray(0, 12)}${data.length > 12 ? ", ..." : ""}`;
