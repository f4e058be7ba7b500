/** Models in files: the configuration is inferred or said, and every wrong tensor is named. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inferConfig, readModel, readSafetensors, writeModel, writeSafetensors } from "../../src/checkpoint/index.ts";
import { type HostTensor, hostTensor } from "../../src/graph/index.ts";
import { bufferShapes, type ClipConfig, CONFIGS, initialise, parameterShapes } from "../../src/model/index.ts";
import { GOLDEN_CONFIGS, type GoldenModel } from "../model/goldens.ts";

const modelPath = (model: GoldenModel, file = "model_f16") =>
  fileURLToPath(new URL(`../golden/models/${model}/${file}.safetensors`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

const refusal = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "it was accepted",
    (error: Error) => error.message,
  );

describe("configurations are inferred from shapes", () => {
  const shapesOf = (config: ClipConfig) =>
    new Map(Object.entries({ ...parameterShapes(config), ...bufferShapes(config) }));
  it.each(Object.entries(CONFIGS))("of %s", (_, config) => {
    expect(inferConfig(shapesOf(config), "quickGelu")).toEqual(config);
  });
  it.each(Object.entries(GOLDEN_CONFIGS))("of the golden %s", async (model, config) => {
    const { config: inferred, tensors } = await readModel(modelPath(model as GoldenModel));
    expect(inferred).toEqual(config);
    expect(Object.keys(tensors).sort()).toEqual([...shapesOf(config).keys()].sort());
  });
});

it("bfloat16 weights are the half-precision ones, rounded", async () => {
  const exact = await readModel(modelPath("micro"));
  const rounded = await readModel(modelPath("micro", "model_bf16"));
  for (const [name, { data }] of Object.entries(exact.tensors))
    for (const [i, value] of data.entries())
      expect(Math.abs((rounded.tensors[name]?.data[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(
        Math.abs(value) * 2 ** -8,
      );
});

it("what is written is read, configuration and all", async () => {
  const path = join(folder, "written.safetensors");
  // Heads of 32 and exact GELU: nothing that could be inferred.
  const base = CONFIGS["emoji-rn"];
  const config: ClipConfig = { ...base, text: { ...base.text, heads: 4 }, activation: "gelu" };
  const tensors = initialise(config, 5);
  await writeModel(path, { config, tensors }, { note: "hello" });
  const back = await readModel(path);
  expect(back.config).toEqual(config);
  expect(back.tensors).toEqual(tensors);
  expect(await refusal(readModel(path, { activation: "quickGelu" }))).toBe(
    `${path}: the model was trained with gelu, asked for is quickGelu`,
  );
  expect(await refusal(readModel(path, { config: CONFIGS["emoji-vit"] }))).toContain("trained with gelu");
  expect(await refusal(writeModel(path, { config: CONFIGS["emoji-vit"], tensors }))).toContain(
    "visual.class_embedding is missing",
  );
});

describe("wrong models end in one line that names the tensor", () => {
  let micro: Map<string, HostTensor>;
  beforeAll(async () => {
    micro = await readSafetensors(modelPath("micro"));
  });
  const get = (name: string): HostTensor => micro.get(name) as HostTensor;
  const zeros = (...shape: number[]) => hostTensor("f32", shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
  const spoilt = (name: string, value: number) => {
    const { shape, data } = get(name);
    const copy = Float32Array.from(data);
    copy[3] = value;
    return hostTensor("f32", shape, copy);
  };

  const CASES: [problem: string, changes: () => Record<string, HostTensor | undefined>, message: string][] = [
    [
      "missing",
      () => ({ "transformer.resblocks.0.mlp.c_fc.bias": undefined }),
      "tensor transformer.resblocks.0.mlp.c_fc.bias is missing",
    ],
    ["no projection", () => ({ text_projection: undefined }), "tensor text_projection is missing"],
    ["no image projection", () => ({ "visual.proj": undefined }), "tensor visual.proj is missing"],
    ["unexpected", () => ({ "visual.extra.weight": zeros(2) }), 'unexpected tensor "visual.extra.weight"'],
    [
      "transposed",
      () => ({ "transformer.resblocks.0.attn.in_proj_weight": zeros(64, 192) }),
      "tensor transformer.resblocks.0.attn.in_proj_weight: expected [192,64], got [64,192]",
    ],
    ["short", () => ({ "visual.ln_post.bias": zeros(63) }), "tensor visual.ln_post.bias: expected [64], got [63]"],
    [
      "not square",
      () => ({ "visual.positional_embedding": zeros(7, 64) }),
      "tensor visual.positional_embedding: expected 1 + a square number of rows, got 7",
    ],
    [
      "integers",
      () => ({ "visual.proj": hostTensor("i32", [64, 16], new Int32Array(1024)) }),
      "tensor visual.proj: expected floating-point numbers, got I32",
    ],
    ["NaN", () => ({ "visual.conv1.weight": spoilt("visual.conv1.weight", Number.NaN) }), "element 3 is NaN"],
    [
      "infinity",
      () => ({ "token_embedding.weight": spoilt("token_embedding.weight", Number.POSITIVE_INFINITY) }),
      "tensor token_embedding.weight: element 3 is Infinity",
    ],
    ["odd width", () => ({ positional_embedding: zeros(8, 60) }), "heads are 64 wide"],
    ["a vector as kernel", () => ({ "visual.conv1.weight": zeros(64) }), "expected 4 dimensions, got [64]"],
  ];
  it.each(CASES)("%s", async (_, changes, message) => {
    const path = join(folder, "wrong.safetensors");
    const tensors = new Map(micro);
    for (const [name, tensor] of Object.entries(changes()))
      if (tensor) tensors.set(name, tensor);
      else tensors.delete(name);
    await writeSafetensors(path, tensors);
    const said = await refusal(readModel(path));
    expect(said).toContain(message);
    expect(said.startsWith(`${path}: `)).toBe(true);
    expect(said).not.toContain("\n");
  });

  it("and a file without a model says so", async () => {
    const path = join(folder, "other.safetensors");
    await writeSafetensors(path, { a: zeros(2) });
    expect(await refusal(readModel(path))).toBe(
      `${path}: this is no CLIP checkpoint: there are no tensors of an image or a text tower`,
    );
  });

  it("but a logit scale may be a vector of one", async () => {
    const path = join(folder, "vector.safetensors");
    await writeSafetensors(path, new Map(micro).set("logit_scale", hostTensor("f32", [1], [2.5])));
    expect((await readModel(path)).tensors.logit_scale).toEqual(hostTensor("f32", [], [2.5]));
  });

  it.each([
    ["{", "not JSON"],
    ["null", "expected object"],
    ['{"embedDim":16}', "imageSize"],
    [
      JSON.stringify({ ...GOLDEN_CONFIGS.micro, text: { ...GOLDEN_CONFIGS.micro.text, layers: 1e9 } }),
      "text.layers: Too big",
    ],
    [
      JSON.stringify({ ...GOLDEN_CONFIGS.micro, text: { ...GOLDEN_CONFIGS.micro.text, heads: 7 } }),
      "text.heads (7) does not divide text.width (64)",
    ],
    [JSON.stringify({ ...GOLDEN_CONFIGS.micro, embedDim: 17 }), "text_projection: expected [64,17], got [64,16]"],
  ])("metadata %s", async (config, message) => {
    const path = join(folder, "metadata.safetensors");
    await writeSafetensors(path, micro, { "clip-ts.config": config });
    expect(await refusal(readModel(path))).toContain(message);
  });
});
