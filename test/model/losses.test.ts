/** Both losses and their gradients against open_clip's. */
import { describe, expect, it } from "vitest";
import {
  type DType,
  gradients,
  type HostTensor,
  hostTensor,
  input,
  l2Normalize,
  matmul,
  mul,
  type Tensor,
  transpose,
} from "../../src/graph/index.ts";
import { contrastiveLoss, sigmoidLoss, symmetricCrossEntropy } from "../../src/model/index.ts";
import { engines, REFERENCE, running } from "./engines.ts";
import { golden, goldenJson, inPrecision, maxOverMax } from "./goldens.ts";

interface Expected {
  readonly loss: number;
  readonly grad_log_scale: number;
  readonly log_scale: number;
  readonly bias?: number;
  readonly grad_bias?: number;
}
type Kind = "clip" | "siglip";
type Case = Readonly<Record<Kind, { readonly f64: Expected }>>;

const { cases } = await goldenJson<{
  cases: Record<"a" | "b" | "one", Case> & {
    sharp: { loss: number; loss_text_rows_reversed_as_images: number };
  };
}>("training/losses.json");
const { get } = await golden("training/losses.safetensors");

const RUNS = [
  ...engines().map((engine) => ({ engine, dtype: "f32" as DType, of: engine.name, tolerance: 1e-5 })),
  { engine: REFERENCE, dtype: "f64" as DType, of: "reference in float64", tolerance: 1e-12 },
];

describe.each(RUNS)("losses on $of", ({ engine, dtype, tolerance }) => {
  const compute = running(engine);
  const scalar = (value: number) => hostTensor(dtype, [], [value]);

  for (const name of ["a", "b", "one"] as const)
    for (const kind of ["clip", "siglip"] as const)
      it(`${kind} of case ${name}`, async () => {
        const expected = cases[name][kind].f64;
        const inputs = {
          image: inPrecision(get(`${name}.image_raw`), dtype),
          text: inPrecision(get(`${name}.text_raw`), dtype),
          scale: scalar(expected.log_scale),
          bias: scalar(expected.bias ?? 0),
        };
        const out = await compute(inputs, (x) => {
          const [image, text, scale, bias] = [x.image, x.text, x.scale, x.bias] as [Tensor, Tensor, Tensor, Tensor];
          const normalised: [Tensor, Tensor] = [l2Normalize(image), l2Normalize(text)];
          const loss = (i: Tensor, t: Tensor): Tensor =>
            (kind === "clip" ? contrastiveLoss(i, t, scale) : sigmoidLoss(i, t, scale, bias)).loss;
          const raw = loss(image, text);
          const [dImage, dText, dScale, dBias] = gradients(raw, [image, text, scale, bias]) as [
            Tensor,
            Tensor,
            Tensor,
            Tensor,
          ];
          return { loss: raw, dImage, dText, dScale, dBias, again: loss(...normalised) };
        });
        const value = (x: { data: ArrayLike<number> }): number => x.data[0] ?? Number.NaN;
        const near = (actual: number, wanted: number): void =>
          expect(Math.abs(actual - wanted) / Math.max(1, Math.abs(wanted))).toBeLessThan(tolerance);
        near(value(out.loss), expected.loss);
        near(value(out.again), expected.loss);
        near(value(out.dScale), expected.grad_log_scale);
        if (expected.grad_bias !== undefined) near(value(out.dBias), expected.grad_bias);
        expect(maxOverMax(out.dImage, get(`${name}.${kind}.grad_image_raw`))).toBeLessThan(tolerance);
        expect(maxOverMax(out.dText, get(`${name}.${kind}.grad_text_raw`))).toBeLessThan(tolerance);
      });

  it("stays finite and right at the highest temperature, near-duplicates and wrong pairs included", async () => {
    const [image, text] = [inPrecision(get("sharp.image"), dtype), inPrecision(get("sharp.text"), dtype)];
    const [n = 0, width = 0] = text.shape;
    const reversed = {
      ...text,
      data: text.data.map((_, i) => text.data[(n - 1 - Math.floor(i / width)) * width + (i % width)] ?? 0),
    };
    const out = await compute({ image, text, reversed }, (x) => {
      const [i, t, r] = [x.image, x.text, x.reversed] as [Tensor, Tensor, Tensor];
      // The features as they are, as the golden numbers have them.
      const loss = (a: Tensor, b: Tensor): Tensor => symmetricCrossEntropy(mul(matmul(a, transpose(b, [1, 0])), 100));
      const right = loss(i, t);
      const [dImage, dText] = gradients(right, [i, t]) as [Tensor, Tensor];
      return { loss: right, wrong: loss(i, r), dImage, dText };
    });
    const relative = (x: HostTensor, wanted: number): number => Math.abs((x.data[0] ?? Number.NaN) / wanted - 1);
    // A logit of 100 has seven digits behind it in float32.
    const sharper = tolerance * (dtype === "f32" ? 10 : 1);
    expect(relative(out.loss, cases.sharp.loss)).toBeLessThan(sharper);
    expect(relative(out.wrong, cases.sharp.loss_text_rows_reversed_as_images)).toBeLessThan(sharper);
    expect(maxOverMax(out.dImage, get("sharp.grad_image"))).toBeLessThan(sharper);
    expect(maxOverMax(out.dText, get("sharp.grad_text"))).toBeLessThan(sharper);
  });
});

it("refuses a batch whose images and texts differ in number", () => {
  const x = (rows: number) => input("x", "f32", [rows, 4]);
  const scale = input("scale", "f32", []);
  for (const loss of [contrastiveLoss, sigmoidLoss])
    expect(() => loss(x(3), x(2), scale, scale)).toThrow("as many images as texts, got [3,2]");
});
