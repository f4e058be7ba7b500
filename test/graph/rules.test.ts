import { describe, expect, it } from "vitest";
import type { DType, OpAttrs, OpName, Tensor } from "../../src/graph/index.ts";
import * as g from "../../src/graph/index.ts";
import { node } from "../../src/graph/node.ts";
import { GRADIENT_CASES } from "./gradient-cases.ts";

const t = (dtype: DType, ...shape: number[]): Tensor => g.input("x", dtype, shape);
const f = (...shape: number[]): Tensor => t("f32", ...shape);
const i = (...shape: number[]): Tensor => t("i32", ...shape);
const u8 = (...shape: number[]): Tensor => t("u8", ...shape);
const b = (...shape: number[]): Tensor => t("bool", ...shape);

/** A node made directly, as a rewrite would, with no builder in between. */
const make =
  <K extends OpName>(op: K, attrs: OpAttrs[K], ...inputs: Tensor[]) =>
  (): Tensor =>
    node(op, attrs, inputs);

const unpadded = {
  stride: [1, 1],
  padding: [
    [0, 0],
    [0, 0],
  ],
} as const;
const plainDot = { batch: [[], []], contract: [[1], [0]] } as const;

/** What is refused, and what the message has to hold: the op, what it got, and what it expected where there is one answer. */
const REFUSED: readonly (readonly [make: () => unknown, ...message: string[]])[] = [
  [make("input", { name: "x", dtype: "f32", shape: [2, -1] }), "input", "whole numbers", "[2,-1]"],
  [make("constant", { value: 1, dtype: "f32", shape: [1.5] }), "constant", "whole numbers", "[1.5]"],
  [make("constant", { value: new Float32Array(3), dtype: "f32", shape: [2] }), "constant", "[2]", "3 values"],
  [make("constant", { value: new Int32Array(2), dtype: "f32", shape: [2] }), "constant", "Int32Array", "f32"],
  [make("constant", { value: 0.5, dtype: "i32", shape: [] }), "constant", "0.5", "i32"],
  [make("constant", { value: -1, dtype: "u8", shape: [] }), "constant", "-1", "u8"],
  [make("constant", { value: 2, dtype: "bool", shape: [] }), "constant", "2", "bool"],
  [make("iota", { axis: 1, dtype: "i32", shape: [4] }), "iota", "axis 1", "rank 1"],
  [make("neg", {}, f(2), f(2)), "neg", "expected 1 operands", "got 2"],
  [make("exp", {}, i(2)), "exp", "floating", "i32[2]"],
  [make("not", {}, f(2)), "not", "expected bool", "f32[2]"],
  [make("add", {}, f(2), f(3)), "add", "f32[2]", "f32[3]"],
  [make("add", {}, f(2), i(2)), "add", "f32[2]", "i32[2]"],
  [make("mul", {}, b(2), b(2)), "mul", "bool[2]"],
  [make("pow", {}, i(2), i(2)), "pow", "i32[2]"],
  [make("and", {}, i(2), i(2)), "and", "i32[2]"],
  [make("compare", { direction: "lt" }, f(2), f(2, 1)), "compare", "f32[2]", "f32[2,1]"],
  [make("compare", { direction: "eq" }, b(2), b(2)), "compare", "bool[2]"],
  [make("select", {}, f(2), f(2), f(2)), "select", "f32[2]", "expected bool"],
  [make("select", {}, b(2), f(2), f(3)), "select", "f32[2]", "f32[3]"],
  [make("select", {}, b(2), f(2), i(2)), "select", "f32[2]", "i32[2]"],
  [make("reshape", { shape: [4] }, f(2, 3)), "reshape", "f32[2,3]", "[4]"],
  [make("reshape", { shape: [-2, -3] }, f(2, 3)), "reshape", "whole numbers", "[-2,-3]"],
  [() => g.reshape(f(5), [2, -1]), "reshape", "[2,2.5]"],
  [make("transpose", { permutation: [0, 0] }, f(2, 3)), "transpose", "[0,0]", "f32[2,3]"],
  [() => g.transpose(f(2, 3, 4), [0, 1]), "transpose", "[0,1]", "f32[2,3,4]"],
  [make("broadcast", { shape: [2, 3], dimensions: [0] }, f(3)), "broadcast", "f32[3]", "[2,3]"],
  [make("broadcast", { shape: [2, 3], dimensions: [1, 0] }, f(3, 2)), "broadcast", "[1,0]", "ascend"],
  [make("broadcast", { shape: [2, 3], dimensions: [2] }, f(3)), "broadcast", "axis 2", "rank 2"],
  [make("broadcast", { shape: [2, 3], dimensions: [] }, f(3)), "broadcast", "0 dimensions", "f32[3]"],
  [make("broadcast", { shape: [-2, 3], dimensions: [1] }, f(3)), "broadcast", "whole numbers", "[-2,3]"],
  [() => g.broadcastTo(f(2, 3), [3]), "broadcast"],
  [() => g.add(f(2, 3), f(2)), "add", "f32[2,3]", "f32[2]"],
  [() => g.add(1, 2), "at least one tensor"],
  [make("slice", { start: [0], limit: [3], stride: [1] }, f(2)), "slice", "0:3:1", "axis 0", "f32[2]"],
  [make("slice", { start: [2], limit: [1], stride: [1] }, f(3)), "slice", "2:1:1"],
  [make("slice", { start: [0], limit: [2], stride: [0] }, f(3)), "slice", "0:2:0"],
  [make("slice", { start: [0], limit: [1.5], stride: [1] }, f(3)), "slice", "whole numbers", "[1.5]"],
  [make("slice", { start: [0], limit: [2], stride: [1] }, f(3, 3)), "slice", "rank", "f32[3,3]"],
  [make("pad", { low: [-1], high: [0], interior: [0] }, f(3)), "pad", "[-1]", "f32[3]"],
  [make("pad", { low: [0.5], high: [0], interior: [0] }, f(3)), "pad", "[0.5]", "f32[3]"],
  [make("pad", { low: [1], high: [1], interior: [0] }, f(3, 3)), "pad", "rank", "f32[3,3]"],
  [make("concat", { axis: 0 }), "concat", "no operands"],
  [make("concat", { axis: 0 }, f(2, 3), f(2, 4)), "concat", "f32[2,4]", "f32[2,3]", "axis 0"],
  [make("concat", { axis: 0 }, f(2), i(2)), "concat", "i32[2]", "f32[2]"],
  [make("concat", { axis: 2 }, f(2, 3), f(2, 3)), "concat", "axis 2", "rank 2"],
  [make("reverse", { axes: [1] }, f(2)), "reverse", "axis 1", "rank 1"],
  [make("reverse", { axes: [0, 0] }, f(2)), "reverse", "repeat", "[0,0]"],
  [make("reduceSum", { axes: [0, 0] }, f(2, 2)), "reduceSum", "repeat", "[0,0]"],
  [make("reduceMax", { axes: [-1] }, f(2)), "reduceMax", "axis -1", "rank 1"],
  [make("reduceMin", { axes: [0] }, b(2)), "reduceMin", "bool[2]"],
  [make("argmax", { axis: 0 }, f(0)), "argmax", "f32[0]", "empty"],
  [make("argmax", { axis: 1 }, f(2)), "argmax", "axis 1", "rank 1"],
  [make("dot", plainDot, f(2, 3), f(4, 2)), "dot", "f32[2,3]", "f32[4,2]"],
  [make("dot", plainDot, f(2, 3), t("f64", 3, 2)), "dot", "f32[2,3]", "f64[3,2]"],
  [make("dot", plainDot, i(2, 3), i(3, 2)), "dot", "i32[2,3]"],
  [make("dot", { batch: [[0], []], contract: [[1], [0]] }, f(2, 3), f(3, 2)), "dot", "[0]", "[]"],
  [make("dot", { batch: [[0], [0]], contract: [[0], [1]] }, f(2, 2), f(2, 2)), "dot", "repeat"],
  [
    make(
      "dot",
      {
        batch: [[], []],
        contract: [
          [0, 0],
          [0, 1],
        ],
      },
      f(2, 2),
      f(2, 2),
    ),
    "dot",
    "repeat",
  ],
  [make("dot", { batch: [[], []], contract: [[2], [0]] }, f(2, 3), f(3)), "dot", "axis 2", "rank 2"],
  [() => g.matmul(f(8, 64), f(32, 16)), "matmul", "f32[8,64]", "f32[32,16]"],
  [() => g.matmul(f(2, 4, 5, 3), f(2, 3, 5)), "dot"],
  [make("gather", {}, f(2, 3), f(2)), "gather", "f32[2]", "expected i32"],
  [make("gather", {}, f(), i(2)), "gather", "f32[]"],
  [make("scatterAdd", {}, f(4, 3), i(2), f(2, 4)), "scatterAdd", "[2,3]", "f32[2,4]"],
  [make("scatterAdd", {}, f(4, 3), i(2), t("f64", 2, 3)), "scatterAdd", "f64[2,3]"],
  [make("scatterAdd", {}, f(4, 3), f(2), f(2, 3)), "scatterAdd", "expected i32", "f32[2]"],
  [make("scatterAdd", {}, b(4), i(2), b(2)), "scatterAdd", "bool[4]"],
  [make("gatherEach", {}, f(2, 3, 4), i(3, 2)), "gatherEach", "f32[2,3,4]", "i32[3,2]"],
  [make("gatherEach", {}, f(2), i(2, 2)), "gatherEach", "f32[2]"],
  [make("scatterAddEach", {}, f(2, 3, 4), i(2, 5), f(2, 5, 3)), "scatterAddEach", "[2,5,4]", "f32[2,5,3]"],
  [make("convolution", unpadded, f(1, 4, 4), f(2, 3, 1, 1)), "convolution", "f32[1,4,4]"],
  [make("convolution", unpadded, f(1, 4, 4, 2), f(2, 3, 1, 1)), "convolution", "f32[1,4,4,2]", "f32[2,3,1,1]"],
  [make("convolution", unpadded, f(1, 2, 4, 3), f(2, 3, 3, 3)), "convolution", "window of 3", "2"],
  [make("convolution", unpadded, f(1, 4, 4, 3), t("f64", 2, 3, 1, 1)), "convolution", "f64[2,3,1,1]"],
  [make("convolution", { ...unpadded, stride: [0, 1] }, f(1, 4, 4, 3), f(2, 3, 1, 1)), "convolution", "stride", "0"],
  [make("output", { index: 1 }, g.relu(f(2))), "output", "relu", "1"],
  [make("output", { index: 3 }, g.layerNorm(f(2, 3), f(3), f(3))), "output", "layerNorm", "3"],
  [make("output", { index: 0 }, g.layerNorm(f(2, 3), f(3), f(3))), "output", "layerNorm", "0"],
  [make("relu", {}, i(2)), "relu", "floating", "i32[2]"],
  [make("reluGrad", {}, f(2), f(3)), "reluGrad", "f32[2]", "f32[3]"],
  [make("quickGelu", {}, u8(2)), "quickGelu", "u8[2]"],
  [make("quickGeluGrad", {}, f(2), t("f64", 2)), "quickGeluGrad", "f32[2]", "f64[2]"],
  [make("gelu", {}), "gelu", "expected 1 operands", "got 0"],
  [make("geluTanh", {}, u8(2)), "geluTanh", "u8[2]"],
  [make("geluTanhGrad", {}, f(2), f(3)), "geluTanhGrad", "f32[2]", "f32[3]"],
  [make("softmax", {}, f()), "softmax", "f32[]"],
  [make("softmaxGrad", {}, f(), f()), "softmaxGrad", "f32[]"],
  [make("logSoftmax", {}, f()), "logSoftmax", "f32[]"],
  [make("l2Normalize", {}, f()), "l2Normalize", "f32[]"],
  [make("barrier", {}), "barrier", "no operand"],
  [make("placed", { sharding: [[], []] }, f(2)), "placed", "2 axes", "f32[2]"],
  [make("placed", { sharding: [["data"], ["data"]] }, f(2, 2)), "placed", "twice"],
  [make("linear", {}, f(2, 3), f(4, 2)), "linear", "f32[2,3]", "f32[4,2]"],
  [make("linear", {}, f(2, 3), f(4, 3), f(3)), "linear", "expected f32[4]", "f32[3]"],
  [make("linear", {}, f(2, 3), t("f64", 4, 3)), "linear", "f32[2,3]", "f64[4,3]"],
  [make("linear", {}, f(2, 3)), "linear", "got 1"],
  [make("linear", {}, i(2, 3), i(4, 3)), "linear", "floating", "i32[2,3]"],
  [make("layerNorm", { epsilon: 1e-5 }, f(2, 3), f(2), f(3)), "layerNorm", "expected f32[3]", "f32[2]"],
  [make("layerNorm", { epsilon: 1e-5 }, f(2, 3), f(3), t("f64", 3)), "layerNorm", "f32", "f64[3]"],
  [make("layerNormGrad", {}, f(2, 3), f(3), f(2, 1), f(2), f(2, 3)), "layerNormGrad", "expected f32[2,1]", "f32[2]"],
  [make("layerNormGrad", {}, f(2, 3), f(3), f(2, 1), f(2, 1), f(3, 2)), "layerNormGrad", "f32[3,2]"],
  [make("batchNorm", { epsilon: 1e-5 }, f(2, 3), f(3), f(3, 1)), "batchNorm", "expected f32[3]", "f32[3,1]"],
  [make("batchNormGrad", { epsilon: 1e-5 }, f(2, 3), f(3), f(3), f(3)), "batchNormGrad", "f32[2,3]", "f32[3]"],
  [make("linearBatchNorm", { epsilon: 1e-5 }, f(2, 3), f(4, 2), f(4), f(4)), "linearBatchNorm", "f32[4,2]"],
  [make("linearBatchNorm", { epsilon: 1e-5 }, f(2, 3), f(4, 3), f(4), f(3)), "linearBatchNorm", "[4]", "f32[3]"],
  [
    make("linearBatchNormGrad", { epsilon: 1e-5 }, f(2, 3), f(4, 3), f(4), f(4), f(3), f(2, 4)),
    "linearBatchNormGrad",
    "[4]",
    "f32[3]",
  ],
  [make("attention", { heads: 3, causal: false }, f(1, 2, 4), f(1, 2, 4), f(1, 2, 4)), "attention", "4", "3 heads"],
  [make("attention", { heads: 0, causal: false }, f(1, 2, 4), f(1, 2, 4), f(1, 2, 4)), "attention", "0 heads"],
  [make("attention", { heads: 1, causal: false }, f(1, 2, 4), f(2, 2, 4), f(1, 2, 4)), "attention", "f32[2,2,4]"],
  [
    make("attention", { heads: 1, causal: false }, f(1, 2, 4), f(1, 2, 4), t("f64", 1, 2, 4)),
    "attention",
    "f64[1,2,4]",
  ],
  [make("avgPool", { window: 2 }, f(1, 3, 4, 1)), "avgPool", "2", "f32[1,3,4,1]"],
  [make("avgPool", { window: 2 }, i(1, 4, 4, 1)), "avgPool", "floating", "i32[1,4,4,1]"],
  [make("upsample", { window: 2 }, f(2, 2)), "upsample", "f32[2,2]"],
  [make("upsample", { window: 0 }, f(1, 2, 2, 1)), "upsample", "0"],
  [
    make("convolutionKernelGrad", { ...unpadded, kernel: [1, 1] }, f(1, 2, 2, 1), f(1, 2, 1, 3)),
    "convolutionKernelGrad",
    "[1,2,2,3]",
    "f32[1,2,1,3]",
  ],
  [
    make("convolutionKernelGrad", { ...unpadded, kernel: [1, 1] }, f(1, 2, 2), f(1, 2, 2, 3)),
    "convolutionKernelGrad",
    "f32[1,2,2]",
  ],
  [make("crossEntropy", {}, f(2, 3), f(2)), "crossEntropy", "i32", "f32[2]"],
  [make("crossEntropy", {}, f(2, 3), i(3)), "crossEntropy", "f32[2,3]", "i32[3]"],
];

