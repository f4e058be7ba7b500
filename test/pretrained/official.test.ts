/** Every format that the official libraries write gives the official features. */
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTensors, readSafetensors, writeSafetensors } from "../../src/checkpoint/index.ts";
import { CLIP } from "../../src/clip.ts";
import type { Engine, Program } from "../../src/engine/engine.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { type HostTensor, type Tensor, trace } from "../../src/graph/index.ts";
import { encodeImage, encodeText } from "../../src/model/index.ts";
import { loadPretrained, type Pretrained, type PretrainedOptions } from "../../src/pretrained/index.ts";
import { GOLDEN_CONFIGS, type GoldenModel, golden, maxOverMax } from "../model/goldens.ts";
import { unpacked } from "./bundle.ts";

/** Ten times what the official code's own float32 run differs from its float64 run. */
const FLOAT32 = 1e-5;

const place = unpacked("micro/", "tiny-vit/", "tiny-rn/");

let engine: Engine;
const programs = new Map<string, Promise<Program>>();
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});
afterAll(() => engine.close());

/** Features of the golden pictures and texts; models of one configuration share a program. */
async function features({ config, weights }: Pretrained, model: GoldenModel): Promise<Record<string, HostTensor>> {
  const { get } = await golden(`models/${model}/expected.safetensors`);
  const inputs = { ...weights, images: get("images"), tokens: get("tokens") };
  const key = JSON.stringify([model, config.activation]);
  const graph = () =>
    trace(inputs, (x) => ({
      image: encodeImage(x, x.images as Tensor, config).features,
      text: encodeText(x, x.tokens as Tensor, config).features,
    }));
  const program = programs.get(key) ?? engine.compile(graph());
  programs.set(key, program);
  return (await program).run(inputs);
}

async function expectOfficial(model: GoldenModel, path: string, options: PretrainedOptions = {}, prefix = "f64.") {
  const pretrained = await loadPretrained(place(path), options);
  const { get } = await golden(`models/${model}/expected.safetensors`);
  const { image, text } = await features(pretrained, model);
  const worst = {
    image: maxOverMax(image as HostTensor, get(`${prefix}image_features`)),
    text: maxOverMax(text as HostTensor, get(`${prefix}text_features`)),
  };
  expect(worst.image).toBeLessThan(FLOAT32);
  expect(worst.text).toBeLessThan(FLOAT32);
  return pretrained;
}

const uncertain = ({ guesses }: Pretrained): string[] => guesses.filter((g) => g.uncertain).map(({ what }) => what);

