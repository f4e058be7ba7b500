/** The official libraries load what is converted and compute the same features; onnx and onnxruntime in Python too. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeModel, writeSafetensors } from "../../src/checkpoint/index.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { huggingFaceTokenizer } from "../../src/convert/hugging-face-tokenizer.ts";
import { convert } from "../../src/convert/index.ts";
import { openClipTarget } from "../../src/convert/open-clip-target.ts";
import { differenceOf, type Features, featuresOf, normalized, probeOf } from "../../src/convert/verify.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { hostTensor } from "../../src/graph/index.ts";
import { openPretrained } from "../../src/pretrained/index.ts";
import { readOpenClipConfig } from "../../src/pretrained/open-clip-config.ts";
import { officialTokenizer } from "../../src/tokenizer/index.ts";
import { python, pythonHas } from "../python/python.ts";
import { MODELS } from "./models.ts";

const has = pythonHas("converted models in the official libraries", "open_clip", "transformers", "onnx", "onnxruntime");

const CASES = [
  ["vit", "hf", "F32"],
  ["vit", "hf", "F16"],
  ["siglip", "hf", "F32"],
  ["vit", "open_clip", "F32"],
  ["resnet", "open_clip", "F32"],
  ["clipa", "open_clip", "F32"],
  ["average", "open_clip", "F32"],
  ["attentional", "open_clip", "F32"],
  ["vit", "onnx", "F32"],
  ["resnet", "onnx", "F16"],
  ["siglip", "onnx", "F32"],
] as const;

const TEXTS = ["a photo of a cat", "Two dogs, 3 cats & a bird's nest!", "naïve café ½ 日本語 🙂", "x".repeat(400)];
const NAMES = [
  ...["ViT-B-32", "ViT-B-32-quickgelu", "RN50-quickgelu", "ViT-H-14"],
  ...["ViT-L-14-CLIPA", "ViT-B-16-SigLIP", "ViT-SO400M-14-SigLIP-384"],
];

/** One process for all: loading the libraries takes longest. */
const PROGRAM = `
import json, sys, onnx, onnxruntime as ort, open_clip, torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, CLIPTokenizer
torch.set_num_threads(1)

def transformers(folder, pixels, tokens):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    pick = lambda x: x if torch.is_tensor(x) else x.pooler_output
    return pick(model.get_image_features(pixel_values=pixels)), pick(model.get_text_features(input_ids=tokens))

def of_open_clip(folder, pixels, tokens):
    model = open_clip.create_model("local-dir:" + folder).eval()
    return model.encode_image(pixels), model.encode_text(tokens)

def in_onnxruntime(folder, pixels, tokens):
    out = []
    for tower, x in [("vision", pixels), ("text", tokens)]:
        path = f"{folder}/onnx/{tower}_model.onnx"
        onnx.checker.check_model(path, full_check=True)
        assert all(node.domain == "" for node in onnx.load(path).graph.node)
        session = ort.InferenceSession(path)
        name = session.get_inputs()[0].name
        whole = torch.tensor(session.run(None, {name: x.numpy()})[0])
        one = torch.cat([torch.tensor(session.run(None, {name: row[None].numpy()})[0]) for row in x])
        assert (whole - one).abs().max() < 1e-4 * whole.abs().max()
        out.append(whole)
    return out

ways = {"hf": transformers, "open_clip": of_open_clip, "onnx": in_onnxruntime}
task = json.loads(sys.stdin.read())
for case in task["cases"]:
    probe = load_file(case["probe"])
    with torch.no_grad():
        image, text = ways[case["to"]](case["folder"], probe["pixels"], probe["tokens"].long())
    save_file({"image": image.float().contiguous(), "text": text.float().contiguous()}, case["features"])
tokenized = [[kind.from_pretrained(task["tokenizer"])(text, truncation=True, max_length=77)["input_ids"] for text in task["texts"]]
             for kind in (CLIPTokenizer, AutoTokenizer)]
print(json.dumps({"tokenized": tokenized, "configs": [open_clip.get_model_config(name) for name in task["names"]]}))
`;