describe("operands that do not fit are refused, with the op, what was expected and what came", () => {
  for (const [refused, ...message] of REFUSED)
    it(message.join(" "), () => {
      for (const part of message) expect(refused).toThrow(part);
    });

  it("every op that has operands is among them", () => {
    const named = new Set(REFUSED.map(([, op]) => op));
    const alikeOps = {
      exp: ["log", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "abs", "sign"],
      add: ["sub", "div", "max", "min"],
      and: ["or"],
    };
    const covered = new Set([...named, ...Object.values(alikeOps).flat(), "convert"]);
    expect(Object.keys(GRADIENT_CASES).filter((op) => !covered.has(op))).toEqual([]);
  });
});

describe("types of results", () => {
  it("of dot are batch axes, then the left's free axes, then the right's", () => {
    const y = g.dot(f(5, 2, 7, 3), f(3, 2, 4), { batch: [[1], [1]], contract: [[3], [0]] });
    expect(g.show(y)).toBe("f32[2,5,7,4]");
  });
  it("of a convolution round down", () => {
    expect(g.show(g.convolution(f(2, 7, 6, 3), f(4, 3, 3, 2), { stride: 2, padding: 1 }))).toBe("f32[2,4,4,4]");
  });
  it("of comparisons are bool, of argmax i32, of gather the indices' shape and the row's", () => {
    expect(g.show(g.compare(f(2, 1), "lt", f(3)))).toBe("bool[2,3]");
    expect(g.show(g.argmax(f(2, 3)))).toBe("i32[2]");
    expect(g.show(g.gather(u8(9, 4, 2), i(3, 5)))).toBe("u8[3,5,4,2]");
  });
  it("of slices and pads count their steps", () => {
    expect(g.show(g.slice(f(7, 5), [1, 0], [7, 5], [2, 3]))).toBe("f32[3,2]");
    expect(g.show(g.pad(f(3, 1), [1, 0], [0, 2], [2, 5]))).toBe("f32[8,3]");
  });
});
