/** Gradients as the definition has them: the oracle that no rule of the graph can fool. */
import { expect } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import {
  add,
  constant,
  elements,
  type Graph,
  type HostTensor,
  hostArray,
  mul,
  pullback,
  reduceSum,
  type Tensor,
  trace,
} from "../../src/graph/index.ts";
import { fill, type Operand, uniform } from "./random.ts";

/** A function of some operands; it is differentiated to those in f64. */
export interface GradientCase {
  readonly operands: readonly Operand[];
  build(...operands: Tensor[]): Tensor | readonly Tensor[];
}

/** Central differences of a smooth function: about 1e-10 from truncation and 1e-11 from rounding. */
const STEP = 1e-5;
const TOLERANCE = 1e-7;

/** Vector-Jacobian products of random cotangents against central differences, at every element of every f64 operand. */
export function checkGradients({ operands, build }: GradientCase, seed: number): void {
  const values = fill(operands, seed);
  const names = operands.map((_, i) => `x${i}`);
  const signature = Object.fromEntries(operands.map(({ dtype, shape }, i) => [`x${i}`, { dtype, shape }]));
  const given = Object.fromEntries(values.map((value, i) => [`x${i}`, value]));
  const moving = names.filter((_, i) => operands[i]?.dtype === "f64");

  const run = (inputs: Readonly<Record<string, Tensor>>) => {
    const results = [build(...names.map((name) => inputs[name] as Tensor))].flat() as Tensor[];
    const next = uniform(seed + 1);
    const cotangents = results.map((y) =>
      constant(
        hostArray("f64", elements(y.shape)).map(() => next() + 0.5),
        "f64",
        y.shape,
      ),
    );
    const terms = results.map((y, i) => reduceSum(mul(y, cotangents[i] as Tensor)));
    return { results, cotangents, loss: terms.reduce((sum, term) => add(sum, term)) };
  };
  const forward = trace(signature, (inputs) => ({ loss: run(inputs).loss }));
  const backward = trace(signature, (inputs) => {
    const { results, cotangents } = run(inputs);
    const found = pullback(
      results,
      cotangents,
      moving.map((name) => inputs[name] as Tensor),
    );
    return Object.fromEntries(moving.map((name, i) => [name, found[i] as Tensor]));
  });
  const gradients = interpret(backward, given);
  for (const name of moving) {
    const x = given[name] as HostTensor;
    const gradient = gradients[name] as HostTensor;
    expect(gradient.shape, `gradient to ${name}`).toEqual(x.shape);
    expectClose(Array.from(gradient.data), differences(forward, given, name), `gradient to ${name} [${x.shape}]`);
  }
}

/** d loss / d each element of one input. */
export function differences(graph: Graph, given: Readonly<Record<string, HostTensor>>, name: string): number[] {
  const x = given[name] as HostTensor;
  const loss = (): number => interpret(graph, given).loss?.data[0] as number;
  return Array.from(x.data, (value, i) => {
    x.data[i] = value + STEP;
    const above = loss();
    x.data[i] = value - STEP;
    const below = loss();
    x.data[i] = value;
    return (above - below) / (2 * STEP);
  });
}

/** Within the tolerance of the largest magnitude, or of 1. */
export function expectClose(
  found: readonly number[],
  expected: readonly number[],
  what: string,
  tolerance = TOLERANCE,
): void {
  expect(found.length, what).toBe(expected.length);
  const scale = expected.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1);
  for (const [i, x] of expected.entries()) {
    const y = found[i] as number;
    // Negated, so that NaN fails.
    if (!(Math.abs(x - y) <= tolerance * scale))
      throw new Error(`${what}: element ${i} is ${y}, expected ${x} (all: [${found}], expected [${expected}])`);
  }
}
