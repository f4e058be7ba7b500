import { expect, it } from "vitest";
import type { Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";

it("writes a graph a line a value, numbered from 0, with the attributes that the type does not say", () => {
  const signature = {
    images: { dtype: "f32", shape: [2, 4, 4, 3] },
    kernel: { dtype: "f32", shape: [5, 3, 2, 2] },
    unused: { dtype: "i32", shape: [] },
  } as const;
  const graph = g.trace(signature, ({ images, kernel }) => {
    const patches = g.reshape(g.convolution(images, kernel, { stride: 2 }), [8, 5]);
    const mean = g.reduceMean(patches, [0]);
    const offset = g.constant(new Float32Array([1, 2, 3, 4, 5]), "f32", [5]);
    return { mean: g.add(mean, offset), best: g.argmax(patches), again: mean };
  });
  expect(g.print(graph)).toBe(`\
(images: f32[2,4,4,3], kernel: f32[5,3,2,2], unused: i32[])
%0 f32[2,4,4,3] = input images
%1 f32[5,3,2,2] = input kernel
%2 f32[2,2,2,5] = convolution %0 %1 stride=[2,2] padding=[[0,0],[0,0]]
%3 f32[8,5] = reshape %2 shape=[8,5]
%4 f32[5] = reduceSum %3 axes=[0]
%5 f32[] = constant value=0.125
%6 f32[5] = broadcast %5 dimensions=[]
%7 f32[5] = mul %4 %6
%8 f32[5] = constant value=Float32Array
%9 f32[5] = add %7 %8
%10 i32[8] = argmax %3 axis=1
-> mean: %9, best: %10, again: %7`);
});

it("prints the same text for the same function, whatever was traced before", () => {
  const make = (): string =>
    g.print(
      g.trace({ x: { dtype: "f32", shape: [3] } }, ({ x }) => ({
        d: g.gradients(g.reduceSum(g.gelu(x)), [x])[0] as Tensor,
      })),
    );
  const first = make();
  g.exp(g.input("z", "f32", []));
  expect(make()).toBe(first);
});