describe("files alone: the activation is OpenAI's, and that this is a guess is said", () => {
  it.each<[GoldenModel, string, string]>([
    ["micro", "model.safetensors", "safetensors file"],
    ["micro", "state_dict_views.pt", "PyTorch checkpoint"],
    ["micro", "state_dict_legacy_format.pt", "PyTorch checkpoint of before 1.6"],
    ["micro", "open_clip_training_checkpoint.pt", "PyTorch checkpoint"],
    ["tiny-vit", "state_dict.pt", "PyTorch checkpoint"],
    ["tiny-rn", "state_dict.pt", "PyTorch checkpoint"],
  ])("%s %s", async (model, file, format) => {
    const pretrained = await expectOfficial(model, `${model}/${file}`);
    expect(pretrained.format).toBe(format);
    expect(pretrained.config).toEqual(GOLDEN_CONFIGS[model]);
    expect(uncertain(pretrained)).toEqual(["activation quickGelu", "preprocessing"]);
    expect(uncertain(await loadPretrained(place(`${model}/${file}`), { activation: "gelu" }))).toEqual([
      "preprocessing",
    ]);
  });

  it.each<GoldenModel>(["tiny-vit", "tiny-rn"])(
    "but the modules of %s's TorchScript archive show it",
    async (model) => {
      const pretrained = await expectOfficial(model, `${model}/torchscript_fp16.pt`);
      expect(pretrained.format).toBe("TorchScript archive");
      expect(uncertain(pretrained)).toEqual([]);
      await expect(loadPretrained(place(`${model}/torchscript_fp16.pt`), { activation: "gelu" })).rejects.toThrow(
        "the model was trained with quickGelu, asked for is gelu",
      );
    },
  );

  it("and so do the three scalars that a state dict of OpenAI's archive has", async () => {
    const file = await openTensors(place("tiny-vit/torchscript_fp16.pt"));
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    await file.close();
    await writeSafetensors(place("tiny-vit/from_archive.safetensors"), tensors);
    expect(uncertain(await expectOfficial("tiny-vit", "tiny-vit/from_archive.safetensors"))).toEqual([]);
    tensors.delete("vocab_size");
    await writeSafetensors(place("tiny-vit/from_archive.safetensors"), tensors);
    expect(uncertain(await loadPretrained(place("tiny-vit/from_archive.safetensors")))).toEqual([
      "activation quickGelu",
      "preprocessing",
    ]);
  });

  it("bfloat16 weights are the same in both formats", async () => {
    const [a, b] = [
      await loadPretrained(place("micro/state_dict_bf16.pt")),
      await loadPretrained(place("micro/model_bf16.safetensors")),
    ];
    expect(a.weights).toEqual(b.weights);
  });

  it("exact GELU, where it is said, gives its own features", async () => {
    await expectOfficial("micro", "micro/model.safetensors", { activation: "gelu" }, "gelu.");
  });
});

describe("folders of open_clip", () => {
  it.each<GoldenModel>(["micro", "tiny-vit", "tiny-rn"])("%s", async (model) => {
    const pretrained = await expectOfficial(model, `${model}/open_clip`);
    expect(pretrained.format).toBe("open_clip folder");
    expect(pretrained.config).toEqual(GOLDEN_CONFIGS[model]);
    expect(uncertain(pretrained)).toEqual([]);
  });

  it("decide the activation by their configuration", async () => {
    await expectOfficial("micro", "micro/open_clip_gelu", {}, "gelu.");
    await expect(loadPretrained(place("micro/open_clip_gelu"), { activation: "quickGelu" })).rejects.toThrow(
      "open_clip_config.json: the model has gelu, asked for is quickGelu",
    );
  });

  it("may have custom_text", () => expectOfficial("micro", "micro/open_clip_custom_text"));

  it("count as well where their weights are named", async () => {
    const { format } = await expectOfficial("micro", "micro/open_clip_gelu/open_clip_model.safetensors", {}, "gelu.");
    expect(format).toBe("open_clip folder");
  });
});

