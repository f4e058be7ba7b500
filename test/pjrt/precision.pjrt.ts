/** bfloat16 beside float32: near it, not equal to it, and everything that has to be float32 is. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensors, Precision, TrainingPrecision } from "../../src/engine/engine.ts";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import type { HostTensor, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { createTrainer } from "../../src/train/trainer.ts";
import { fill } from "../graph/random.ts";
import { ADAM, BATCH, OFFICIAL, readBatches, readInitial, readRecord } from "../train/golden.ts";
import { pluginPath } from "./plugin.ts";

/** Largest difference, of the largest magnitude. */
function difference(found: HostTensor | undefined, expected: HostTensor | undefined): number {
  if (!found || !expected) throw new Error("a result is missing");
  const differences = Array.from(found.data, (value, i) => Math.abs(value - (expected.data[i] ?? Number.NaN)));
  return Math.max(...differences) / Math.max(...Array.from(expected.data, Math.abs));
}

describe("bfloat16", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createPjrtEngine({ plugin: pluginPath() });
  });
  afterAll(() => engine.close());

  const run = async (graph: g.Graph, inputs: HostTensors, precision: Precision): Promise<HostTensors> => {
    const program = await engine.compile(graph, { precision });
    const found = await program.run(inputs);
    await program.close();
    return found;
  };

  /** Factors in every order that products and their gradients have. */
  const products: Readonly<Record<string, readonly [number[], number[], g.OpAttrs["dot"]]>> = {
    "rows by columns": [[9, 40], [40, 7], { batch: [[], []], contract: [[1], [0]] }],
    "rows by rows": [[9, 40], [7, 40], { batch: [[], []], contract: [[1], [1]] }],
    "columns by columns": [[40, 9], [40, 7], { batch: [[], []], contract: [[0], [0]] }],
    "columns by rows": [[40, 9], [7, 40], { batch: [[], []], contract: [[0], [1]] }],
    "two axes contracted": [
      [5, 8, 9],
      [5, 8, 7],
      {
        batch: [[], []],
        contract: [
          [0, 1],
          [0, 1],
        ],
      },
    ],
    "two axes contracted crosswise": [
      [5, 8, 9],
      [8, 7, 5],
      {
        batch: [[], []],
        contract: [
          [1, 0],
          [0, 2],
        ],
      },
    ],
    "a batch in front": [
      [2, 3, 9, 8],
      [2, 3, 7, 8],
      {
        batch: [
          [0, 1],
          [0, 1],
        ],
        contract: [[3], [3]],
      },
    ],
    "a batch, columns by columns": [
      [2, 3, 8, 9],
      [2, 3, 8, 7],
      {
        batch: [
          [0, 1],
          [0, 1],
        ],
        contract: [[2], [2]],
      },
    ],
    "a batch behind": [[9, 8, 3], [8, 3, 7], { batch: [[2], [1]], contract: [[1], [0]] }],
    "a vector": [[40], [40, 7], { batch: [[], []], contract: [[0], [0]] }],
    "nothing contracted": [[4], [5], { batch: [[], []], contract: [[], []] }],
  };

  it.each(Object.entries(products))("rounds %s", async (_, [a, b, axes]) => {
    const graph = g.trace({ a: { dtype: "f32", shape: a }, b: { dtype: "f32", shape: b } }, (x) => ({
      y: g.dot(x.a, x.b, axes),
    }));
    const [left, right] = fill(
      [a, b].map((shape) => ({ dtype: "f32", shape, elements: "any" })),
      7,
    ) as [HostTensor, HostTensor];
    const inputs = { a: left, b: right };
    const reference = createReferenceEngine();
    const expected = await (await reference.compile(graph)).run(inputs);
    const exact = await run(graph, inputs, "float32");
    const narrow = await run(graph, inputs, "bfloat16");
    expect(narrow.y?.shape).toEqual(expected.y?.shape);
    expect(difference(exact.y, expected.y)).toBeLessThan(1e-6);
    // Eight bits of each factor, and of the result.
    expect(difference(narrow.y, expected.y)).toBeLessThan(2e-2);
    expect(difference(narrow.y, expected.y)).toBeGreaterThan(1e-5);
  });

  it("leaves an exact product, a sum of squares, normalisation and the loss as they are", async () => {
    const shape = [16, 32] as const;
    const graph = g.trace({ x: { dtype: "f32", shape }, t: { dtype: "i32", shape: [16] } }, ({ x, t }) => {
      const flat = g.reshape(x, [-1]);
      const ones: Tensor = g.constant(1, "f32", [32]);
      return {
        cosines: g.dot(x, x, { batch: [[], []], contract: [[1], [1]], exact: true }),
        squares: g.dot(flat, flat, { batch: [[], []], contract: [[0], [0]] }),
        normal: g.layerNorm(x, ones, g.constant(0, "f32", [32])),
        loss: g.crossEntropy(g.softmax(x), t),
      };
    });
    const [x] = fill([{ dtype: "f32", shape, elements: "any" }], 3) as [HostTensor];
    const inputs = {
      x,
      t: g.hostTensor(
        "i32",
        [16],
        Array.from({ length: 16 }, (_, i) => i),
      ),
    };
    expect(await run(graph, inputs, "bfloat16")).toEqual(await run(graph, inputs, "float32"));
  });

  it.each(["tiny-vit", "tiny-rn"] as const)(
    "follows the official training of %s within its rounding",
    async (model) => {
      const { history_f64 } = readRecord(model).five_steps;
      const batches = await readBatches(model);
      const losses = async (precision: TrainingPrecision): Promise<number[]> => {
        const options = { config: OFFICIAL[model], adam: ADAM, batch: BATCH, precision };
        const trainer = await createTrainer(engine, options, await readInitial(model));
        const all: number[] = [];
        for (const { step, lr } of history_f64) all.push((await trainer.step([batches(step)], lr, step)).loss);
        await trainer.close();
        return all;
      };
      const [exact, narrow] = [await losses("float32"), await losses("bfloat16")];
      for (const [i, { loss }] of history_f64.entries()) {
        expect(Math.abs((exact[i] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
        expect(Math.abs((narrow[i] ?? Number.NaN) - loss)).toBeLessThan(0.05);
      }
      expect(narrow).not.toEqual(exact);
    },
  );

  it("is refused by an engine that has none", async () => {
    const graph = g.trace({ x: { dtype: "f32", shape: [2] } }, ({ x }) => ({ y: g.neg(x) }));
    await expect(createReferenceEngine().compile(graph, { precision: "bfloat16" })).rejects.toThrow(
      "reference: computes in float32 only, bfloat16 was asked for",
    );
  });
});
