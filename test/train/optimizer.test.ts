import { expect, it } from "vitest";
import { type StateValues, wholeValue } from "../../src/engine/engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { elements, type HostTensor, hostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import {
  type AdamW,
  groupParameters,
  initialMoments,
  unpackMoments,
  update,
  updateScalars,
  updateSignature,
} from "../../src/train/optimizer.ts";
import { startingValues } from "../../src/train/starting-values.ts";

/** Two that stay apart, two decayed ones and two plain ones that are packed. */
const SHAPES = { big: [128, 128], "big.bias": [16_384], a: [3, 4], "a.bias": [4], b: [2, 2, 2], "b.bias": [] };
const decays = (name: string): boolean => !name.endsWith("bias");

let seed = 1;
const noise = (): number => Math.sin(seed++ * 12.9898) * 2;
const random = (shape: readonly number[]): HostTensor =>
  hostTensor("f64", shape, Array.from({ length: elements(shape) }, noise));

/** AdamW as Loshchilov and Hutter write it (algorithm 2), number by number. */
function textbook(adam: AdamW, rate: number, step: number, decayed: boolean) {
  return (value: number, gradient: number, moments: { m: number; v: number }): number => {
    moments.m = adam.beta1 * moments.m + (1 - adam.beta1) * gradient;
    moments.v = adam.beta2 * moments.v + (1 - adam.beta2) * gradient ** 2;
    const m = moments.m / (1 - adam.beta1 ** (step + 1));
    const v = moments.v / (1 - adam.beta2 ** (step + 1));
    return value - rate * (m / (Math.sqrt(v) + adam.epsilon) + (decayed ? adam.weightDecay * value : 0));
  };
}

it.each([undefined, 0.5, 1e9])("is the textbook's AdamW with gradients limited to %s", async (maxNorm) => {
  const adam: AdamW = {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-3,
    weightDecay: 0.3,
    ...(maxNorm === undefined ? {} : { maxNorm }),
  };
  const groups = groupParameters(SHAPES, decays);
  expect(groups.map(({ members }) => members.map(({ name }) => name))).toEqual([
    ["big"],
    ["big.bias"],
    ["a", "b"],
    ["a.bias", "b.bias"],
  ]);
  const names = Object.keys(SHAPES) as (keyof typeof SHAPES)[];
  const parameters = Object.fromEntries(names.map((name) => [name, random(SHAPES[name])]));
  const moments = initialMoments(groups, "f64");
  const typeOf = (values: Readonly<Record<string, HostTensor>>, prefix = "") =>
    Object.fromEntries(Object.entries(values).map(([name, { dtype, shape }]) => [prefix + name, { dtype, shape }]));
  const signature = {
    ...typeOf(parameters),
    ...typeOf(parameters, "gradient."),
    ...typeOf(moments),
    ...updateSignature("f64"),
  };
  const graph = trace(signature, (x: Readonly<Record<string, Tensor>>) => {
    const of = (name: string): Tensor => x[name] ?? expect.fail(`no ${name}`);
    const values = Object.fromEntries(names.map((name) => [name, of(name)]));
    const gradients = Object.fromEntries(names.map((name) => [name, of(`gradient.${name}`)]));
    const scalars = { size: of("size"), floor: of("floor"), keep: of("keep") };
    const updated = update(adam, groups, values, gradients, x, scalars);
    return { ...updated.parameters, ...updated.moments, norm: updated.norm, squares: updated.squares };
  });
  const engine = createReferenceEngine();
  const state = await engine.createState({ ...parameters, ...moments });
  const program = await engine.compile(graph, { state: state.names });

  const expected = Object.fromEntries(names.map((name) => [name, Array.from(parameters[name]?.data ?? [])]));
  const expectedMoments = Object.fromEntries(
    names.map((name) => [name, (expected[name] ?? []).map(() => ({ m: 0, v: 0 }))]),
  );
  for (let step = 0; step < 4; step++) {
    const rate = 0.01 * (step + 1);
    const gradients = Object.fromEntries(names.map((name) => [`gradient.${name}`, random(SHAPES[name])]));
    const scalars = Object.entries(updateScalars(adam, rate, step)).map(([name, x]) => [
      name,
      hostTensor("f64", [], [x]),
    ]);
    const out = await program.run({ ...gradients, ...Object.fromEntries(scalars) }, state);
    const squares = names.map((name) =>
      Array.from(gradients[`gradient.${name}`]?.data ?? []).reduce((sum, g) => sum + g * g, 0),
    );
    const norm = Math.sqrt(squares.reduce((a, b) => a + b));
    expect(out.norm?.data[0]).toBeCloseTo(norm, 9);
    expect(Array.from(out.squares?.data ?? [])).toEqual(squares.map((square) => expect.closeTo(square, 8)));
    const limit = maxNorm === undefined ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
    const now = await state.read(names);
    for (const name of names) {
      const rule = textbook(adam, rate, step, decays(name));
      const gradient = gradients[`gradient.${name}`]?.data ?? [];
      const values = expected[name] ?? [];
      let worst = 0;
      for (const [i, value] of values.entries()) {
        values[i] = rule(value, (gradient[i] ?? 0) * limit, expectedMoments[name]?.[i] ?? expect.fail("no moments"));
        worst = Math.max(worst, Math.abs((now[name]?.data[i] ?? Number.NaN) - (values[i] ?? 0)));
      }
      expect(worst, `${name} after step ${step}`).toBeLessThan(1e-12);
    }
  }
});

const allMade = async (values: StateValues): Promise<Record<string, HostTensor>> => {
  const made: Record<string, HostTensor> = {};
  for (const [name, value] of Object.entries(values)) made[name] = await wholeValue(value);
  return made;
};

it("packs and unpacks moments without loss", async () => {
  const groups = groupParameters(SHAPES, decays);
  const saved = Object.fromEntries(
    Object.entries(SHAPES).flatMap(([name, shape]) =>
      ["moment1", "moment2"].map((moment) => {
        const data = Float32Array.from({ length: elements(shape) }, noise);
        return [`${moment}.${name}`, { dtype: "f32", shape, data } as HostTensor];
      }),
    ),
  );
  const packed = await allMade(startingValues(saved, {}, groups));
  expect(Object.keys(packed).length).toBe(8);
  expect(unpackMoments(groups, packed)).toEqual(saved);
  const { "moment2.b": _, ...without } = saved;
  expect(() => startingValues(without, {}, groups)).toThrow("training: expected a tensor moment2.b [2,2,2], got none");
});
