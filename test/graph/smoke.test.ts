import { expect, it } from "vitest";
import { interpret } from "../../src/engine/reference/reference-engine.ts";
import * as g from "../../src/graph/index.ts";

it("differentiates a small network as finite differences do", () => {
  const signature = {
    x: { dtype: "f64", shape: [2, 4, 4, 3] },
    k: { dtype: "f64", shape: [2, 3, 3, 3] },
    s: { dtype: "f64", shape: [2] },
    b: { dtype: "f64", shape: [2] },
  } as const;
  const graph = g.trace(signature, ({ x, k, s, b }) => {
    const { y } = g.batchNorm(g.convolution(x, k, { padding: 1 }), s, b);
    const pooled = g.reshape(g.avgPool(g.relu(y), 2), [2, 4, 2]);
    const mixed = g.attention(pooled, pooled, pooled, { heads: 1, causal: true });
    const loss = g.reduceSum(g.mul(g.quickGelu(g.layerNorm(mixed, s, b)), g.gelu(pooled)));
    const [dx, dk, ds] = g.gradients(loss, [x, k, s]);
    return { loss, dx: dx as g.Tensor, dk: dk as g.Tensor, ds: ds as g.Tensor };
  });
  const values: Record<string, g.HostTensor> = {};
  let seed = 1;
  for (const [name, { shape }] of Object.entries(signature))
    values[name] = g.hostTensor(
      "f64",
      shape,
      Array.from({ length: g.elements(shape) }, () => Math.sin(seed++ * 12.9898)),
    );
  const out = interpret(graph, values);
  for (const name of ["x", "k", "s"]) {
    const v = values[name] as g.HostTensor;
    for (let i = 0; i < v.data.length; i += 5) {
      const was = v.data[i] as number;
      const h = 1e-5;
      v.data[i] = was + h;
      const up = interpret(graph, values).loss?.data[0] as number;
      v.data[i] = was - h;
      const down = interpret(graph, values).loss?.data[0] as number;
      v.data[i] = was;
      expect(out[`d${name}`]?.data[i]).toBeCloseTo((up - down) / (2 * h), 5);
    }
  }
  expect(g.print(graph)).toContain("reluGrad");
});