describe.skipIf(!has)("in the official libraries", () => {
  let place: string;
  const ours = new Map<string, Features>();
  let answer: { tokenized: number[][][]; configs: unknown[] };
  const file = (name: string, to: string, dtype: string): string => join(place, `${name}-${to}-${dtype}`);

  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), "clip-ts-official-"));
    const engine = await createOnnxEngine({ threads: 1, cache: false });
    for (const [name, to, dtype] of CASES) {
      const path = join(place, `${name}.safetensors`);
      await writeModel(path, await MODELS[name]());
      const model = await openPretrained(path);
      const { config, preprocess } = model;
      const folder = file(name, to, dtype);
      await convert(model, folder, { to, dtype, engine });
      const { count, pixels, tokens: short, length } = probeOf(config);
      // The official towers want all positions.
      const { contextLength } = config.text;
      const tokens = new Int32Array(count * contextLength);
      for (let i = 0; i < count; i++) tokens.set(short.subarray(i * length, (i + 1) * length), i * contextLength);
      const size = config.imageSize;
      await writeSafetensors(`${folder}.probe`, {
        pixels: hostTensor("f32", [count, 3, size, size], normalized(pixels, count, size, preprocess)),
        tokens: hostTensor("i32", [count, contextLength], tokens),
      });
      const probe = { count, pixels, tokens, length: contextLength };
      ours.set(folder, await featuresOf(engine, model, probe));
      await model.close();
    }
    await engine.close();
    const tokenizer = await mkdtemp(join(place, "tokenizer-"));
    for (const [name, text] of Object.entries(huggingFaceTokenizer(await officialTokenizer(), 77)))
      await writeFile(join(tokenizer, name), text);
    const cases = [...ours.keys()].map((folder, i) => ({
      to: CASES[i]?.[1],
      folder,
      probe: `${folder}.probe`,
      features: `${folder}.features`,
    }));
    const task = JSON.stringify({ cases, tokenizer, texts: TEXTS, names: NAMES });
    answer = JSON.parse((await python(PROGRAM, { HF_HUB_OFFLINE: "1" }, task)).trim().split("\n").at(-1) ?? "");
  }, 900_000);
  afterAll(() => rm(place, { recursive: true }));

  test.each(CASES)("%s as %s in %s: the same features", async (name, to, dtype) => {
    const folder = file(name, to, dtype);
    const features = await readSafetensors(`${folder}.features`);
    const theirs = {
      images: Float32Array.from(features.get("image")?.data ?? []),
      texts: Float32Array.from(features.get("text")?.data ?? []),
    };
    const wanted = ours.get(folder);
    if (!wanted) throw new Error("not computed");
    expect(theirs.images.length).toBe(wanted.images.length);
    const difference = differenceOf(wanted, theirs);
    expect(difference.images).toBeLessThan(1e-5);
    expect(difference.texts).toBeLessThan(1e-5);
  });

  test("the official vocabulary's files give transformers' tokenizers the same ids", async () => {
    const tokenizer = await officialTokenizer();
    const { ids, lengths } = tokenizer.tokenize(TEXTS, { contextLength: 77, longText: "truncate" });
    const wanted = TEXTS.map((_, i) => [...ids.subarray(i * 77, i * 77 + (lengths[i] ?? 0))]);
    for (const tokenized of answer.tokenized) expect(tokenized).toEqual(wanted);
  });

  test("open_clip's own configurations have a place in the format", () => {
    for (const [i, model] of answer.configs.entries()) {
      const { config, preprocess } = readOpenClipConfig({ model_cfg: model }, NAMES[i] ?? "");
      // It reads back what it writes and throws where that is another model.
      const { naming } = openClipTarget(config, preprocess);
      expect(naming, NAMES[i]).toBe(NAMES[i]?.includes("SigLIP") ? "openClipSiglip" : "openai");
    }
  });
});