describe("a folder of Hugging Face", () => {
  it("has split projections, transposed ones, a tokenizer", async () => {
    const pretrained = await expectOfficial("tiny-vit", "tiny-vit/hf");
    expect(pretrained.format).toBe("Hugging Face CLIP folder");
    expect(pretrained.config).toEqual(GOLDEN_CONFIGS["tiny-vit"]);
    expect(uncertain(pretrained)).toEqual([]);
    const { padded } = JSON.parse(await readFile(place("tiny-vit/hf/tokenize_small_bpe.json"), "utf8")) as {
      padded: { text: string; input_ids: number[] }[];
    };
    const { ids, lengths } = pretrained.tokenizer?.tokenize(padded.map(({ text }) => text)) ?? { ids: [], lengths: [] };
    for (const [i, { input_ids: wanted }] of padded.entries()) {
      const length = lengths[i] ?? 0;
      expect([...ids.slice(i * 77, i * 77 + length)]).toEqual(wanted.slice(0, length));
      expect(wanted.slice(length).every((id) => id === 999)).toBe(true); // padding there
    }
  });

  it("may have a legacy eos, tokenizer.json alone, and several shards", async () => {
    const hf = (name: string): string => place(`tiny-vit/sharded/${name}`);
    await mkdir(dirname(hf("x")), { recursive: true });
    await copyFile(place("tiny-vit/hf/config_legacy_eos.json"), hf("config.json"));
    await copyFile(place("tiny-vit/hf/tokenizer.json"), hf("tokenizer.json"));
    const all = [...(await readSafetensors(place("tiny-vit/hf/model.safetensors")))];
    const map: Record<string, string> = {};
    for (const i of [0, 1, 2]) {
      const file = `model-0000${i + 1}-of-00003.safetensors`;
      const some = new Map(all.filter((_, j) => j % 3 === i));
      for (const name of some.keys()) map[name] = file;
      await writeSafetensors(hf(file), some);
    }
    await writeFile(hf("model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
    const pretrained = await expectOfficial("tiny-vit", "tiny-vit/sharded");
    expect(pretrained.config).toEqual(GOLDEN_CONFIGS["tiny-vit"]);
    expect(uncertain(pretrained)).toEqual(["preprocessing"]); // there is no preprocessor_config.json
    const first = await loadPretrained(place("tiny-vit/hf"));
    expect(pretrained.tokenizer?.encode("a foggy glacier")).toEqual(first.tokenizer?.encode("a foggy glacier"));

    await writeFile(
      hf("model.safetensors.index.json"),
      JSON.stringify({ weight_map: { ...map, logit_scale: "../hf/model.safetensors" } }),
    );
    await expect(loadPretrained(hf(""))).rejects.toThrow(
      'tensor "logit_scale" in "../hf/model.safetensors": no name of a file beside',
    );
    await writeFile(hf("model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
    await rm(hf("model-00002-of-00003.safetensors"));
    await expect(loadPretrained(hf(""))).rejects.toThrow(/model-00002-of-00003\.safetensors: there is no such file$/);
  });
});

describe("CLIP.load", () => {
  const encoding = { engine: createReferenceEngine() };

  it("warns of what is guessed, and lets texts be encoded only with a tokenizer", async () => {
    const lines: string[] = [];
    const path = place("micro/model.safetensors");
    const clip = await CLIP.load(path, { ...encoding, warn: (line) => lines.push(line) });
    expect(lines).toEqual([expect.stringContaining(`${path}: activation quickGelu: weights do not show it`)]);
    expect(await clip.encodeImage({ width: 16, height: 16, data: new Uint8Array(16 * 16 * 3) })).toHaveLength(16);
    await expect(clip.encodeText("a")).rejects.toThrow(
      "this model has no tokenizer (none: the model has a vocabulary of 64",
    );
    await clip.close();
  });

  it("gives texts of a Hugging Face folder the features of its own ids", async () => {
    const clip = await CLIP.load(place("tiny-vit/hf"), encoding);
    const direct = await CLIP.load(place("tiny-vit/open_clip"), { ...encoding, tokenizer: clip.tokenizer });
    const text = "a watercolour of a foggy glacier";
    expect(await direct.encodeText(text)).toEqual(await clip.encodeText(text));
    expect(clip.fingerprint).not.toBe(direct.fingerprint);
    await Promise.all([clip.close(), direct.close()]);
  });

  it("refuses a tokenizer whose ids have no embeddings", async () => {
    const { tokenizer } = await loadPretrained(place("tiny-vit/hf"));
    if (!tokenizer) throw new Error("expected a tokenizer");
    await expect(CLIP.load(place("micro/model.safetensors"), { tokenizer })).rejects.toThrow(
      "tokenizer: has 1000 ids, the model has embeddings of 64",
    );
  });
});

it("a folder with a configuration and one file of another name is read as that configuration says", async () => {
  const folder = place("micro/renamed");
  await mkdir(folder);
  await copyFile(place("micro/open_clip_gelu/open_clip_config.json"), `${folder}/open_clip_config.json`);
  await copyFile(place("micro/state_dict_views.pt"), `${folder}/weights.pt`);
  await expectOfficial("micro", "micro/renamed", {}, "gelu.");
  await rename(`${folder}/open_clip_config.json`, `${folder}/other.json`);
  await expectOfficial("micro", "micro/renamed");
});
