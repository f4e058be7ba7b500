/** Every format to every other, on small models of each kind; what comes back is the same to the bit. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeModel } from "../../src/checkpoint/index.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { type Conversion, type ConvertOptions, convert, type Target } from "../../src/convert/index.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import type { HostTensor } from "../../src/graph/index.ts";
import { openPretrained } from "../../src/pretrained/index.ts";
import { createBpeTokenizer } from "../../src/tokenizer/index.ts";
import { halfModel, MODELS, type ModelName } from "./models.ts";

let place: string;
let engine: Engine;
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1, cache: false });
  place = await mkdtemp(join(tmpdir(), "clip-ts-convert-"));
});
afterAll(async () => {
  await engine.close();
  await rm(place, { recursive: true });
});

type Stored = Awaited<ReturnType<typeof halfModel>>;

async function model(name: ModelName): Promise<Stored & { path: string }> {
  const stored = await MODELS[name]();
  const path = join(place, `${name}.safetensors`);
  await writeModel(path, stored);
  return { path, ...stored };
}

let made = 0;
async function converted(from: string, to: Target, options: Partial<ConvertOptions> = {}): Promise<Conversion> {
  const file = to === "openai" || to === "clip-ts" ? ".safetensors" : "";
  const source = await openPretrained(from);
  try {
    return await convert(source, join(place, `${to}-${made++}${file}`), { to, engine, ...options });
  } finally {
    await source.close();
  }
}

const failure = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "",
    (error) => (error instanceof Error ? error.message : String(error)),
  );

const bytes = (tensor: HostTensor | undefined): Buffer =>
  tensor ? Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength) : Buffer.alloc(0);

async function expectSame(path: string, { config, tensors }: Stored): Promise<void> {
  const back = await openPretrained(
    path,
    /openai-\d+\.safetensors$/.test(path) ? { activation: config.activation } : {},
  );
  const weights = await back.readWeights();
  await back.close();
  expect(Object.keys(weights).sort()).toEqual(Object.keys(tensors).sort());
  for (const [name, tensor] of Object.entries(tensors)) {
    expect(weights[name]?.shape, name).toEqual(tensor.shape);
    expect(bytes(weights[name]).equals(bytes(tensor)), name).toBe(true);
  }
}

describe("there and back", () => {
  test.each([
    ["vit", ["openai", "hf", "open_clip", "clip-ts"]],
    ["resnet", ["openai", "open_clip", "clip-ts"]],
    ["siglip", ["hf", "clip-ts"]],
    ["average", ["open_clip", "clip-ts"]],
    ["attentional", ["open_clip", "clip-ts"]],
    ["clipa", ["open_clip", "clip-ts"]],
  ] as const)("%s through %j", async (name, targets) => {
    const wanted = await model(name);
    // A chain: each reads what the one before wrote.
    let from = wanted.path;
    for (const to of targets) {
      const { path, difference } = await converted(from, to);
      expect(difference).toEqual({ images: 0, texts: 0 });
      await expectSame(path, wanted);
      from = path;
    }
  });

  test("halves hold what came from halves; their files are half as large", async () => {
    const wanted = await model("vit");
    const whole = await converted(wanted.path, "hf");
    const half = await converted(wanted.path, "hf", { dtype: "F16" });
    expect(half.difference).toEqual({ images: 0, texts: 0 });
    expect(half.bytes / whole.bytes).toBeCloseTo(0.5, 2);
    await expectSame(half.path, wanted);
    expect(JSON.parse(await readFile(join(half.path, "config.json"), "utf8")).torch_dtype).toBe("float16");
  });

  test("shards: an index, parts no larger than allowed, the same weights", async () => {
    const wanted = await model("vit");
    const { path, files } = await converted(wanted.path, "hf", { largestShard: 1_000_000 });
    const shards = files.filter((file) => file.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(3);
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
    const index = JSON.parse(await readFile(join(path, "model.safetensors.index.json"), "utf8"));
    expect(index.metadata.total_size).toBe(4 * 974_977);
    for (const shard of shards) {
      const tensors = await readSafetensors(join(path, shard));
      expect([...tensors.keys()].every((name) => index.weight_map[name] === shard)).toBe(true);
      const size = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      expect(size).toBeLessThanOrEqual(1_000_000);
    }
    await expectSame(path, wanted);
  });

  test("preprocessing, prompts and a vocabulary of one's own go along", async () => {
    const { config, tensors } = await halfModel("tiny-vit");
    const tokenizer = createBpeTokenizer([
      ["c", "a"],
      ["ca", "t</w>"],
      ["d", "o"],
      ["do", "g</w>"],
      ["p", "h"],
    ]);
    const { vocabSize } = tokenizer;
    const name = "token_embedding.weight";
    const shape = [vocabSize, config.text.width] as const;
    const data = Float32Array.from(tensors[name]?.data ?? []).slice(0, shape[0] * shape[1]);
    const path = join(place, "own.safetensors");
    const text = { ...config.text, vocabSize };
    await writeModel(path, {
      config: { ...config, text },
      tensors: { ...tensors, [name]: { dtype: "f32", shape, data } },
    });
    const source = await openPretrained(path, { tokenizer });
    const preprocess = {
      ...source.preprocess,
      resize: "squash",
      mean: [0.5, 0.5, 0.5],
      interpolation: "bilinear",
    } as const;
    const laid = { ...preprocess, background: 255 };
    const own = { ...source, preprocess: laid, templates: ["an emoji of {}"] };
    for (const to of ["clip-ts", "hf"] as const) {
      const out = join(place, to === "hf" ? "own-hf" : "own-out.safetensors");
      const { notes } = await convert(own, out, { to, engine });
      expect(notes).toEqual(to === "hf" ? [expect.stringContaining("the background of transparent pictures")] : []);
      const back = await openPretrained(out);
      expect(back.preprocess).toEqual(to === "hf" ? preprocess : laid);
      expect(back.tokenizer?.encode("a cat, 2 dogs!")).toEqual(tokenizer.encode("a cat, 2 dogs!"));
      if (to === "clip-ts") expect(back.templates).toEqual(["an emoji of {}"]);
      await back.close();
    }
    await source.close();
  });
});

describe("ONNX", () => {
  test.each([
    ["vit", "onnx", "F32"],
    ["vit", "onnxruntime", "F16"],
    ["resnet", "onnx", "F16"],
    ["siglip", "onnx", "F32"],
    ["clipa", "onnx", "F32"],
  ] as const)("%s with operators of %s in %s: any batch, any length", async (name, kernels, dtype) => {
    const { path, config } = await model(name);
    const { difference, files, path: folder } = await converted(path, "onnx", { kernels, dtype });
    expect(difference?.images).toBeLessThan(1e-5);
    expect(difference?.texts).toBeLessThan(1e-5);
    expect(files).toContain(join("onnx", "vision_model.onnx"));
    const { InferenceSession, Tensor } = await import("onnxruntime-node");
    const session = await InferenceSession.create(join(folder, "onnx", "text_model.onnx"));
    const { contextLength, vocabSize } = config.text;
    const shortest = name === "vit" || name === "resnet" ? 3 : contextLength;
    const rows = async (batch: number, length: number): Promise<number[]> => {
      const id = (i: number): bigint => BigInt(i % length === 2 ? vocabSize - 1 : (i % length) * 5 + 1);
      const ids = BigInt64Array.from({ length: batch * length }, (_, i) => id(i));
      const { text_embeds: out } = await session.run({ input_ids: new Tensor("int64", ids, [batch, length]) });
      expect(out?.dims).toEqual([batch, config.embedDim]);
      return Array.from(out?.data ?? [], Number);
    };
    const [seven, one] = [await rows(7, contextLength), await rows(1, shortest)];
    for (const [i, x] of seven.entries()) expect(x).toBeCloseTo(one[i % config.embedDim] ?? Number.NaN, 4);
    await session.release();
  });
});

describe("what cannot be", () => {
  test.each([
    ["resnet", "hf", "Hugging Face has no such model: its CLIPModel has no ResNets"],
    ["siglip", "openai", "OpenAI's format, which is weights alone, has no such model: "],
    ["siglip", "open_clip", "open_clip has no such model: "],
    ["average", "hf", "Hugging Face has no such model: "],
    ["attentional", "hf", "Hugging Face has no such model: "],
  ] as const)("%s as %s", async (name, to, line) => {
    const { path } = await model(name);
    const before = await readdir(place);
    const said = await failure(converted(path, to));
    expect(said.startsWith(line), said).toBe(true);
    expect(said.split("\n")).toHaveLength(1);
    expect(await readdir(place)).toEqual(before);
  });

  test("what is there stays: files without force, other people's things in any case", async () => {
    const { path } = await model("vit");
    const source = await openPretrained(path);
    const go = (out: string, options: Partial<ConvertOptions> & { to: Target }): Promise<Conversion> =>
      convert(source, out, { verify: false, ...options });
    const folder = join(place, "there");
    await go(folder, { to: "hf" });
    expect(await failure(go(folder, { to: "hf" }))).toBe(`${folder}: is there already; --force replaces it`);
    await go(folder, { to: "open_clip", force: true });
    expect((await readdir(folder)).sort()).toEqual(["open_clip_config.json", "open_clip_model.safetensors"]);
    await writeFile(join(folder, "diary.txt"), "dear diary");
    expect(await failure(go(folder, { to: "hf", force: true }))).toBe(
      `${folder}: holds diary.txt, which no conversion wrote: not replaced`,
    );
    expect(await readFile(join(folder, "diary.txt"), "utf8")).toBe("dear diary");
    const file = join(place, "there.safetensors");
    await mkdir(file);
    expect(await failure(go(file, { to: "clip-ts", force: true }))).toBe(
      `${file}: is a folder, clip-ts is written as a file`,
    );
    expect(await failure(go(join(place, "x.onnx"), { to: "openai" }))).toMatch(/the name must end in \.safetensors$/);
    expect(await failure(go(path, { to: "hf", force: true }))).toMatch(/is a file, hf is written as a folder$/);
    expect(await failure(go(path, { to: "clip-ts", force: true }))).toBe(
      `${path}: is, or holds, what is converted: not replaced; name another place`,
    );
    await source.close();
  });

  test("a folder is not replaced by what is made of it, whatever it is called", async () => {
    const { path } = await model("vit");
    const { path: folder } = await converted(path, "hf", { verify: false });
    const link = join(place, "link");
    await symlink(folder, link);
    const source = await openPretrained(folder);
    for (const name of [folder, link])
      expect(await failure(convert(source, name, { to: "open_clip", force: true }))).toBe(
        `${name}: is, or holds, what is converted: not replaced; name another place`,
      );
    await source.close();
    expect(await readdir(folder)).toContain("model.safetensors");
  });

  test("a stop, and numbers too large for halves: one line, nothing left", async () => {
    const { path, config, tensors } = await model("vit");
    const large = join(place, "large.safetensors");
    const bias = tensors["ln_final.bias"];
    if (!bias) throw new Error("no bias");
    const data = Float32Array.from(bias.data, (_, i) => (i === 5 ? 65_520 : 0));
    await writeModel(large, { config, tensors: { ...tensors, "ln_final.bias": { ...bias, data } } });
    const before = await readdir(place);
    const stop = new AbortController();
    const source = await openPretrained(path);
    const onProgress = (done: number, total: number): void => {
      if (done > total / 2) stop.abort(new Error("stopped"));
    };
    const stopped = convert(source, join(place, "stopped"), { to: "hf", onProgress, signal: stop.signal });
    expect(await failure(stopped)).toBe("stopped");
    await source.close();
    expect(await failure(converted(large, "hf", { dtype: "F16" }))).toBe(
      "tensor text_model.final_layer_norm.bias: element 5 is 65520, 16-bit floats end at 65504",
    );
    expect(await readdir(place)).toEqual(before);
  });
});
